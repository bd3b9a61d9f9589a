#include "run/run_config.h"

namespace hone {

std::shared_ptr<Task> RunConfig::make_task(int64_t max_seq_length) const {
  Config section = task_;
  return task_named(section.require("name")).make(section, max_seq_length);
}

RunConfig RunConfig::load(const std::string& path, const std::vector<std::string>& overrides) {
  Config root = Config::load(path, overrides);
  Config model = root.section("model");
  const std::string model_path = model.require("path");
  RunConfig config(root.section("task"));
  config.path = path;
  config.has_overrides = !overrides.empty();
  config.model = model_path;
  config.make_task(
      0);  // reads the task's keys, so that a wrong one is told of before anything is loaded
  Config data = root.section("data"), train = root.section("train"),
         regularise = root.section("regularise"), output = root.section("output");
  config.data = DataOptions::read(data);
  config.train = TrainOptions::read(train, config.data.sources.contains("validation"));
  config.regularisers = read_regularisers(regularise);
  config.output_dir = output.require("dir");
  config.overwrite = output.get("overwrite", false);
  root.refuse_unknown();
  config.resolved = root.resolved();
  return config;
}

}  // namespace hone
