#include "tasks/embedding/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/fingerprint.h"
#include "tasks/embedding/head.h"
#include "tasks/embedding/losses.h"
#include "tasks/embedding/scorer.h"
#include "tasks/embedding/sentence_folder.h"
#include "tasks/fields.h"
#include "tasks/truncate.h"

namespace hone::embedding {
namespace {

constexpr const char* kKeys = "texts";
constexpr const char* kTarget = "target";

Sequence sequence_of(Encoding pieces, const Options& options, const Tokenizer& tokenizer,
                     bool* truncated) {
  const int64_t room =
      length_limit(options.max_seq_length, tokenizer) - tokenizer.special_tokens_added(false);
  const bool is_cut = truncate_longest_first(pieces, nullptr, std::max<int64_t>(room, 1));
  if (truncated != nullptr) *truncated = *truncated || is_cut;
  return tokenizer.post_process(pieces);
}

// Texts that the model sees alike have one key. A float holds 24 bits, so that a hash takes three.
void append_key(const Sequence& text, std::vector<float>& keys) {
  constexpr uint64_t kBits = 22, kMask = (uint64_t{1} << kBits) - 1;
  const uint64_t hash = hash_bytes(
      {reinterpret_cast<const char*>(text.ids.data()), text.ids.size() * sizeof(text.ids.front())});
  keys.push_back(static_cast<float>((hash & kMask) | (kMask + 1)));  // not zero
  keys.push_back(static_cast<float>((hash >> kBits) & kMask));
  keys.push_back(static_cast<float>(hash >> (2 * kBits)));
}

// vectors [S, K * H] of a batch whose samples have K texts.
StepTexts texts_in(const at::Tensor& vectors, const Batch& batch) {
  const at::Tensor keys = batch.targets.at(kKeys).view({vectors.size(0), -1, kKeyWidth});
  return {vectors.view({vectors.size(0), keys.size(1), -1}), keys.to(vectors.device())};
}

// The layer behind the pooling, of the weights that were just saved: the model's, or an adapter's.
Dense saved_dense(const Options& options, const std::string& folder) {
  const std::string name = kDenseLayer;
  Dense dense{options.dense_activation, {}, {}};
  for (const char* file : {"/model.safetensors", "/adapter_model.safetensors"}) {
    if (!std::filesystem::exists(folder + file)) continue;
    for (const auto& [key, value] : read_safetensors(folder + file)) {
      if (key.ends_with(name + ".weight")) dense.weight = value;
      if (key.ends_with(name + ".bias")) dense.bias = value;
    }
  }
  return dense;
}

Json numbers(const at::Tensor& vector) {
  const float* values = vector.const_data_ptr<float>();
  Json list = Json::array();
  for (int64_t i = 0; i < vector.numel(); ++i) list.push_back(number(values[i]));
  return list;
}

}  // namespace

Embedding::Embedding(Options options, Learned learned)
    : options_(std::move(options)), learned_(learned) {}

const TaskInfo& Embedding::info() const { return kInfo; }

std::vector<std::string> Embedding::text_fields() const {
  return {options_.anchor, options_.positive};
}

std::string Embedding::label_of(const Record& gold) const {
  if (options_.loss != Objective::kContrastive || !has_label(gold, options_)) return "";
  return need_label(gold, options_) ? "1" : "0";
}

std::vector<std::string> Embedding::gold_fields() const {
  std::vector<std::string> fields = {options_.score, options_.label};
  std::erase(fields, "");
  return fields;
}

void Embedding::begin_from(const std::string& model_folder, bool has_length) {
  const SentenceFolder found = read_sentence_folder(model_folder);
  if (options_.pooling == Pooling::kAuto && found.pooling) options_.pooling = *found.pooling;
  if (options_.normalize == Unit::kAuto && found.is_unit)
    options_.normalize = *found.is_unit ? Unit::kYes : Unit::kNo;
  if (found.dense) {
    if (options_.dense == 0) {
      options_.dense = found.dense->weight.size(0);
      options_.dense_activation = found.dense->activation;
    }
    begun_ = found.dense;
  }
  if (!has_length && found.max_seq_length > 0)
    options_.max_seq_length = options_.max_seq_length == 0
                                  ? found.max_seq_length
                                  : std::min(options_.max_seq_length, found.max_seq_length);
}

// What the loss compares similarities with.
double Embedding::target_of(const Record& gold) const {
  if (options_.loss == Objective::kContrastive) return need_label(gold, options_) ? 1 : 0;
  return need_score(gold, options_) / options_.max_score;
}

void Embedding::learn(const Record& gold) {
  const Texts texts = texts_of(gold, options_, /*is_whole=*/true);
  if (options_.loss == Objective::kTriplet && texts.negatives.empty())
    throw field_error(
        gold, options_.negative.empty() ? "negative" : options_.negative.front(),
        "has no text that could be a negative, which \"loss: triplet\" compares with; "
        "multiple_negatives does without");
  if (!options_.ranks()) {
    const double target = target_of(gold);
    has_other_target_ = has_other_target_ || target != first_target_.value_or(target);
    first_target_ = first_target_.value_or(target);
  }
  const uint64_t text = hash_bytes(*texts.positive);
  has_other_text_ = has_other_text_ || text != first_text_.value_or(text);
  first_text_ = first_text_.value_or(text);
  learned_.negatives = std::max(learned_.negatives, static_cast<int64_t>(texts.negatives.size()));
  ++rows_;
}

void Embedding::refuse_one_value() const {
  const bool is_label = options_.loss == Objective::kContrastive;
  throw Error(ErrorKind::kData,
              fmt::format("every row of the training data has the {} {:g}: there is nothing to "
                          "tell apart. Is \"{}\" the right field? Where all rows are texts that "
                          "belong together, \"loss: multiple_negatives\" learns from them",
                          is_label ? "label" : "score",
                          *first_target_ * (is_label ? 1 : options_.max_score),
                          is_label ? options_.label : options_.score));
}

void Embedding::finish_learning() {
  if (rows_ == 0) throw Error(ErrorKind::kData, "the training data has no row");
  if (!options_.ranks() && !has_other_target_) refuse_one_value();
  if (options_.loss == Objective::kMultipleNegatives && learned_.negatives == 0 && !has_other_text_)
    throw Error(ErrorKind::kData,
                fmt::format("the training data has no negatives, and one \"{}\" in all rows: an "
                            "anchor cannot be told from which text it is to be far",
                            options_.positive));
}

void Embedding::check_step(int64_t samples) const {
  if (options_.loss == Objective::kMultipleNegatives && samples == 1 && learned_.negatives == 0)
    throw Error(ErrorKind::kUsage,
                "train.per_device_train_batch_size is 1, so that a step has no other text that "
                "could be a negative, and the rows have none of their own: nothing would be "
                "learned. Take as many as fit (32 or more); gradient_accumulation_steps add "
                "negatives too");
  if (options_.loss == Objective::kCosent && samples == 1)
    throw Error(ErrorKind::kUsage,
                "train.per_device_train_batch_size is 1, but \"loss: cosent\" compares the rows of "
                "a step with each other: nothing would be learned. Take 16 or more");
}

std::vector<std::string> Embedding::idle_options() const { return without_effect(options_); }

std::vector<Sample> Embedding::encode(const Record& record, const Tokenizer& tokenizer,
                                      bool with_targets, bool* truncated) const {
  const Texts texts = texts_of(record, options_, with_targets);
  if (truncated != nullptr) *truncated = false;
  Sample sample;
  sample.repair = texts.repair;
  std::vector<float> keys;
  const size_t streams = 2 + static_cast<size_t>(learned_.negatives);
  for (const std::string& text : texts.list(streams)) {
    sample.streams.push_back(sequence_of(tokenizer.encode(text), options_, tokenizer, truncated));
    append_key(sample.streams.back(), keys);
  }
  sample.streams.resize(streams, tokenizer.post_process({}));
  keys.resize(streams * kKeyWidth, 0);
  const auto width = static_cast<int32_t>(keys.size());
  sample.targets.push_back({kKeys, false, width, std::move(keys), /*is_input=*/true});
  if (with_targets && !options_.ranks())
    sample.targets.push_back({kTarget, false, 1, {static_cast<float>(target_of(record))}});
  return {sample};
}

Sample Embedding::encode_text(const std::string& text, const Tokenizer& tokenizer) const {
  Sample sample;
  sample.streams.push_back(sequence_of(tokenizer.encode(text), options_, tokenizer, nullptr));
  return sample;
}

std::shared_ptr<Head> Embedding::make_head(const ModelConfig& config) const {
  const Pooling pooling = options_.pooling == Pooling::kAuto ? Pooling::kMean : options_.pooling;
  refuse_blind_pooling(pooling, config);
  const bool is_unit = options_.normalize != Unit::kNo;
  if (options_.dense == 0) return std::make_shared<EmbeddingHead>(pooling, is_unit);
  return std::make_shared<EmbeddingHead>(pooling, is_unit, config, options_, begun_);
}

bool Embedding::has_step_loss() const {
  return options_.loss == Objective::kMultipleNegatives || options_.loss == Objective::kCosent;
}

Loss Embedding::loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const {
  const at::Tensor vectors = outputs;
  const StepTexts texts = texts_in(vectors, batch);
  if (options_.loss == Objective::kMultipleNegatives)
    return multiple_negatives(texts, options_, options.label_smoothing);
  if (options.label_smoothing != 0)
    throw Error(ErrorKind::kUsage,
                "label_smoothing_factor spreads a target over classes or candidates, and this loss "
                "of sentence embeddings has none; leave it at 0, or take "
                "loss: multiple_negatives.");
  if (options_.loss == Objective::kTriplet) return triplet(texts, options_);
  const at::Tensor target = batch.targets.at(kTarget).to(vectors.device());
  if (options_.loss == Objective::kCosine) return cosine(texts, target);
  if (options_.loss == Objective::kCosent) return cosent(texts, target, options_);
  return contrastive(texts, target, options_);
}

// A triplet for each negative that is there; else one for each row.
double Embedding::targets_in(const Batch& batch) const {
  const auto rows = static_cast<int64_t>(batch.records.size());
  if (options_.loss != Objective::kTriplet) return static_cast<double>(rows);
  const at::Tensor negatives =
      batch.targets.at(kKeys).view({rows, -1, kKeyWidth}).slice(1, /*start=*/2);
  return negatives.select(2, 0).ne(0).sum().item<double>();
}

Json Embedding::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  const int64_t streams = 2 + learned_.negatives;
  const at::Tensor vectors = rows.front().output.view({streams, -1});
  const auto there = static_cast<int64_t>(
      texts_of(record, options_, /*is_whole=*/false).list(static_cast<size_t>(streams)).size());
  Json result = Json::object();
  if (there > 1) {
    const double similarity = (unit(vectors[0]) * unit(vectors[1])).sum().item<double>();
    result[options_.score.empty() ? "score" : options_.score] =
        number(static_cast<float>(similarity * options_.max_score));
  }
  if (there > 1 && !options_.ranks()) return result;
  result["embeddings"] = Json::array();
  for (int64_t i = 0; i < there; ++i) result["embeddings"].push_back(numbers(vectors[i]));
  return result;
}

std::unique_ptr<Scorer> Embedding::make_scorer() const { return embedding::make_scorer(options_); }

Json Embedding::state() const {
  return {{"options", options_json(options_)}, {"negatives", learned_.negatives}};
}

void Embedding::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "Model"});
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

void Embedding::write_files(const ModelConfig& model, const std::string& folder) const {
  SentenceFolder what{options_.pooling == Pooling::kAuto ? Pooling::kMean : options_.pooling,
                      options_.normalize != Unit::kNo, options_.max_seq_length};
  if (options_.dense > 0) what.dense = saved_dense(options_, folder);
  write_sentence_folder(what, model.hidden_size, folder);
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Embedding>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<Embedding>(options_from<Options>(state.at("options")),
                                     Learned{state.at("negatives").get<int64_t>()});
}

}  // namespace

const TaskInfo kInfo{kTaskName, "sentence embeddings: vectors of texts, for search and likeness",
                     make, restore};

}  // namespace hone::embedding
