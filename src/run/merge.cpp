#include "run/merge.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "models/layers/adopt.h"
#include "tasks/manifest.h"
#include "tasks/peft_folder.h"
#include "tasks/pipeline.h"
#include "tasks/pretrained.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 64, kLongest = 48;
constexpr const char* kGeneration = "generation_config.json";
constexpr double kTolerance = 1e-3;  // of the largest value

// PEFT's names of tasks whose models write.
bool does_write(const std::string& task_type) {
  return task_type == "CAUSAL_LM" || task_type == "SEQ_2_SEQ_LM";
}

// A head whose task nobody knows: its weights go through as they are, its outputs are the hidden
// states.
class KeptHead : public Head {
 public:
  explicit KeptHead(const StateDict& weights) {
    std::map<std::string, std::shared_ptr<torch::nn::Module>> modules;
    for (const auto& [name, value] : weights) {
      const size_t dot = name.rfind('.');
      const std::string path = dot == std::string::npos ? "" : name.substr(0, dot);
      auto& module = modules[path];
      if (!module) module = std::make_shared<torch::nn::Module>();
      module->register_parameter(name.substr(dot + 1), at::zeros_like(value, at::kFloat));
    }
    for (const auto& [path, module] : modules) adopt(*this, path, module);
  }
  Outputs forward(Backbone& backbone, const Batch& batch) override {
    return {{backbone.forward(batch.streams).to(at::kFloat), RowOf::kToken}};
  }
  void initialise(uint64_t /*seed*/) override {}
};

Sequence random_text(int64_t positions, int64_t vocabulary, RandomStream& random) {
  Sequence text;
  text.ids.resize(1 + random.below(static_cast<uint64_t>(std::min(kLongest, positions))));
  for (int32_t& id : text.ids)
    id = static_cast<int32_t>(random.below(static_cast<uint64_t>(vocabulary)));
  text.segments.resize(text.ids.size(), 0);
  text.texts.resize(text.ids.size(), 0);
  text.words.resize(text.ids.size(), 0);
  text.offsets.resize(text.ids.size());
  return text;
}

// Texts of random tokens, each a function of its place; of an encoder-decoder with a source before
// it.
std::vector<Sample> random_samples(const ModelConfig& config) {
  RandomStream random(1);
  std::vector<Sample> samples;
  for (int64_t row = 0; row < kRows; ++row) {
    Sample sample;
    if (const auto& facts = config.encoder_decoder)
      sample.streams.push_back(
          random_text(facts->source_positions, facts->source_vocabulary, random));
    sample.streams.push_back(random_text(config.max_positions, config.vocab_size, random));
    sample.record = row;
    samples.push_back(std::move(sample));
  }
  return samples;
}

// Whatever a head gives for texts; what it gives for all of a batch are weights of its own.
std::vector<at::Tensor> outputs_of(Network& network) {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> outputs;
  for (const Sample& sample : random_samples(network.backbone().config())) {
    const Outputs given = network.forward(collate({sample}, {sample.record}, 0));
    for (const Output& one : given.all()) {
      if (one.row_of != RowOf::kBatch && one.values.numel() > 0) outputs.push_back(one.values);
    }
  }
  return outputs;
}

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

// What is no number compares with nothing: it would count as equal.
void require_finite(const std::vector<at::Tensor>& outputs, const std::string& of,
                    const std::string& adapter) {
  for (const at::Tensor& one : outputs) {
    if (!std::isfinite(largest(one)))
      throw Error(ErrorKind::kModel, {adapter},
                  fmt::format("{} are nan or infinite for a text of random tokens: weights of the "
                              "adapter, or of its base model, are too large. Nothing was written",
                              of));
  }
}

// Of outputs that are numbers.
double largest_difference(const std::vector<at::Tensor>& one,
                          const std::vector<at::Tensor>& other) {
  double difference = 0;
  for (size_t i = 0; i < one.size(); ++i)
    difference = std::max(difference, largest(one[i] - other[i]));
  return difference;
}

// Compares what the network gives before and after `merge`. Error(kModel) where that is no number.
MergeProof compared(Network& network, const std::string& adapter, const std::string& of,
                    const std::function<void()>& merge) {
  network.eval();
  const auto before = outputs_of(network);
  require_finite(before, of + " with the adapter beside the model", adapter);
  merge();
  const auto after = outputs_of(network);
  require_finite(after, of + " of the merged model", adapter);
  MergeProof proof{
      .rows = kRows, .of = of, .largest_difference = largest_difference(before, after)};
  for (const at::Tensor& one : before)
    proof.largest_value = std::max(proof.largest_value, largest(one));
  return proof;
}

void require_same(const MergeProof& proof, const std::string& adapter) {
  if (proof.largest_difference <= kTolerance * std::max(1.0, proof.largest_value)) return;
  throw Error(ErrorKind::kModel, {adapter},
              fmt::format("the merged model answers otherwise than with the adapter beside it: {} "
                          "differ by up to {:.3g}; nothing was written",
                          proof.of, proof.largest_difference));
}

// How far the adapter answers otherwise beside the base model in full than beside the one in fewer
// bits that it was trained on.
double difference_from_training(const std::string& adapter, const std::string& part,
                                Network& in_full) {
  const auto trained = Pipeline::load(adapter, {}, part);
  const auto of_full = outputs_of(in_full), of_trained = outputs_of(trained->network());
  require_finite(of_full, "logits beside the full base model", adapter);
  require_finite(of_trained, "logits beside the base model of the training", adapter);
  const double difference = largest_difference(of_full, of_trained);
  log_info(
      "{}: it was trained beside a base model in {}, and is merged into the full weights: logits "
      "differ from those of its training by up to {:.3g}",
      adapter, trained->adapted()->base_form.text(), difference);
  return difference;
}

// A folder that hone trained: its task goes on.
MergeProof merge_trained(const std::string& adapter, const std::string& out,
                         const std::string& part) {
  const auto pipeline = Pipeline::load(adapter, {}, part, {.in_full = true});
  std::optional<double> from_training;
  if (read_manifest(adapter).contains(kBaseForm))
    from_training = difference_from_training(adapter, part, pipeline->network());
  MergeProof proof = merge_proven(*pipeline, adapter);
  proof.from_training = from_training;
  pipeline->save(out);
  return proof;
}

bool has_tokenizer(const std::string& folder) {
  return fs::exists(fs::path(folder) / "tokenizer.json") ||
         fs::exists(fs::path(folder) / "tokenizer_config.json");
}

// config.json of a whole model with the adapter's head, whose labels have no names.
Json config_with_head(const Network& network, const ModelConfig& config,
                      const std::string& task_type) {
  Json json = config.raw;
  const bool writes = does_write(task_type) && config.causal_lm;
  const std::string end = writes ? config.causal_lm->architecture_end : architecture_end(task_type);
  if (end.empty()) return json;
  json["architectures"] = {config.architecture_stem + end};
  for (const auto& [name, value] : network.weights()) {
    const bool is_output =
        name == config.sentence_head.out + ".weight" || name == config.token_head.out + ".weight";
    if (!is_output || value.dim() != 2) continue;
    json["id2label"] = Json::object(), json["label2id"] = Json::object();
    for (int64_t i = 0; i < value.size(0); ++i) {
      const std::string label = fmt::format("LABEL_{}", i);
      json["id2label"][std::to_string(i)] = label, json["label2id"][label] = i;
    }
  }
  return json;
}

bool has_pooler(const StateDict& weights) {
  return std::any_of(weights.begin(), weights.end(), [](const auto& item) {
    return item.first.find("pooler.") != std::string::npos;
  });
}

// Of a model that writes, the product with the vocabulary is the base model's own still, where it
// is not the table of words and the adapter brought none; and so is a bias behind it.
void keep_output(const AdapterFolder& folder, const ModelConfig& config, StateDict& weights) {
  if (!does_write(folder.task_type) || !config.causal_lm) return;
  const auto bias = folder.base_weights.find(config.causal_lm->bias);
  if (bias != folder.base_weights.end()) weights.insert(*bias);
  if (config.causal_lm->is_tied) return;
  const std::string name = config.causal_lm->out + ".weight";
  const auto found = folder.base_weights.find(name);
  if (found == folder.base_weights.end())
    throw Error(ErrorKind::kModel, {folder.base},
                fmt::format("has no \"{}\": its config.json says that the product with the "
                            "vocabulary is a weight of its own",
                            name));
  weights.emplace(name, found->second);
}

// How the base model writes.
void keep_generation(const std::string& base, const std::string& out) {
  if (fs::exists(fs::path(base) / kGeneration))
    write_file(out + "/" + kGeneration,
               read_file((fs::path(base) / kGeneration).string(), ErrorKind::kModel));
}

// The output would become the adapter's table of words too; beside PEFT's it is the old one still.
void refuse_tied_table(const AdapterFolder& folder, Network& network) {
  const ModelConfig& config = network.backbone().config();
  if (!does_write(folder.task_type) || !config.causal_lm || !config.causal_lm->is_tied) return;
  for (const auto& [name, value] : network.trained_weights()) {
    if (value.is_same(network.backbone().word_table()))
      throw Error(ErrorKind::kModel, {folder.path},
                  fmt::format("the adapter has a table of words of its own ({}), but the base "
                              "model's output is tied to its table (tie_word_embeddings): one "
                              "model cannot have both",
                              name));
  }
}

// One that PEFT saved, whose task is not known.
MergeProof merge_foreign(const std::string& adapter, const std::string& out) {
  AdapterFolder folder = read_adapter_folder(adapter);
  ModelConfig config = ModelConfig::load(folder.base);
  settle_copies(config, folder.base_weights, folder.base);
  config.compare_with(folder.base_weights, folder.base);
  config.sentence_head.uses_pooler &= has_pooler(folder.base_weights) || has_pooler(folder.weights);
  const std::shared_ptr<Backbone> backbone = make_backbone(config);
  Network network(backbone, std::make_shared<KeptHead>(head_weights(folder, *backbone)));
  load_adapter(network, folder);
  refuse_tied_table(folder, network);
  const MergeProof proof =
      compared(network, adapter, "hidden states", [&] { merge_adapters(network); });
  require_same(proof, adapter);
  fs::create_directories(out);
  write_file(out + "/config.json",
             to_text(config_with_head(network, config, folder.task_type), 2) + "\n");
  StateDict weights = stored_weights_of(network);
  keep_output(folder, config, weights);
  write_safetensors(out + "/model.safetensors", weights);
  keep_generation(folder.base, out);
  Tokenizer::load(has_tokenizer(adapter) ? adapter : folder.base)->save(out);
  return proof;
}

}  // namespace

Json MergeProof::json() const {
  Json json = {{"rows", rows},
               {"of", of},
               {"largest_difference", largest_difference},
               {"largest_value", largest_value}};
  if (from_training) json["from_training"] = *from_training;
  return json;
}

MergeProof merge_proven(Pipeline& pipeline, const std::string& adapter) {
  MergeProof proof =
      compared(pipeline.network(), adapter, "logits", [&] { pipeline.merge_adapters(); });
  require_same(proof, adapter);
  return proof;
}

namespace {

void need_new_folder(const std::string& out) {
  if (fs::exists(out) && !fs::is_empty(out))
    throw Error(ErrorKind::kUsage, {out}, "is there already; name a new folder");
}

}  // namespace

MergeProof merge_adapter(const std::string& adapter, const std::string& out,
                         const std::string& part) {
  if (!is_adapter_folder(adapter))
    throw Error(ErrorKind::kModel, {adapter},
                "has no adapter_config.json: it is no adapter's folder");
  need_new_folder(out);
  const bool is_trained = fs::exists(manifest_path(adapter));
  if (!is_trained && !part.empty())
    throw Error(ErrorKind::kUsage, {adapter},
                "--task names one of several tasks, which hone trained; this adapter has one");
  const MergeProof proof =
      is_trained ? merge_trained(adapter, out, part) : merge_foreign(adapter, out);
  write_file(out + "/merge_proof.json", to_text(proof.json(), 2) + "\n");
  return proof;
}

void save_part(const std::string& model, const std::string& out, const std::string& part) {
  need_new_folder(out);
  Pipeline::load(model, {}, part)->save(out);
}

}  // namespace hone
