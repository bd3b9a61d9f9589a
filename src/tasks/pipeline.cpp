#include "tasks/pipeline.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "data/plan.h"
#include "models/weights.h"
#include "tasks/encode.h"

namespace hone {
namespace {

constexpr int64_t kFormat =
    1;  // of hone.json; raise it when an older program could not read what is written
constexpr const char* kManifest = "hone.json";
constexpr const char* kSum = "sha256";  // of hone.json's other bytes
constexpr const char* kWeights = "model.safetensors";
constexpr int64_t kRecordsAtOnce =
    2048;  // outputs of more records than this are never held together

// Files of a folder whose checksums the manifest keeps, where they are there.
constexpr const char* kChecked[] = {"config.json",
                                    kWeights,
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "vocab.txt",
                                    "vocab.json",
                                    "merges.txt",
                                    "spiece.model",
                                    "added_tokens.json"};

std::string in(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

std::shared_ptr<Network> make_network(ModelConfig config, const Task& task) {
  const std::shared_ptr<Head> head = task.make_head(config);
  config.sentence_head.uses_pooler = config.sentence_head.uses_pooler && head->uses_pooler();
  return std::make_shared<Network>(make_backbone(config), head);
}

std::string shown(const std::vector<std::string>& names) {
  const size_t most = std::min<size_t>(names.size(), 5);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + most, ", "),
                     most < names.size() ? ", …" : "");
}

std::string count_of(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? " is" : "s are");
}

bool is_pooler(const std::string& name) { return name.find("pooler.") != std::string::npos; }

// True where a checkpoint's head was trained for just this task and these labels: then it is worth
// keeping.
bool has_same_labels(const Json& before, const Task& task, const ModelConfig& config) {
  Json after = before;
  task.write_model_config(config, after);
  return before.contains("id2label") &&
         before.value("architectures", Json()) == after["architectures"] &&
         before["id2label"] == after["id2label"];
}

// A head of other labels is no start for this one; taking it would fail on its shape, or worse, not
// fail.
void drop_foreign_head(StateDict& weights, Network& network, const Task& task,
                       const std::string& source) {
  const ModelConfig& config = network.backbone().config();
  if (has_same_labels(config.raw, task, config)) return;
  std::vector<std::string> dropped;
  for (const auto& [name, tensor] : network.weights()) {
    if (!name.starts_with(config.base_prefix + ".") && weights.erase(name) > 0)
      dropped.push_back(name);
  }
  if (!dropped.empty())
    log_info(
        "{}: the checkpoint's own head ({}) was trained for another task or other labels; a "
        "fresh one takes its place",
        source, shown(dropped));
}

// Weights that nothing took: heads of pre-training, a pooler, and what should not be there.
void tell_unused(const LoadReport& report, const std::string& source) {
  if (!report.unexpected.empty())
    log_info("{}: of the checkpoint, {} not used ({})", source,
             count_of(report.unexpected.size(), "weight"), shown(report.unexpected));
}

// Fresh weights for what the checkpoint lacks. Only a head and a pooler may be lacking.
void start_missing(Network& network, const std::vector<std::string>& missing,
                   const std::string& source, uint64_t seed) {
  std::vector<std::string> backbone, pooler;
  bool misses_head = false;
  const std::string prefix = network.backbone().config().base_prefix + ".";
  for (const std::string& name : missing) {
    if (!name.starts_with(prefix)) {
      misses_head = true;
    } else if (is_pooler(name)) {
      pooler.push_back(name.substr(prefix.size()));
    } else {
      backbone.push_back(name);
    }
  }
  if (!backbone.empty()) {
    throw Error(ErrorKind::kModel, {source},
                fmt::format("{} missing ({}); does config.json belong to these weights?",
                            count_of(backbone.size(), "weight"), shown(backbone)));
  }
  if (!pooler.empty()) {
    log_warn("{}: the checkpoint has no pooler ({}); it starts from random values", source,
             shown(pooler));
    network.backbone().initialise(mix(seed, 1), pooler);
  }
  if (misses_head) network.head().initialise(seed);
}

StateDict state_of(const Network& network) {
  StateDict state;
  for (const auto& [name, tensor] : network.weights()) state.emplace(name, tensor.detach());
  return state;
}

Json checksums(const std::string& folder) {
  Json sums = Json::object();
  for (const char* name : kChecked) {
    if (std::filesystem::exists(in(folder, name))) sums[name] = sha256_file(in(folder, name));
  }
  return sums;
}

// The manifest as text. Its last value is the checksum of all its other bytes.
std::string seal(Json manifest) {
  manifest[kSum] = "";
  std::string text = to_text(manifest, 2) + "\n";
  text.insert(text.rfind("\"\n}"), sha256(text));
  return text;
}

// Models of before have no such checksum.
void verify_seal(const Json& manifest, std::string text, const std::string& path) {
  if (!manifest.contains(kSum)) return;
  const std::string sum = manifest[kSum].is_string() ? manifest[kSum].get<std::string>() : "";
  const size_t at = text.rfind(sum);
  if (at != std::string::npos) text.erase(at, sum.size());
  if (sha256(text) == sum) return;
  throw Error(ErrorKind::kModel, {path},
              fmt::format("the file is not the one that was saved: it differs from its own "
                          "checksum. If you changed it on purpose, remove its line \"{}\".",
                          kSum));
}

void check_keys(const Json& manifest, const std::string& path) {
  static const std::vector<std::string> known = {"format", "task", "state", "data", "files", kSum};
  if (!manifest.is_object()) throw Error(ErrorKind::kModel, {path}, "must be a JSON object.");
  for (const char* key : {"format", "task", "state", "files"}) {
    if (!manifest.contains(key))
      throw Error(ErrorKind::kModel, {path}, fmt::format("\"{}\" is missing.", key));
  }
  for (const auto& [key, value] : manifest.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("\"{}\" is no key of this file: it is damaged, or a newer version "
                              "made it.",
                              key));
  }
}

Json read_manifest(const std::string& folder) {
  const std::string path = in(folder, kManifest);
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kModel, {folder},
                fmt::format("no {} here: this is not a model that hone trained. To fine-tune a "
                            "pre-trained model, name it in a "
                            "configuration and run \"hone train\".",
                            kManifest));
  }
  const std::string text = read_file(path, ErrorKind::kModel);
  Json manifest = parse_json(text, {path, 1}, ErrorKind::kModel);
  check_keys(manifest, path);
  if (!manifest["files"].is_object())
    throw Error(ErrorKind::kModel, {path}, "\"files\" must be an object of names and checksums.");
  if (!manifest["format"].is_number_integer() || manifest["format"].get<int64_t>() > kFormat) {
    throw Error(ErrorKind::kModel, {path},
                fmt::format("written by format {}, this program reads up to {}; it was probably "
                            "made by a newer version.",
                            manifest["format"].dump(), kFormat));
  }
  verify_seal(manifest, text, path);
  return manifest;
}

void verify_checksums(const Json& files, const std::string& folder) {
  for (const auto& [name, sum] : files.items()) {
    if (std::find(std::begin(kChecked), std::end(kChecked), name) == std::end(kChecked))
      throw Error(ErrorKind::kModel, {in(folder, kManifest)},
                  fmt::format("\"files\" lists \"{}\", which is no file of a model.", name));
    const std::string path = in(folder, name.c_str());
    if (!std::filesystem::exists(path))
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("the file is gone, but {} lists it.", kManifest));
    if (sha256_file(path) != sum) {
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("the file is not the one that was saved: its checksum differs from "
                              "the one in {}. If you changed it on "
                              "purpose, remove its line from \"files\" there, and the line \"{}\".",
                              kManifest, kSum));
    }
  }
}

// A base model's files are what was saved, or it is told that nobody can know.
void verify_source(const std::string& folder) {
  if (std::filesystem::exists(in(folder, kManifest)))
    return verify_checksums(read_manifest(folder)["files"], folder);
  if (!std::filesystem::is_symlink(in(folder, "config.json")))  // not of the hub's cache
    log_info(
        "{}: has no checksums, as models that hone saved and the hub's cache have them; a "
        "damaged byte in it would not be noticed",
        folder);
}

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

std::unique_ptr<Task> restore_task(const Json& manifest, const std::string& folder,
                                   const std::vector<std::string>& options) {
  const std::string path = in(folder, kManifest);
  if (!manifest["task"].is_string())
    throw Error(ErrorKind::kModel, {path}, "\"task\" must be a name.");
  try {
    const TaskInfo& info = task_named(manifest["task"].get<std::string>());
    const Json& state = manifest["state"];
    return info.restore(options.empty() ? state : replace_options(info, state, options));
  } catch (const Error& error) {  // a name or value that no task has
    if (!options.empty()) throw;
    throw Error(ErrorKind::kModel, {path}, error.what());
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kModel, {path},
                fmt::format("\"state\" is not what task {} wrote ({}).", manifest["task"].dump(),
                            error.what()));
  }
}

// The longest sample that the saved options name, where they do, must be one that special tokens
// leave room in and that the model has positions for.
void check_saved_length(const Json& state, const Tokenizer& tokenizer, const ModelConfig& config,
                        const std::string& folder) {
  if (!state.contains("options") || !state["options"].contains("max_seq_length")) return;
  const Json& length = state["options"]["max_seq_length"];
  const auto least = static_cast<uint64_t>(tokenizer.special_tokens_added(false)),
             most = static_cast<uint64_t>(config.max_positions);
  const uint64_t tokens = length.is_number_unsigned() ? length.get<uint64_t>() : UINT64_MAX;
  if (tokens == 0 || (tokens >= least && tokens <= most)) return;
  throw Error(ErrorKind::kModel, {in(folder, kManifest)},
              fmt::format("\"max_seq_length\" is {}; this model takes {} to {} tokens.",
                          length.dump(), least, most));
}

// Of models of before, the defaults: they were in force unless data.clean said otherwise.
CleanOptions restore_clean(const Json& manifest, const std::string& folder) {
  if (!manifest.contains("data")) return {};
  try {
    Config data = Config::from_json(manifest["data"], in(folder, kManifest));
    Config clean = data.section("clean");
    const CleanOptions options = CleanOptions::read(clean);
    data.refuse_unknown();
    return options;
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, error.where(), error.message());
  }
}

// Evaluation mode while it lives, the mode before afterwards.
class EvaluationMode {
 public:
  explicit EvaluationMode(Network& network)
      : network_(network), was_training_(network.is_training()), no_grad_(false) {
    network_.eval();
  }
  ~EvaluationMode() { network_.train(was_training_); }

 private:
  Network& network_;
  bool was_training_;
  c10::AutoGradMode no_grad_;
};

// One pass over some records: encode, run in batches of similar length, cut outputs into rows.
class Pass {
 public:
  Pass(const Task& task, const Tokenizer& tokenizer, Network& network,
       const PredictOptions& options, bool with_targets)
      : task_(task),
        tokenizer_(tokenizer),
        network_(network),
        options_(options),
        with_targets_(with_targets) {}

  // Results in the order of the records, null where one failed. `first`: the place of the first
  // record in all the data.
  std::vector<Json> run(std::span<const Record> records, int64_t first) {
    first_ = first;
    encode(records);
    std::vector<int32_t> lengths;
    for (const Sample& sample : samples_) lengths.push_back(static_cast<int32_t>(sample.size()));
    outputs_.assign(samples_.size(), {});
    for (const std::vector<int64_t>& batch : plan_evaluation(lengths, options_.max_tokens))
      forward(batch);
    refuse_not_finite(records);
    return decode(records);
  }

  double loss_sum = 0, loss_count = 0;
  int64_t tokens = 0;

 private:
  void fail(size_t record, const Error& error) const {
    if (!options_.failed) throw error;  // of several, the first in the data's order
    options_.failed(first_ + static_cast<int64_t>(record), error);
  }

  void encode(std::span<const Record> records) {
    std::vector<Encoded> encoded = encode_records(records, task_, tokenizer_, with_targets_);
    samples_.clear();
    first_sample_.assign(1, 0);
    for (size_t i = 0; i < encoded.size(); ++i) {
      if (encoded[i].failure) {
        fail(i, *encoded[i].failure);
      } else if (options_.encoded) {
        options_.encoded(records[i], encoded[i].samples, encoded[i].truncated);
      }
      for (Sample& sample : encoded[i].samples) {
        sample.record = static_cast<int64_t>(i);
        samples_.push_back(std::move(sample));
      }
      first_sample_.push_back(samples_.size());
    }
  }

  void forward(const std::vector<int64_t>& indices) {
    std::vector<Sample> samples;
    for (const int64_t i : indices) samples.push_back(samples_[i]);
    const Batch batch = network_.place(collate(samples, indices, 0));
    at::Tensor output;
    if (with_targets_) {
      Loss loss;
      std::tie(output, loss) = task_.assess(network_, batch);
      loss_sum += loss.sum.item<double>();
      loss_count += loss.count;
    } else {
      output = task_.predict(network_, batch);
    }
    for (const Packed& stream : batch.streams) tokens += stream.tokens();
    cut_rows(output.to(at::kCPU, at::kFloat).contiguous(), batch, indices);
  }

  void cut_rows(const at::Tensor& output, const Batch& batch, const std::vector<int64_t>& indices) {
    const at::Tensor ends = batch.streams.back().cu_seqlens;
    const int32_t* at = ends.data_ptr<int32_t>();
    for (size_t s = 0; s < indices.size(); ++s) {
      outputs_[indices[s]] = task_.outputs_per_token() ? output.slice(0, at[s], at[s + 1])
                                                       : output[static_cast<int64_t>(s)];
    }
  }

  bool is_finite(size_t record) const {
    for (size_t s = first_sample_[record]; s < first_sample_[record + 1]; ++s) {
      const float* values = outputs_[s].const_data_ptr<float>();
      if (!std::all_of(values, values + outputs_[s].numel(),
                       [](float value) { return std::isfinite(value); }))
        return false;
    }
    return true;
  }

  // Where products overflow, scores are no numbers: that is no answer, and no evaluation.
  void refuse_not_finite(std::span<const Record> records) const {
    for (size_t i = 0; i < records.size(); ++i) {
      if (!is_finite(i))
        fail(i,
             Error(ErrorKind::kModel, records[i].where(),
                   "the model's scores of this row are no numbers: its weights have diverged, or "
                   "are damaged"));
    }
  }

  std::vector<Json> decode(std::span<const Record> records) const {
    std::vector<Json> results(records.size());
    at::parallel_for(0, static_cast<int64_t>(records.size()), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::vector<Row> rows;
        for (size_t s = first_sample_[i]; s < first_sample_[i + 1]; ++s)
          rows.push_back({&samples_[s], outputs_[s]});
        if (!rows.empty() && is_finite(i)) results[i] = task_.decode(records[i], rows, tokenizer_);
      }
    });
    return results;
  }

  const Task& task_;
  const Tokenizer& tokenizer_;
  Network& network_;
  const PredictOptions& options_;
  bool with_targets_;
  std::vector<Sample> samples_;
  std::vector<size_t> first_sample_;  // [records + 1]
  std::vector<at::Tensor> outputs_;   // of each sample
  int64_t first_ = 0;
};

std::vector<Json> run_all(Pass& pass, const std::vector<Record>& records,
                          const PredictOptions& options) {
  std::vector<Json> results;
  const auto n = static_cast<int64_t>(records.size());
  for (int64_t begin = 0; begin < n; begin += kRecordsAtOnce) {
    const int64_t count = std::min(kRecordsAtOnce, n - begin);
    std::vector<Json> part = pass.run(std::span(records).subspan(begin, count), begin);
    std::move(part.begin(), part.end(), std::back_inserter(results));
    if (options.progress) options.progress(begin + count);
  }
  return results;
}

std::vector<Record> read_part(const RecordSource& next) {
  std::vector<Record> part;
  while (part.size() < static_cast<size_t>(kRecordsAtOnce)) {
    std::optional<Record> record = next();
    if (!record) break;
    part.push_back(std::move(*record));
  }
  return part;
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
                                           const CleanOptions& clean) {
  verify_source(model_folder);
  ModelConfig config = ModelConfig::load(model_folder);
  if (tokenizer->vocab_size() > config.vocab_size) {
    throw Error(ErrorKind::kModel, {model_folder},
                fmt::format("the tokenizer has {} entries, but the model's embeddings have {} "
                            "rows: they do not belong together.",
                            tokenizer->vocab_size(), config.vocab_size));
  }
  std::unique_ptr<Pipeline> pipeline(new Pipeline());
  StateDict weights = load_state_dict(model_folder);
  config.compare_with(weights, model_folder);
  pipeline->network_ = make_network(config, *task);
  drop_foreign_head(weights, *pipeline->network_, *task, model_folder);
  const LoadReport report =
      load_into(pipeline->network_->weights(), weights, config.base_prefix, model_folder);
  start_missing(*pipeline->network_, report.missing, model_folder, seed);
  tell_unused(report, model_folder);
  pipeline->info_ = &task->info();
  pipeline->tokenizer_ = std::move(tokenizer);
  pipeline->task_ = std::move(task);
  pipeline->clean_ = clean;
  return pipeline;
}

std::unique_ptr<Pipeline> Pipeline::load(const std::string& folder,
                                         const std::vector<std::string>& task_options) {
  const Json manifest = read_manifest(folder);
  verify_checksums(manifest["files"], folder);
  std::unique_ptr<Pipeline> pipeline(new Pipeline());
  pipeline->task_ = restore_task(manifest, folder, task_options);
  pipeline->clean_ = restore_clean(manifest, folder);
  pipeline->info_ = &pipeline->task_->info();
  pipeline->tokenizer_ = Tokenizer::load(folder);
  ModelConfig config = ModelConfig::load(folder);
  check_saved_length(manifest["state"], *pipeline->tokenizer_, config, folder);
  const StateDict weights = load_state_dict(folder);
  config.compare_with(weights, folder);
  pipeline->network_ = make_network(config, *pipeline->task_);
  const LoadReport report =
      load_into(pipeline->network_->weights(), weights, config.base_prefix, folder);
  if (!report.missing.empty()) {
    throw Error(ErrorKind::kModel, {in(folder, kWeights)},
                fmt::format("{} missing ({}).", count_of(report.missing.size(), "weight"),
                            shown(report.missing)));
  }
  return pipeline;
}

void Pipeline::save(const std::string& folder) const {
  std::filesystem::create_directories(folder);
  Json model_config = config().raw;
  task_->write_model_config(config(), model_config);
  model_config["torch_dtype"] = "float32";
  model_config.erase("dtype");
  write_file(in(folder, "config.json"), to_text(model_config, 2) + "\n");
  write_safetensors(in(folder, kWeights), state_of(*network_));
  tokenizer_->save(folder);
  const Json manifest = {{"format", kFormat},
                         {"task", info_->name},
                         {"state", task_->state()},
                         {"data", {{"clean", clean_.json()}}},
                         {"files", checksums(folder)}};
  write_file(in(folder, kManifest), seal(manifest));
}

std::vector<Json> Pipeline::predict(const std::vector<Record>& records,
                                    const PredictOptions& options) {
  const EvaluationMode mode(*network_);
  Pass pass(*task_, *tokenizer_, *network_, options, /*with_targets=*/false);
  return run_all(pass, records, options);
}

Evaluation Pipeline::evaluate(const std::vector<Record>& records, const PredictOptions& options) {
  std::vector<Json> results;
  size_t at = 0;
  Evaluation evaluation =
      evaluate([&] { return at < records.size() ? std::optional(records[at++]) : std::nullopt; },
               options, [&](const Record&, const Json& result) { results.push_back(result); });
  evaluation.results = std::move(results);
  return evaluation;
}

Evaluation Pipeline::evaluate(const RecordSource& next, const PredictOptions& options,
                              const ResultSink& sink) {
  const EvaluationMode mode(*network_);
  Pass pass(*task_, *tokenizer_, *network_, options, /*with_targets=*/true);
  const std::unique_ptr<Scorer> scorer = task_->make_scorer();
  int64_t done = 0;
  for (std::vector<Record> part = read_part(next); !part.empty(); part = read_part(next)) {
    const std::vector<Json> results = pass.run(part, done);
    done += static_cast<int64_t>(part.size());
    for (size_t i = 0; i < part.size(); ++i) {
      if (results[i].is_null()) continue;
      scorer->add(part[i], results[i]);
      if (sink) sink(part[i], results[i]);
    }
    if (options.progress) options.progress(done);
  }
  Evaluation evaluation;
  evaluation.report = scorer->report();
  evaluation.loss = pass.loss_count == 0 ? 0 : pass.loss_sum / pass.loss_count;
  evaluation.tokens = pass.tokens;
  return evaluation;
}

const ModelConfig& Pipeline::config() const { return network_->backbone().config(); }

}  // namespace hone
