#include "run/run_config.h"

#include <filesystem>

namespace hone {
namespace {

// A folder is named in full, so that the adapter finds it from wherever it is loaded.
std::optional<PeftOptions> read_peft(Config& root, const std::string& model) {
  if (!root.has("peft")) return std::nullopt;
  Config section = root.section("peft");
  PeftOptions options = PeftOptions::read(section);
  options.base = std::filesystem::is_directory(model)
                     ? std::filesystem::absolute(model).lexically_normal().string()
                     : model;
  return options;
}

// Few weights beside a frozen model take a higher rate than the whole of it.
TrainOptions read_train(Config& section, const RunConfig& config) {
  const bool has_validation = config.data.sources.contains("validation");
  return config.peft
             ? TrainOptions::read(section, has_validation, config.peft->method.learning_rate)
             : TrainOptions::read(section, has_validation);
}

}  // namespace

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
  config.peft = read_peft(root, config.model);
  config.train = read_train(train, config);
  config.regularisers = read_regularisers(regularise);
  config.output_dir = output.require("dir");
  config.overwrite = output.get("overwrite", false);
  root.refuse_unknown();
  config.resolved = root.resolved();
  return config;
}

}  // namespace hone
