// The loop: one for all tasks. It knows no task and prints nothing; it emits events.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/plan.h"
#include "data/sample_store.h"
#include "tasks/pipeline.h"
#include "tune/events.h"
#include "tune/identity.h"
#include "tune/optim/adamw.h"
#include "tune/schedule.h"

namespace hone {

// The `train` section. Names and defaults are those of transformers.TrainingArguments unless said
// otherwise.
struct TrainOptions {
  double num_train_epochs = 3;
  int64_t max_steps = -1;                    // > 0 overrides epochs
  int64_t per_device_train_batch_size = 32;  // (there: 8)
  int64_t max_tokens_per_batch = 0;          // > 0: micro-batches by token budget instead
  int64_t gradient_accumulation_steps = 1;
  int64_t per_device_eval_batch_tokens = 2048;
  double learning_rate = 5e-5;
  double weight_decay = 0.01;  // (there: 0)
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  // 0: no clipping
  std::string lr_scheduler_type = "linear";
  double warmup_ratio = 0.0;
  int64_t warmup_steps = 0;
  double lr_end = 1e-7, lr_power = 1.0;  // polynomial
  double label_smoothing_factor = 0.0;
  int64_t max_seq_length = 0;  // 0: the model's limit
  bool group_by_length = true;
  int64_t seed = 42;
  std::string precision = "auto";  // auto | fp32 | bf16
  std::string device = "auto";     // auto | cpu | cuda | cuda:N
  bool recompute = false;          // blocks keep their input alone for backward
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
  // where there are none.
  static TrainOptions read(Config& section, bool has_validation = true);
};

struct TrainResult {
  int64_t steps = 0, best_step = 0;
  double best_score = 0, seconds = 0, tokens_per_second = 0;
  bool interrupted = false, stopped_early = false;
  std::string precision;  // in force: fp32 or bf16
};

struct TrainerInputs {
  Pipeline* pipeline;
  const SampleStore* train;
  std::function<Where(int64_t record)> where_of;  // of a training record
  // Score and mean loss on validation data; empty where there is none.
  std::function<std::pair<Report, double>()> evaluate;
  RowFingerprint train_rows, validation_rows;  // compared at resume
  std::string output_dir;
  bool resume = false;  // continue from output_dir/checkpoints/last
  // Called (where there is one) when all that may fail before training has not failed, before
  // anything is written.
  std::function<void()> begin;
  std::atomic<bool>* stop_requested =
      nullptr;  // set by SIGINT or SIGTERM: end after the step, save, return interrupted
};

TrainResult train(const TrainerInputs& inputs, const TrainOptions& options,
                  const std::vector<Listener>& listeners);

}  // namespace hone
