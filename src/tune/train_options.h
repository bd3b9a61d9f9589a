// The keys of the `train` section in one list: reading, the copy kept in a checkpoint and the
// comparison at resume all walk it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tune/trainer.h"

namespace hone {

// Calls visit(name, field) for each key, in the order of the struct.
template <typename Options, typename Visitor>
void for_each_option(Options& o, Visitor&& visit) {
  visit("num_train_epochs", o.num_train_epochs);
  visit("max_steps", o.max_steps);
  visit("per_device_train_batch_size", o.per_device_train_batch_size);
  visit("max_tokens_per_batch", o.max_tokens_per_batch);
  visit("gradient_accumulation_steps", o.gradient_accumulation_steps);
  visit("per_device_eval_batch_tokens", o.per_device_eval_batch_tokens);
  visit("learning_rate", o.learning_rate);
  visit("weight_decay", o.weight_decay);
  visit("adam_beta1", o.adam_beta1);
  visit("adam_beta2", o.adam_beta2);
  visit("adam_epsilon", o.adam_epsilon);
  visit("max_grad_norm", o.max_grad_norm);
  visit("lr_scheduler_type", o.lr_scheduler_type);
  visit("warmup_ratio", o.warmup_ratio);
  visit("warmup_steps", o.warmup_steps);
  visit("lr_end", o.lr_end);
  visit("lr_power", o.lr_power);
  visit("label_smoothing_factor", o.label_smoothing_factor);
  visit("max_seq_length", o.max_seq_length);
  visit("group_by_length", o.group_by_length);
  visit("seed", o.seed);
  visit("precision", o.precision);
  visit("device", o.device);
  visit("recompute", o.recompute);
  visit("threads", o.threads);
  visit("logging_steps", o.logging_steps);
  visit("eval_strategy", o.eval_strategy);
  visit("eval_steps", o.eval_steps);
  visit("save_strategy", o.save_strategy);
  visit("save_steps", o.save_steps);
  visit("early_stopping_patience", o.early_stopping_patience);
  visit("early_stopping_threshold", o.early_stopping_threshold);
  visit("metric_for_best_model", o.metric_for_best_model);
  visit("load_best_model_at_end", o.load_best_model_at_end);
}

Json options_json(const TrainOptions& options);

// A sentence for each value that was asked for and does nothing beside the others.
std::vector<std::string> idle_options(const TrainOptions& options, bool has_validation);

PlanOptions plan_options(const TrainOptions& options);
ScheduleOptions schedule_options(const TrainOptions& options, int64_t total_steps);

}  // namespace hone
