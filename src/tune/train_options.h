// The `train` section: its values, and its keys in one list that reading, the copy kept in a
// checkpoint and the comparison at resume all walk.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/config.h"
#include "base/json.h"
#include "data/plan.h"
#include "data/sample_store.h"
#include "tune/schedule.h"

namespace hone {

// Patterns over the names of weights: * ? [abc] as in a shell, * any number of characters, dots
// too. A name is that of the checkpoint, with or without the model's own prefix ("bert.").
struct Patterns {
  std::vector<std::string> globs;
  Where where;  // in the configuration
};
void to_json(Json& json, const Patterns& patterns);

// Weights with a rate or a decay of their own. The first group that names a weight takes it.
struct ParameterGroup {
  Patterns parameters;
  double learning_rate = 0;            // its highest rate; 0: the run's, times `factor`
  double factor = 1;                   // of the run's rate
  std::optional<double> weight_decay;  // where the weight decays at all; empty: the run's
};
void to_json(Json& json, const ParameterGroup& group);

// The `train` section. Names and defaults are those of transformers.TrainingArguments unless said
// otherwise.
struct TrainOptions {
  double num_train_epochs = 3;
  int64_t max_steps = -1;                    // > 0 overrides epochs
  int64_t per_device_train_batch_size = 32;  // (there: 8)
  int64_t max_tokens_per_batch = 0;          // > 0: micro-batches by token budget instead
  int64_t gradient_accumulation_steps = 1;
  int64_t per_device_eval_batch_tokens = 0;  // 0: usual_tokens of the device
  std::string optim = "adamw_torch";         // a name of the table in tune/optim/registry.cpp
  Json optim_args = Json::object();          // the optimizer's own options, all of them
  std::string optim_moments = "fp32";        // fp32 | bf16 | int8: what AdamW keeps its moments in
  double learning_rate = 5e-5;
  double weight_decay = 0.01;  // (there: 0)
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;       // 0: no clipping
  double layerwise_lr_decay = 1.0;  // of the rate, from a layer to the one below it
  Patterns freeze;                  // weights that stay as they are
  std::vector<ParameterGroup> groups;
  std::string lr_scheduler_type = "linear";  // a name of the table in tune/schedule.cpp
  double warmup_ratio = 0.0;
  int64_t warmup_steps = 0;
  double lr_end = 1e-7, lr_power = 1.0;  // polynomial
  double lr_num_cycles = 1;              // cosine_with_restarts
  double lr_decay_ratio = 0.1;           // warmup_stable_decay: the last share of the steps
  double lr_plateau_factor = 0.1;        // reduce_lr_on_plateau: of the rate, when it falls
  int64_t lr_plateau_patience = 10;      // after more evaluations than these without a better one
  double label_smoothing_factor = 0.0;
  int64_t max_seq_length = 0;  // 0: the model's limit
  bool group_by_length = true;
  std::string task_sampling = "size";   // of several tasks: size | equal | temperature
  double task_temperature = 2;          // samples of a task are drawn by size^(1 / temperature)
  std::string class_sampling = "size";  // of classes: size | sqrt | equal
  int64_t seed = 42;
  std::string precision = "auto";  // auto | fp32 | bf16
  bool tf32 = false;               // fp32 products of a GPU in TF32
  std::string device = "auto";     // auto | cpu | cuda | cuda:N
  bool cuda_graphs = false;        // passes of small batches recorded once, replayed as one launch
  bool recompute = false;          // blocks keep their input alone for backward
  double cache_frozen = 0;         // GB of disk for what frozen lower layers give; 0: none
  int64_t threads = 0;             // 0: all cores
  int64_t logging_steps = 10;
  std::string eval_strategy = "epoch";  // no | steps | epoch
  int64_t eval_steps = 500;
  std::string save_strategy =
      "epoch";  // no | steps | epoch  (saves `last`; `best` is saved when it improves)
  int64_t save_steps = 500;
  int64_t early_stopping_patience = 0;  // evaluations without improvement; 0: off
  double early_stopping_threshold = 0.0;
  std::string metric_for_best_model;  // "": the task's main metric; "loss" is known too
  bool load_best_model_at_end = true;

  // Validates: every complaint names its place. What only validation data can give is refused
  // where there are none. `learning_rate` is in force where the section has none.
  static TrainOptions read(Config& section, bool has_validation = true,
                           double learning_rate = 5e-5);
  // Whether the optimizer sets the rate of each step itself (Adafactor), whatever the run's.
  bool has_relative_steps() const;
};

// Calls visit(name, field) for each key, in the order of the struct.
template <typename Options, typename Visitor>
  requires std::same_as<std::remove_const_t<Options>, TrainOptions>
void for_each_option(Options& o, Visitor&& visit) {
  visit("num_train_epochs", o.num_train_epochs);
  visit("max_steps", o.max_steps);
  visit("per_device_train_batch_size", o.per_device_train_batch_size);
  visit("max_tokens_per_batch", o.max_tokens_per_batch);
  visit("gradient_accumulation_steps", o.gradient_accumulation_steps);
  visit("per_device_eval_batch_tokens", o.per_device_eval_batch_tokens);
  visit("optim", o.optim);
  visit("optim_args", o.optim_args);
  visit("optim_moments", o.optim_moments);
  visit("learning_rate", o.learning_rate);
  visit("weight_decay", o.weight_decay);
  visit("adam_beta1", o.adam_beta1);
  visit("adam_beta2", o.adam_beta2);
  visit("adam_epsilon", o.adam_epsilon);
  visit("max_grad_norm", o.max_grad_norm);
  visit("layerwise_lr_decay", o.layerwise_lr_decay);
  visit("freeze", o.freeze);
  visit("groups", o.groups);
  visit("lr_scheduler_type", o.lr_scheduler_type);
  visit("warmup_ratio", o.warmup_ratio);
  visit("warmup_steps", o.warmup_steps);
  visit("lr_end", o.lr_end);
  visit("lr_power", o.lr_power);
  visit("lr_num_cycles", o.lr_num_cycles);
  visit("lr_decay_ratio", o.lr_decay_ratio);
  visit("lr_plateau_factor", o.lr_plateau_factor);
  visit("lr_plateau_patience", o.lr_plateau_patience);
  visit("label_smoothing_factor", o.label_smoothing_factor);
  visit("max_seq_length", o.max_seq_length);
  visit("group_by_length", o.group_by_length);
  visit("task_sampling", o.task_sampling);
  visit("task_temperature", o.task_temperature);
  visit("class_sampling", o.class_sampling);
  visit("seed", o.seed);
  visit("precision", o.precision);
  visit("tf32", o.tf32);
  visit("device", o.device);
  visit("cuda_graphs", o.cuda_graphs);
  visit("recompute", o.recompute);
  visit("cache_frozen", o.cache_frozen);
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
// The same of samples of several tasks, or classes, and in pairs where a regulariser wants them so.
// `samples` must outlive the plan.
PlanOptions plan_options(const TrainOptions& options, const SampleStore& samples, bool pairs);
ScheduleOptions schedule_options(const TrainOptions& options, int64_t total_steps);

}  // namespace hone
