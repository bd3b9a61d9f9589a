// A run's configuration file as values: sections model, task (or tasks), data, train, peft,
// regularise, stages, output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/augment.h"
#include "run/dataset.h"
#include "tasks/peft.h"
#include "tune/trainer.h"

namespace hone {

struct RunConfig {
  std::string path;   // of the file
  std::string model;  // a folder or a hub name
  Start start;        // model.init and model.dropout
  DataOptions data;   // where several tasks have data of their own: what splits there are
  std::vector<DataOptions> task_data;  // of each of several tasks, where each has its own
  TrainOptions train;
  std::optional<PeftOptions> peft;
  // The folder of the adapter that the run goes on with, whose base model `model` is; "": none.
  std::string adapter;
  std::vector<ChosenRegulariser> regularisers;
  std::optional<AugmentOptions> augment;
  std::string output_dir;
  bool overwrite = false;
  bool has_overrides = false;  // values that the file does not hold
  std::string resolved;        // YAML, nothing left implicit
  std::string stage;           // its name, of one of a run's stages; "": the run itself
  // Whole runs before this one, each of which begins with the model that the one before it saved,
  // and so does this one. Each writes into a folder of its own below this one's.
  std::vector<RunConfig> stages;
  // The runs that `seeds` and `folds` ask for: this configuration with other seeds, on other folds
  // of its data, each in a folder of its own below this one's; empty: it is one run.
  std::vector<RunConfig> repeats;
  int64_t fold = 0;  // of one of several runs, from 1; 0: there are no folds

  std::vector<DataOptions> all_data() const;  // what is read: `task_data`, or `data`

  // `max_seq_length`: tokens of the longest sample.
  std::shared_ptr<Task> make_task(int64_t max_seq_length) const;

  std::string last_model() const;  // that the run itself begins with: the last stage's

  // Every complaint names its place: unknown keys, wrong types, values out of range.
  static RunConfig load(const std::string& path, const std::vector<std::string>& overrides);
  // The same of a configuration that is there already; `path`: of the file that it came from.
  static RunConfig read_whole(Config root, const std::string& path);

 private:
  explicit RunConfig(Config task) : task_(std::move(task)) {}
  void read_data(Config& root);
  static RunConfig read(Config& root, const std::string& path);  // all but `stages`
  static RunConfig read_repeats(Config& root, const std::string& path);
  void read_stage(Config& stage, const Config& root, Json& resolved_stages);

  Config task_;
  bool has_tasks_ = false;  // task_ is the section `tasks`
};

}  // namespace hone
