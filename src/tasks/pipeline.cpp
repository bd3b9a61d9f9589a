// Making, loading and saving of pipelines; what they answer is in pipeline_run.cpp.
#include "tasks/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "models/precision.h"
#include "models/weights.h"
#include "tasks/ensemble.h"
#include "tasks/manifest.h"
#include "tasks/peft_folder.h"
#include "tasks/pretrained.h"

namespace hone {
namespace {

constexpr const char* kWeights = "/model.safetensors";

// A task's saved options with others in their place, checked as those of a configuration are.
Json replace_options(const TaskInfo& info, Json state, const std::vector<std::string>& others) {
  const Json saved = state.at("options");
  Json shown = saved;
  shown.erase("max_seq_length");  // no key of a task's section
  Config section = Config::parse(to_text(shown), "the model's task", others);
  std::vector<std::string> names;
  for (const auto& [name, value] : shown.items()) names.push_back(name);
  for (const std::string& key : section.keys()) {
    if (!shown.contains(key))
      throw section.error(key, fmt::format("\"{}\" is no option that a saved model of task {} can "
                                           "change{}",
                                           key, info.name, did_you_mean(key, names)));
  }
  state["options"] =
      info.make(section, saved.value("max_seq_length", int64_t{0}))->state().at("options");
  return state;
}

// The saved state of a task with other options in place of its own; of several tasks, those of the
// one named.
Json with_options(const TaskInfo& info, Json state, const std::vector<std::string>& options,
                  const std::string& part) {
  if (options.empty()) return state;
  if (!state.contains("tasks")) return replace_options(info, std::move(state), options);
  if (part.empty())
    throw Error(ErrorKind::kUsage,
                "options of a task need the name of the task beside them: "
                "--task NAME");
  for (Json& one : state["tasks"]) {
    if (one.at("name") == part)
      one["state"] =
          replace_options(task_named(one.at("task").get<std::string>()), one.at("state"), options);
  }
  return state;
}

std::unique_ptr<Task> restore_task(const Json& manifest, const std::string& folder,
                                   const std::vector<std::string>& options,
                                   const std::string& part) {
  const std::string path = manifest_path(folder);
  if (!manifest["task"].is_string())
    throw Error(ErrorKind::kModel, {path}, "\"task\" must be a name.");
  try {
    const TaskInfo& info = task_named(manifest["task"].get<std::string>());
    return info.restore(with_options(info, manifest["state"], options, part));
  } catch (const Error& error) {  // a name or value that no task has
    if (!options.empty()) throw;
    throw Error(ErrorKind::kModel, {path}, error.what());
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kModel, {path},
                fmt::format("\"state\" is not what task {} wrote ({}).", manifest["task"].dump(),
                            error.what()));
  }
}

// Where one of several tasks stands among them.
size_t place_of_part(const Task& task, const std::string& name) {
  std::vector<std::string> names;
  for (const TaskPart& part : task.parts()) names.push_back(part.name);
  if (names.empty())
    throw Error(ErrorKind::kUsage, fmt::format("the model has one task, {}; leave --task {} out",
                                               task.info().name, name));
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw Error(ErrorKind::kUsage, fmt::format("the model has no task \"{}\"; it has {}{}", name,
                                               fmt::join(names, ", "), did_you_mean(name, names)));
  return static_cast<size_t>(found - names.begin());
}

// The longest sample that the saved options name, where they do, must be one that special tokens
// leave room in and that the model has positions for.
void check_saved_length(const Json& state, const Tokenizer& tokenizer, const ModelConfig& config,
                        const std::string& folder) {
  for (const Json& one : state.value("tasks", Json::array()))
    check_saved_length(one.at("state"), tokenizer, config, folder);
  if (!state.contains("options") || !state["options"].contains("max_seq_length")) return;
  const Json& length = state["options"]["max_seq_length"];
  const auto least = static_cast<uint64_t>(tokenizer.special_tokens_added(false)),
             most = static_cast<uint64_t>(config.max_positions);
  const uint64_t tokens = length.is_number_unsigned() ? length.get<uint64_t>() : UINT64_MAX;
  if (tokens == 0 || (tokens >= least && tokens <= most)) return;
  throw Error(ErrorKind::kModel, {manifest_path(folder)},
              fmt::format("\"max_seq_length\" is {}; this model takes {} to {} tokens.",
                          length.dump(), least, most));
}

// Of models of before, the defaults: they were in force unless data.clean said otherwise.
CleanOptions restore_clean(const Json& manifest, const std::string& folder) {
  if (!manifest.contains("data")) return {};
  try {
    Config data = Config::from_json(manifest["data"], manifest_path(folder));
    Config clean = data.section("clean");
    const CleanOptions options = CleanOptions::read(clean);
    data.refuse_unknown();
    return options;
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, error.where(), error.message());
  }
}

// What the run computed in; nothing of models of before.
std::optional<Precision> restore_precision(const Json& manifest, const std::string& folder) {
  if (!manifest.contains("precision")) return std::nullopt;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    if (manifest["precision"] == precision_name(precision)) return precision;
  }
  throw Error(ErrorKind::kModel, {manifest_path(folder)},
              fmt::format("\"precision\" is {}, which is none of fp32, bf16, int8.",
                          manifest["precision"].dump()));
}

void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config,
                      const std::string& folder) {
  const int64_t rows = config.encoder_decoder && config.encoder_decoder->reads_text
                           ? config.encoder_decoder->source_vocabulary
                           : config.vocab_size;
  const auto check = [&](const Tokenizer& of, int64_t most) {
    if (of.vocab_size() > most)
      throw Error(ErrorKind::kModel, {folder},
                  fmt::format("the tokenizer has {} entries, but the model's embeddings have {} "
                              "rows: they do not belong together.",
                              of.vocab_size(), most));
  };
  check(tokenizer, rows);
  if (tokenizer.of_targets() != nullptr) check(*tokenizer.of_targets(), config.vocab_size);
}

// The network of a folder that `save` wrote: all of its weights are there.
std::shared_ptr<Network> restore_network(const std::string& folder, ModelConfig config,
                                         const Task& task) {
  StateDict weights = load_state_dict(folder);
  settle_copies(config, weights, folder);
  config.compare_with(weights, folder);
  std::shared_ptr<Network> network = make_network(config, task);
  const LoadReport report =
      load_into(network->stored_weights(), weights, config.base_prefix, folder);
  if (!report.missing.empty()) {
    throw Error(ErrorKind::kModel, {folder + kWeights},
                fmt::format("{} missing ({}).", count_of(report.missing.size(), "weight"),
                            first_names(report.missing)));
  }
  return network;
}

// The network of a folder that `save` wrote with adapters.
std::shared_ptr<Network> restore_adapted(const std::string& path, ModelConfig config,
                                         const Task& task, const AdapterBase& base,
                                         std::optional<Adapted>& adapted) {
  AdapterFolder folder = read_adapter_folder(path);
  if (base.in_full) folder.options.base_form = {};
  settle_copies(config, folder.base_weights, folder.base);
  config.compare_with(folder.base_weights, folder.base);
  std::shared_ptr<Network> network = make_network(config, task);
  std::optional<BaseInUse> beside;
  if (base.beside != nullptr)
    beside.emplace(BaseInUse{base.beside->network(), base.beside->adapted().value()});
  adapted = load_adapter(*network, folder, beside);
  return network;
}

// Transformers' name of the task's network; "" where it has none.
std::string architecture_of(const Task& task, const ModelConfig& config) {
  Json json = config.raw;
  task.write_model_config(config, json);
  const Json names = json.value("architectures", Json::array());
  return names.is_array() && !names.empty() && names[0].is_string() ? names[0].get<std::string>()
                                                                    : "";
}

}  // namespace

int64_t sequence_limit(const ModelConfig& config, const Tokenizer& tokenizer, int64_t asked) {
  if (asked > config.max_positions) {
    throw Error(ErrorKind::kUsage,
                fmt::format("max_seq_length is {}, but the model has positions for {} tokens only.",
                            asked, config.max_positions));
  }
  if (asked > 0) return asked;
  return tokenizer.max_length() > 0 ? std::min(tokenizer.max_length(), config.max_positions)
                                    : config.max_positions;
}

std::unique_ptr<Pipeline> Pipeline::create(const std::string& model_folder,
                                           std::shared_ptr<const Tokenizer> tokenizer,
                                           std::shared_ptr<Task> task, uint64_t seed,
                                           const CleanOptions& clean,
                                           const std::optional<PeftOptions>& peft,
                                           const Start& start) {
  if (!start.at_random) verify_source(model_folder);
  const ModelConfig config = ModelConfig::load(model_folder, start.config);
  check_vocabulary(*tokenizer, config, model_folder);
  std::unique_ptr<Pipeline> pipeline(new Pipeline());
  std::optional<BaseStart> base;
  if (peft) base.emplace(BaseStart{*peft});
  pipeline->network_ = start.at_random ? random_network(config, *task, seed)
                                       : network_from(model_folder, config, *task, seed,
                                                      base ? &*base : nullptr, start.needs_head);
  if (peft)
    pipeline->adapted_ = adapt(
        *pipeline->network_, *peft,
        {.fresh = base->fresh, .seed = seed, .tokenizer = tokenizer.get(), .known = &base->hashes});
  task->take_positions(pipeline->network_->backbone().positions_taken());
  if (peft && !peft->task_type.empty()) require_task_type(*peft, architecture_of(*task, config));
  pipeline->network_->eval();
  pipeline->info_ = &task->info();
  pipeline->tokenizer_ = std::move(tokenizer);
  pipeline->task_ = std::move(task);
  pipeline->clean_ = clean;
  return pipeline;
}

std::unique_ptr<Pipeline> Pipeline::load(const std::string& folder,
                                         const std::vector<std::string>& task_options,
                                         const std::string& part, const AdapterBase& base) {
  if (is_ensemble_folder(folder)) return load_ensemble(folder, task_options, part);
  const Json manifest = read_manifest(folder);
  std::unique_ptr<Pipeline> pipeline(new Pipeline());
  std::unique_ptr<Task> task = restore_task(manifest, folder, task_options, part);
  task->reopen(folder);
  pipeline->task_ = std::move(task);
  pipeline->clean_ = restore_clean(manifest, folder);
  pipeline->trained_in_ = restore_precision(manifest, folder);
  pipeline->info_ = &pipeline->task_->info();
  pipeline->tokenizer_ = Tokenizer::load(folder);
  const ModelConfig config = ModelConfig::load(folder);
  check_saved_length(manifest["state"], *pipeline->tokenizer_, config, folder);
  if (is_adapter_folder(folder)) {
    pipeline->network_ =
        restore_adapted(folder, config, *pipeline->task_, base, pipeline->adapted_);
    check_base(manifest, *pipeline->adapted_, folder);
  } else {
    pipeline->network_ = restore_network(folder, config, *pipeline->task_);
  }
  pipeline->network_->eval();
  if (!part.empty()) pipeline->keep_part(part);
  return pipeline;
}

// The first member's tokenizer, task and precision, with the average of all in its network's place.
std::unique_ptr<Pipeline> Pipeline::load_ensemble(const std::string& folder,
                                                  const std::vector<std::string>& task_options,
                                                  const std::string& part) {
  const std::vector<std::string> members = read_ensemble(folder);
  std::vector<std::shared_ptr<Network>> networks;
  std::unique_ptr<Pipeline> first;
  for (const std::string& member : members) {
    if (first) require_one_task(members.front(), member, task_options);
    std::unique_ptr<Pipeline> one = load(member, task_options, part);
    networks.push_back(one->network_);
    if (!first) first = std::move(one);
  }
  first->network_ = averaged(networks, *first->task_);
  first->adapted_.reset();
  first->is_ensemble_ = true;
  return first;
}

void Pipeline::keep_part(const std::string& name) {
  const size_t place = place_of_part(*task_, name);
  const std::shared_ptr<Network> own = network_->part(static_cast<int32_t>(place));
  const std::shared_ptr<const Task> task = task_->parts()[place].task;
  network_ = own;
  task_ = task;
  info_ = &task_->info();
}

std::shared_ptr<const Task> load_task(const std::string& folder,
                                      const std::vector<std::string>& options,
                                      const std::string& part) {
  if (is_ensemble_folder(folder)) return load_task(read_ensemble(folder).front(), options, part);
  std::shared_ptr<const Task> task = restore_task(read_manifest(folder), folder, options, part);
  return part.empty() ? task : task->parts()[place_of_part(*task, part)].task;
}

void Pipeline::merge_adapters() {
  hone::merge_adapters(*network_);
  adapted_.reset();
}

void Pipeline::save(const std::string& folder) const {
  if (is_ensemble_)
    throw Error(ErrorKind::kUsage, "an ensemble is several models; it is no model to be saved");
  std::filesystem::create_directories(folder);
  Json model_config = config().raw;
  if (task_->parts().empty()) model_config.erase(kTasksInConfig);  // of a model before it
  task_->write_model_config(config(), model_config);
  model_config["torch_dtype"] = "float32";
  model_config.erase("dtype");
  write_file(folder + "/config.json", to_text(model_config, 2) + "\n");
  Json manifest = {{"task", info_->name},
                   {"state", task_->state()},
                   {"precision", precision_name(trained_in_.value_or(precision()))},
                   {"data", {{"clean", clean_.json()}}}};
  if (adapted_ && adapted_->has_folder()) {
    write_adapter(folder, *network_, *adapted_, model_config.at("architectures").at(0));
    manifest["base"] = adapted_->base_weights;
    if (!adapted_->base_form.is_full()) manifest[kBaseForm] = adapted_->base_form.json();
  } else {
    write_safetensors(folder + kWeights, stored_weights_of(*network_));
  }
  tokenizer_->save(folder);
  task_->write_files(config(), folder);
  write_manifest(folder, manifest);
}

const ModelConfig& Pipeline::config() const { return network_->backbone().config(); }

}  // namespace hone
