#include "tasks/several/several.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/folder_name.h"
#include "tasks/fields.h"
#include "tasks/loss_weights.h"
#include "tasks/several/head.h"
#include "tasks/several/scorer.h"

namespace hone::several {
namespace {

constexpr const char* kTasks = "tasks";  // in hone.json

std::vector<std::string> names_of(const std::vector<TaskPart>& parts) {
  std::vector<std::string> names;
  for (const TaskPart& part : parts) names.push_back(part.name);
  return names;
}

// What each task has, once.
template <typename Get>
std::vector<std::string> union_of(const std::vector<TaskPart>& parts, const Get& get) {
  std::vector<std::string> all;
  for (const TaskPart& part : parts) {
    for (const std::string& one : get(*part.task)) {
      if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
    }
  }
  return all;
}

// What an error says, with the task that it is about.
[[noreturn]] void rethrow_for(const std::string& name, const Error& error) {
  throw Error(error.kind(), error.where(), fmt::format("task {}: {}", name, error.message()));
}

// What is written into config.json for one task alone.
Json config_of(const TaskPart& part, const ModelConfig& model) {
  Json config = Json::object();
  part.task->write_model_config(model, config);
  return config;
}

}  // namespace

Several::Several(std::vector<TaskPart> parts) : parts_(std::move(parts)), learned_(parts_.size()) {}

const TaskInfo& Several::info() const { return kInfo; }

size_t place_of(const Record& record, const std::vector<TaskPart>& parts) {
  const std::vector<std::string> names = names_of(parts);
  if (find_field(record, kTaskField) == nullptr)
    throw field_error(record, kTaskField,
                      fmt::format("is missing: it names the task of a row, which is one of {}; or "
                                  "name one for all rows (--task)",
                                  fmt::join(names, ", ")));
  const std::string& name = need_text(record, kTaskField);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw field_error(record, kTaskField,
                      fmt::format("is \"{}\", which is no task of these: {}{}", shortened(name, 60),
                                  fmt::join(names, ", "), did_you_mean(name, names)));
  return static_cast<size_t>(found - names.begin());
}

std::vector<std::string> Several::text_fields() const {
  return union_of(parts_, [](const Task& task) { return task.text_fields(); });
}

std::string Several::label_of(const Record& gold) const { return task_of(gold).label_of(gold); }

std::vector<std::string> Several::labels_of(const Record& gold) const {
  return task_of(gold).labels_of(gold);
}

std::vector<std::string> Several::gold_fields() const {
  return union_of(parts_, [](const Task& task) { return task.gold_fields(); });
}

bool Several::labels_places() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const TaskPart& part) { return part.task->labels_places(); });
}

void Several::learn(const Record& gold) {
  const size_t place = place_of(gold, parts_);
  parts_[place].task->learn(gold);
  ++learned_[place];
}

void Several::learn_tokens(const Record& gold, const Tokenizer& tokenizer) {
  parts_[place_of(gold, parts_)].task->learn_tokens(gold, tokenizer);
}

void Several::finish_learning() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const std::string& name = parts_[i].name;
    if (learned_[i] == 0)
      throw Error(ErrorKind::kData,
                  fmt::format("task {} has no training rows: no row says \"{}\": \"{}\"", name,
                              kTaskField, name));
    try {
      parts_[i].task->finish_learning();
    } catch (const Error& error) {
      rethrow_for(name, error);
    }
  }
}

void Several::begin_from(const std::string& model_folder, bool has_length) {
  for (const TaskPart& part : parts_) part.task->begin_from(model_folder, has_length);
}

void Several::reopen(const std::string& model_folder) {
  for (const TaskPart& part : parts_) part.task->reopen(model_folder);
}

std::vector<std::string> Several::open_options() const {
  std::vector<std::string> names;
  for (const TaskPart& part : parts_) {
    for (const std::string& option : part.task->open_options())
      names.push_back(part.name + "." + option);
  }
  return names;
}

std::vector<ChosenOption> Several::choose_options(const Report& validation) {
  std::vector<ChosenOption> all;
  for (const TaskPart& part : parts_) {
    for (ChosenOption& chosen : part.task->choose_options(metrics_of(validation, part.name))) {
      chosen.option = part.name + "." + chosen.option;
      all.push_back(std::move(chosen));
    }
  }
  return all;
}

std::vector<std::string> Several::idle_options() const {
  std::vector<std::string> sentences;
  for (const TaskPart& part : parts_) {
    for (const std::string& sentence : part.task->idle_options())
      sentences.push_back(part.name + ": " + sentence);
  }
  return sentences;
}

std::vector<Sample> Several::encode(const Record& record, const Tokenizer& tokenizer,
                                    bool with_targets, bool* truncated) const {
  const size_t place = place_of(record, parts_);
  std::vector<Sample> samples =
      parts_[place].task->encode(record, tokenizer, with_targets, truncated);
  for (Sample& sample : samples) sample.task = static_cast<int32_t>(place);
  return samples;
}

std::shared_ptr<Head> Several::make_head(const ModelConfig& config) const {
  std::vector<SeveralHead::Named> heads;
  for (const TaskPart& part : parts_)
    heads.push_back({part.name, part.task->make_head(config), part.task->can_continue(config)});
  return std::make_shared<SeveralHead>(std::move(heads));
}

bool Several::can_continue(const ModelConfig& checkpoint) const {
  Json after = checkpoint.raw;
  write_model_config(checkpoint, after);
  return checkpoint.raw.value(kTasksInConfig, Json()) == after.at(kTasksInConfig);
}

Loss Several::loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const {
  return task_of(batch).loss(outputs, batch, options);
}

double Several::targets_in(const Batch& batch) const { return task_of(batch).targets_in(batch); }

Loss Several::forward_loss(Network& network, const Batch& batch, const LossOptions& options) const {
  return task_of(batch).forward_loss(*network.part(batch.task), batch, options);
}

Divergence Several::divergence() const {
  std::vector<Divergence> all;
  for (const TaskPart& part : parts_) {
    all.push_back(part.task->divergence());
    if (!all.back()) return nullptr;
  }
  return [all](const Outputs& outputs, const Outputs& others, const Batch& batch) {
    return all.at(static_cast<size_t>(batch.task))(outputs, others, batch);
  };
}

Outputs Several::predict(Network& network, const Batch& batch) const {
  return task_of(batch).predict(*network.part(batch.task), batch);
}

std::pair<Outputs, Loss> Several::assess(Network& network, const Batch& batch) const {
  return task_of(batch).assess(*network.part(batch.task), batch);
}

Json Several::decode(const Record& record, std::span<const Row> rows,
                     const Tokenizer& tokenizer) const {
  const TaskPart& part = parts_[place_of(record, parts_)];
  Json result = part.task->decode(record, rows, tokenizer);
  result[kTaskField] = part.name;
  return result;
}

std::unique_ptr<Scorer> Several::make_scorer() const { return several::make_scorer(parts_); }

// In their order, which Sample::task counts in.
Json Several::state() const {
  Json list = Json::array();
  for (const TaskPart& part : parts_)
    list.push_back({{"name", part.name},
                    {"task", part.task->info().name},
                    {"weight", part.weight},
                    {"state", part.task->state()}});
  return {{kTasks, std::move(list)}};
}

void Several::write_model_config(const ModelConfig& model, Json& config) const {
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
  config["architectures"] = Json::array({model.architecture_stem + "ForSeveralTasks"});
  config[kTasksInConfig] = Json::object();
  for (const TaskPart& part : parts_) config[kTasksInConfig][part.name] = config_of(part, model);
}

namespace {

void check_name(const Config& section, const std::string& name) {
  if (!is_folder_name(name))
    throw section.error(name, fmt::format("\"{}\" is the name of a task, which weights and metrics "
                                          "bear: {}",
                                          name, kFolderNameRule));
}

int64_t length_of(Config& entry, int64_t longest) {
  const int64_t own = entry.get("max_seq_length", int64_t{0});
  if (own < 0 || (longest > 0 && own > longest))
    throw entry.error("max_seq_length",
                      fmt::format("\"max_seq_length\" is {}; a task may have shorter samples than "
                                  "the run, which has up to {} tokens (0: as long)",
                                  own, longest));
  return own > 0 ? own : longest;
}

void refuse_unfit(const Config& entry, const TaskInfo& info, const Task& task) {
  const auto refuse = [&](const std::string& why) {
    throw entry.error("task", fmt::format("task {} cannot be one of several: {}", info.name, why));
  };
  if (task.has_final_fit())
    refuse("a part of its head is solved for when training has ended. Train it by itself");
  if (task.generation() != nullptr)
    refuse(
        "it writes its answers token by token. Train it by itself, or in a stage "
        "(docs/stages.md)");
  if (task.has_step_loss())
    refuse(
        "its loss is over all samples of an optimizer step. Train it by itself, or in a stage "
        "(docs/stages.md)");
  const std::vector<std::string> texts = task.text_fields(), gold = task.gold_fields();
  for (const auto* fields : {&texts, &gold}) {
    if (std::find(fields->begin(), fields->end(), kTaskField) != fields->end())
      throw entry.error("task", fmt::format("the field \"{}\" names the task of a row, and can be "
                                            "no field of a task",
                                            kTaskField));
  }
}

TaskPart read_part(Config& section, const std::string& name, int64_t max_seq_length) {
  check_name(section, name);
  Config entry = section.section(name);
  Config options = entry.section("task");
  const TaskInfo& info = task_named(options.require("name"));
  if (info.name == std::string_view(kTaskName))
    throw options.error("name", "one of several tasks cannot be several itself");
  TaskPart part{name, info.make(options, length_of(entry, max_seq_length))};
  read_loss_weights(entry, {{"weight", &part.weight}});
  refuse_unfit(entry, info, *part.task);
  return part;
}

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  std::vector<TaskPart> parts;
  for (const std::string& name : section.keys())
    parts.push_back(read_part(section, name, max_seq_length));
  return std::make_unique<Several>(std::move(parts));
}

std::unique_ptr<Task> restore(const Json& state) {
  std::vector<TaskPart> parts;
  for (const Json& one : state.at(kTasks))
    parts.push_back({one.at("name").get<std::string>(),
                     task_named(one.at("task").get<std::string>()).restore(one.at("state")),
                     one.at("weight").get<double>()});
  return std::make_unique<Several>(std::move(parts));
}

}  // namespace

const TaskInfo kInfo{kTaskName, "several tasks on one encoder, each with a head of its own", make,
                     restore};

}  // namespace hone::several
