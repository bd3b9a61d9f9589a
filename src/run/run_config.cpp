#include "run/run_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/folder_name.h"
#include "tasks/peft_folder.h"
#include "tasks/several/several.h"

namespace hone {
namespace {

// An adapter that the run goes on with says all that the section could.
std::optional<PeftOptions> continued_peft(const Config& root, RunConfig& config) {
  const PeftOptions options = read_adapter_options(config.model);
  if (root.has("peft"))
    throw root.error("peft", fmt::format("model.path is an adapter ({}), which brings its own "
                                         "section peft: leave this one out to go on with it, or "
                                         "merge it first (hone merge)",
                                         config.model));
  config.adapter = config.model;
  config.model = options.base;
  return options;
}

// A folder is named in full, so that the adapter finds it from wherever it is loaded.
std::optional<PeftOptions> read_peft(Config& root, RunConfig& config) {
  if (is_adapter_folder(config.model)) return continued_peft(root, config);
  if (!root.has("peft")) return std::nullopt;
  const std::string& model = config.model;
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
  refuse("seeds", "the run itself is repeated, with its stages");
  refuse("folds", "the run itself is repeated, with its stages");
  refuse("peft", "what comes after it begins with a whole model");
}

// One task, or a section of several.
Config task_section(Config& root) {
  if (!root.has("tasks")) return root.section("task");
  if (root.has("task"))
    throw root.error("task", "\"task\" stands beside \"tasks\"; a run has one of them");
  if (root.is_list("tasks"))
    throw root.error("tasks",
                     "\"tasks\" must be a mapping of names and tasks: {topic: {task: {name: "
                     "classify}}, names: {task: {name: ner}}}");
  Config tasks = root.section("tasks");
  if (tasks.keys().size() < 2)
    throw root.error("tasks", "there is one task here: write it as the section \"task\"");
  return tasks;
}

bool has_own_data(Config& tasks) {
  bool has = false;
  for (const std::string& name : tasks.keys()) has = has || tasks.section(name).has("data");
  return has;
}

// How many runs the configuration asks for.
int64_t count_in(Config& root, const char* key, int64_t usual) {
  constexpr int64_t kMost = 1000;
  const int64_t count = root.get(key, usual);
  if (count < usual || count > kMost)
    throw root.error(
        key, fmt::format("\"{}\" is {}; it must be from {} to {}", key, count, usual, kMost));
  return count;
}

// Probabilities by the names that the model's config.json has for them.
Json read_dropout(Config& model) {
  Json changes = Json::object();
  if (!model.has("dropout")) return changes;
  Config section = model.section("dropout");
  for (const std::string& key : section.keys()) {
    const double p = section.get(key, 0.0);
    if (!(p >= 0 && p < 1))
      throw section.error(
          key,
          fmt::format("\"{}\" is {}; a dropout probability is at least 0 and less than 1", key, p));
    changes[key] = p;
  }
  return changes;
}

// What a stage's own sections take the place of.
void leave_out_replaced(Config& stage, std::vector<std::string>& without) {
  if (stage.has("task") && !stage.has("tasks")) without.emplace_back("tasks");
  if (!stage.has("tasks")) return;
  Config tasks = stage.section("tasks");
  if (!stage.has("task")) without.emplace_back("task");
  if (!stage.has("data") && has_own_data(tasks)) without.emplace_back("data");
}

// Texts are cleaned alike, whosever they are: a saved model has one way of it.
void need_one_way_to_clean(const Config& tasks, const std::vector<std::string>& names,
                           const std::vector<DataOptions>& data) {
  for (size_t i = 1; i < data.size(); ++i) {
    if (data[i].clean.json() != data.front().clean.json())
      throw tasks.error(names[i], fmt::format("its data.clean differs from that of {}: texts are "
                                              "cleaned alike for all tasks",
                                              names.front()));
  }
}

// The splits that any of them has.
DataOptions joined(const std::vector<DataOptions>& data) {
  DataOptions all;
  for (const DataOptions& one : data) {
    for (const auto& source : one.sources) all.sources.insert(source);
    for (const std::string& test : one.tests) {
      if (std::find(all.tests.begin(), all.tests.end(), test) == all.tests.end())
        all.tests.push_back(test);
    }
  }
  all.clean = data.front().clean;
  return all;
}

}  // namespace

std::vector<DataOptions> RunConfig::all_data() const {
  return task_data.empty() ? std::vector{data} : task_data;
}

std::shared_ptr<Task> RunConfig::make_task(int64_t max_seq_length) const {
  Config section = task_;
  if (has_tasks_) return several::kInfo.make(section, max_seq_length);
  const std::string name = section.require("name");
  if (name == several::kTaskName)
    throw section.error("name",
                        "several tasks are written as the section \"tasks\" in the place of "
                        "\"task\" (docs/tasks/several.md)");
  return task_named(name).make(section, max_seq_length);
}

// One section whose rows name their tasks, or one for each task.
void RunConfig::read_data(Config& root) {
  std::vector<std::string> with, without;
  for (const std::string& name : has_tasks_ ? task_.keys() : std::vector<std::string>{})
    (task_.section(name).has("data") ? with : without).push_back(name);
  if (with.empty()) {
    Config section = root.section("data");
    data = DataOptions::read(section);
    return;
  }
  if (root.has("data"))
    throw root.error("data",
                     fmt::format("\"data\" stands beside the data of task {}; give all tasks "
                                 "their own, or one \"data\" whose rows name their task",
                                 with.front()));
  if (!without.empty())
    throw task_.error(
        without.front(),
        fmt::format("task {} has no \"data\", and task {} has its own; give all tasks "
                    "their own, or one \"data\" whose rows name their task",
                    without.front(), with.front()));
  for (const std::string& name : with) {
    Config section = task_.section(name).section("data");
    task_data.push_back(DataOptions::read(section));
  }
  need_one_way_to_clean(task_, with, task_data);
  data = joined(task_data);
}

RunConfig RunConfig::read(Config& root, const std::string& path) {
  Config model = root.section("model");
  const std::string model_path = model.require("path");
  const std::string init = model.choice("init", "pretrained", {"pretrained", "random"});
  RunConfig config(task_section(root));
  config.has_tasks_ = root.has("tasks");
  config.path = path;
  config.model = model_path;
  config.start.at_random = init == "random";
  config.start.config = read_dropout(model);
  config.make_task(
      0);  // reads the task's keys, so that a wrong one is told of before anything is loaded
  Config train = root.section("train"), regularise = root.section("regularise"),
         output = root.section("output");
  config.read_data(root);
  config.peft = read_peft(root, config);
  if (config.peft && config.start.at_random)
    throw model.error("init",
                      "adapters are trained beside weights that stay as they are: random ones know "
                      "nothing (model.init: random, peft)");
  config.train = read_train(train, config);
  config.regularisers = read_regularisers(regularise);
  if (root.has("augment")) {
    Config augment = root.section("augment");
    config.augment = AugmentOptions::read(augment);
  }
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
  for (const char* key : {"regularise", "augment"}) {
    if (!stage.has(key)) without.emplace_back(key);
  }
  leave_out_replaced(stage, without);
  Config own = stage.over(root, {"train"}, without);
  own.override_with("output.dir=" + to_text(Json(output_dir + "/stages/" + name)));
  own.override_with("model.path=" + to_text(Json(last_model())));
  if (!stages.empty()) own.override_with("model.init=pretrained");
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

// Each is a whole configuration, as if it had been written so.
RunConfig RunConfig::read_repeats(Config& root, const std::string& path) {
  const int64_t seeds = count_in(root, "seeds", 1), folds = count_in(root, "folds", 0);
  if (folds == 1)
    throw root.error("folds",
                     "\"folds\" is 1; each fold is tested by what the others train, so "
                     "there must be 2 or more");
  const Config plain = root.over(root, {}, {"seeds", "folds"});
  RunConfig config = read_whole(plain.over(plain, {}, {}), path);
  if (folds > 0 && !config.data.split)
    throw root.error("folds",
                     "folds are parts of one file: write \"data: {path: …, split: {validation: "
                     "0.1}}\" in place of a path for each split");
  for (int64_t fold = folds > 0 ? 1 : 0; fold <= folds; ++fold) {
    for (int64_t run = 0; run < seeds; ++run) {
      Config own = plain.over(plain, {}, {});
      const int64_t seed = config.train.seed + run;
      std::string name = fmt::format("seed-{}", seed);
      own.override_with(fmt::format("train.seed={}", seed));
      if (fold > 0) {
        own.override_with(fmt::format("data.split.folds={}", folds));
        own.override_with(fmt::format("data.split.fold={}", fold));
        name = fmt::format("fold-{}-{}", fold, name);
      }
      own.override_with("output.dir=" + to_text(Json(config.output_dir + "/" + name)));
      config.repeats.push_back(read_whole(own, path));
      config.repeats.back().fold = fold;
    }
  }
  config.data = config.repeats.front().data;  // what is tested
  config.resolved = fmt::format("seeds: {}\nfolds: {}\n", seeds, folds) + config.resolved;
  return config;
}

RunConfig RunConfig::read_whole(Config root, const std::string& path) {
  if (root.has("sweep"))
    throw root.error("sweep", fmt::format("these are many runs: hone sweep {}. It writes the best "
                                          "one's configuration, which is one",
                                          path));
  if (root.has("seeds") || root.has("folds")) return read_repeats(root, path);
  RunConfig config = read(root, path);
  if (root.has("stages")) {
    if (!config.adapter.empty())
      throw root.error("stages",
                       "a run that goes on with an adapter has no stages: what comes after one "
                       "begins with a whole model. Merge the adapter first (hone merge)");
    Json list = Json::array();
    for (Config& stage : root.sections("stages")) config.read_stage(stage, root, list);
    root.note("stages", std::move(list));
    config.start.at_random = false;  // of the last stage
  }
  root.refuse_unknown();
  config.resolved = root.resolved();
  return config;
}

}  // namespace hone
