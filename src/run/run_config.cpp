#include "run/run_config.h"

#include <fmt/format.h>

#include <filesystem>

#include "run/folder_name.h"

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

void check_stage(const Config& stage, const std::string& name,
                 const std::vector<RunConfig>& before) {
  if (!is_folder_name(name))
    throw stage.error("name",
                      fmt::format("the name of a stage is a folder's too: {}", kFolderNameRule));
  for (const RunConfig& other : before) {
    if (other.stage == name)
      throw stage.error("name", fmt::format("two stages have the name \"{}\"", name));
  }
  const auto refuse = [&](const char* key, const char* why) {
    if (stage.has(key)) throw stage.error(key, fmt::format("a stage has no \"{}\": {}", key, why));
  };
  refuse("model", "it begins with the model of the stage before it, the first one with the run's");
  refuse("output", "it writes into a folder of its name below the run's output.dir");
  refuse("peft", "what comes after it begins with a whole model");
}

}  // namespace

std::shared_ptr<Task> RunConfig::make_task(int64_t max_seq_length) const {
  Config section = task_;
  return task_named(section.require("name")).make(section, max_seq_length);
}

RunConfig RunConfig::read(Config& root, const std::string& path) {
  Config model = root.section("model");
  const std::string model_path = model.require("path");
  RunConfig config(root.section("task"));
  config.path = path;
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
  return config;
}

// The stage's keys over the run's own. Sections that belong to the run's own task or folder alone
// are not taken over.
void RunConfig::read_stage(Config& stage, const Config& root, Json& resolved_stages) {
  const std::string name = stage.require("name");
  check_stage(stage, name, stages);
  std::vector<std::string> without = {"name", "stages", "peft"};
  if (!stage.has("regularise")) without.emplace_back("regularise");
  Config own = stage.over(root, {"train"}, without);
  own.override_with("output.dir=" + to_text(Json(output_dir + "/stages/" + name)));
  own.override_with("model.path=" + to_text(Json(last_model())));
  RunConfig config = read(own, path);
  own.refuse_unknown();
  config.stage = name;
  config.resolved = own.resolved();
  stages.push_back(std::move(config));
  Json& one = resolved_stages.emplace_back(Json{{"name", name}});
  one.update(own.resolved_json());
  for (const char* key : {"model", "output"}) one.erase(key);
}

std::string RunConfig::last_model() const {
  return stages.empty() ? model : stages.back().output_dir + "/model";
}

RunConfig RunConfig::load(const std::string& path, const std::vector<std::string>& overrides) {
  RunConfig config = read_whole(Config::load(path, overrides), path);
  config.has_overrides = !overrides.empty();
  return config;
}

RunConfig RunConfig::read_whole(Config root, const std::string& path) {
  RunConfig config = read(root, path);
  if (root.has("stages")) {
    Json list = Json::array();
    for (Config& stage : root.sections("stages")) config.read_stage(stage, root, list);
    root.note("stages", std::move(list));
  }
  root.refuse_unknown();
  config.resolved = root.resolved();
  return config;
}

}  // namespace hone
