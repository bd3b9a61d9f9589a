// A whole run, as `hone train` makes it: read and encode the data, fine-tune, save the model, test
// it, write the report.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/run_config.h"
#include "run/tested.h"
#include "tasks/pipeline.h"
#include "tune/trainer.h"

namespace hone {

class SharedInputs;

// What a configuration does not say.
struct RunOptions {
  bool resume = false;                          // continue the interrupted run in output.dir
  std::string command = {};                     // for the report: what starts this run again
  std::atomic<bool>* stop_requested = nullptr;  // once set: end after the step, everything saved
  // The user's signal, where stop_requested is another one, which is then set too: what no event
  // interrupts (answers of an evaluation, translations) ends at once.
  const std::atomic<bool>* interrupted = nullptr;
  SharedInputs* shared = nullptr;  // of several runs one after the other: what they have in common
};

struct RunResult {
  TrainResult training;
  std::unique_ptr<Pipeline> pipeline;  // the trained model, ready to answer
  std::string model;                   // the folder that holds it; "" where the run was interrupted
  std::optional<Tested> test;  // on test data, else on validation data; nothing without either, or
                               // where the run was interrupted
};

// The stages of the configuration first, where it has some. Writes into config.output_dir what
// docs/file-formats.md lists. `listeners` hear of each step,
// evaluation and checkpoint. Throws Error; whatever was saved before stays.
RunResult fine_tune(const RunConfig& config, const RunOptions& options = {},
                    const std::vector<Listener>& listeners = {});

}  // namespace hone
