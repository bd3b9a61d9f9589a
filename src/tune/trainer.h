// The loop: one for all tasks. It knows no task and prints nothing; it emits events.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/sample_store.h"
#include "tasks/pipeline.h"
#include "tune/events.h"
#include "tune/identity.h"
#include "tune/regularise/regulariser.h"
#include "tune/train_options.h"

namespace hone {

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
  // Score and mean loss on validation data; empty where there is none. Gives nothing where it was
  // interrupted: `stop_requested` is set then.
  std::function<std::optional<std::pair<Report, double>>()> evaluate;
  std::vector<ChosenRegulariser> regularisers;
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
