// A run's configuration file as values: sections model, task, data, train, peft,
// regularise, output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/dataset.h"
#include "tasks/peft.h"
#include "tune/trainer.h"

namespace hone {

struct RunConfig {
  std::string path;   // of the file
  std::string model;  // a folder or a hub name
  DataOptions data;
  TrainOptions train;
  std::optional<PeftOptions> peft;
  std::vector<ChosenRegulariser> regularisers;
  std::string output_dir;
  bool overwrite = false;
  bool has_overrides = false;  // values that the file does not hold
  std::string resolved;        // YAML, nothing left implicit

  // `max_seq_length`: tokens of the longest sample.
  std::shared_ptr<Task> make_task(int64_t max_seq_length) const;

  // Every complaint names its place: unknown keys, wrong types, values out of range.
  static RunConfig load(const std::string& path, const std::vector<std::string>& overrides);

 private:
  explicit RunConfig(Config task) : task_(std::move(task)) {}
  Config task_;
};

}  // namespace hone
