#include "tasks/prompt/prompt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "models/kernels/cross_entropy.h"
#include "tasks/classify/scorer.h"
#include "tasks/divergence.h"
#include "tasks/fields.h"
#include "tasks/truncate.h"
#include "tasks/within.h"

namespace hone::prompt {
namespace {

constexpr const char* kTarget = "labels";

std::string shown_pieces(const std::vector<int32_t>& pieces, const Tokenizer& tokenizer) {
  std::vector<std::string> shown;
  for (const int32_t piece : pieces) shown.push_back(tokenizer.token(piece));
  return fmt::format("{} ({})", pieces.size(), fmt::join(shown, " "));
}

Error other_count(const std::string& first, const std::string& shown_first,
                  const std::string& other, const std::string& shown_other) {
  return {
      ErrorKind::kUsage,
      fmt::format("task.words: \"{}\" is {} of the vocabulary's tokens, but \"{}\" is {}. A mask "
                  "stands for one token, so all words must be as many; take other words",
                  first, shown_first, other, shown_other)};
}

Error same_tokens(const std::string& word, const std::string& other, const std::string& shown) {
  return {ErrorKind::kUsage,
          fmt::format("task.words: \"{}\" and \"{}\" are the same of the vocabulary's tokens, {}, "
                      "which say nothing of what tells them apart; leave one out, or take another "
                      "word",
                      other, word, shown)};
}

// A classification's scores under this task's name.
class PromptScorer : public Scorer {
 public:
  explicit PromptScorer(std::unique_ptr<Scorer> inner) : inner_(std::move(inner)) {}

  void check(const Record& gold) const override { inner_->check(gold); }
  void add(const Record& gold, const Json& result) override { inner_->add(gold, result); }
  Report report() const override {
    Report report = inner_->report();
    report.task = kTaskName;
    return report;
  }

 private:
  std::unique_ptr<Scorer> inner_;
};

Json words_json(const std::vector<Word>& words) {
  Json list = Json::array();
  for (const Word& word : words) list.push_back({{"label", word.label}, {"pieces", word.pieces}});
  return list;
}

std::vector<Word> words_from(const Json& list) {
  std::vector<Word> words;
  for (const Json& entry : list)
    words.push_back(
        {entry.at("label").get<int64_t>(), entry.at("pieces").get<std::vector<int32_t>>()});
  return words;
}

}  // namespace

PromptTask::PromptTask(Options options, std::vector<Word> words)
    : options_(std::move(options)),
      pattern_(options_.pattern),
      labels_(options_.words.empty() ? Labels() : Labels(options_.labels(), 0)),
      words_(std::move(words)),
      seen_(options_.words.size()) {}

const TaskInfo& PromptTask::info() const { return kInfo; }

int32_t PromptTask::class_of(const Record& gold) const {
  const Json& value = need_field(gold, options_.label);
  const std::optional<std::string> text = label_text(value);
  const std::optional<int32_t> known =
      text ? labels_.find(Json(trimmed_label(*text))) : std::nullopt;
  if (!known)
    throw field_error(gold, options_.label,
                      fmt::format("is {}, for which \"words\" has no word; it has some for {}",
                                  dump(value), labels_.list()));
  return *known;
}

std::string PromptTask::label_of(const Record& gold) const {
  return find_field(gold, options_.label) == nullptr ? "" : labels_.name(class_of(gold));
}

void PromptTask::learn(const Record& gold) {
  if (options_.words.empty())
    throw Error(ErrorKind::kUsage,
                "task.words must give each label its word, as in words: {good: great, bad: "
                "terrible}");
  seen_[class_of(gold)] = true;
}

void PromptTask::learn_tokens(const Record&, const Tokenizer& tokenizer) {
  if (!words_.empty()) return;
  if (tokenizer.mask_id() < 0)
    throw Error(ErrorKind::kUsage,
                "the model's tokenizer has no mask token, in whose place a prompt asks for a word; "
                "take a masked language model");
  std::map<std::vector<int32_t>, std::string> seen;
  for (size_t label = 0; label < options_.words.size(); ++label) {
    for (const std::string& word : options_.words[label].words) {
      const std::vector<int32_t> pieces = pieces_of_word(word, pattern_, tokenizer);
      if (!words_.empty() && pieces.size() != words_.front().pieces.size())
        throw other_count(options_.words[0].words[0],
                          shown_pieces(words_.front().pieces, tokenizer), word,
                          shown_pieces(pieces, tokenizer));
      const auto [same, is_new] = seen.emplace(pieces, word);
      if (!is_new) throw same_tokens(word, same->second, shown_pieces(pieces, tokenizer));
      words_.push_back({static_cast<int64_t>(label), pieces});
    }
  }
}

void PromptTask::finish_learning() {
  std::vector<std::string> unseen;
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (!seen_[i]) unseen.push_back(labels_.name(static_cast<int64_t>(i)));
  }
  if (unseen.size() == seen_.size())
    throw Error(ErrorKind::kData,
                "the training data has no label at all: there is nothing to "
                "learn.");
  if (!unseen.empty())
    log_warn("no training row has {} of the {} labels; the pattern alone speaks for them: {}",
             unseen.size(), seen_.size(), Labels(unseen, 0).list());
}

std::vector<Sample> PromptTask::encode(const Record& record, const Tokenizer& tokenizer,
                                       bool with_targets, bool* truncated) const {
  const auto masks = static_cast<int64_t>(words_.front().pieces.size());
  const int64_t room = length_limit(options_.max_seq_length, tokenizer) -
                       tokenizer.special_tokens_added(/*is_pair=*/false);
  const Prompt prompt = prompt_of(record, pattern_, masks, room, tokenizer);
  if (truncated != nullptr) *truncated = prompt.was_cut;
  Sample sample;
  sample.streams.push_back(tokenizer.post_process(prompt.pieces));
  const std::vector<int32_t>& texts = sample.streams.front().texts;
  const auto first = std::find(texts.begin(), texts.end(), 0) - texts.begin();
  std::vector<float> places;
  for (const int64_t mask : prompt.masks) places.push_back(static_cast<float>(first + mask));
  sample.targets.push_back({kMasks, false, static_cast<int32_t>(masks), std::move(places)});
  if (with_targets)
    sample.targets.push_back({kTarget, false, 1, {static_cast<float>(class_of(record))}});
  return {std::move(sample)};
}

std::shared_ptr<Head> PromptTask::make_head(const ModelConfig& config) const {
  return std::make_shared<PromptHead>(config, words_, labels_.size());
}

Loss PromptTask::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const at::Tensor& targets = batch.targets.at(kTarget);
  return {kernels::cross_entropy_sum(logits, targets.to(at::kLong), -100, options.label_smoothing),
          targets_in(batch)};
}

double PromptTask::targets_in(const Batch& batch) const {
  return static_cast<double>(batch.records.size());
}

Divergence PromptTask::divergence() const {
  return [](const Outputs& a, const Outputs& b, const Batch& batch) {
    return class_divergence(a, b, batch.targets.at(kTarget).ne(kNoTarget));
  };
}

Json PromptTask::decode(const Record&, std::span<const Row> rows, const Tokenizer&) const {
  const std::vector<double> p = probabilities_of(rows.front().output);
  Json scores = Json::object();
  for (int64_t i = 0; i < labels_.size(); ++i) scores[labels_.name(i)] = probability(p[i]);
  const auto best = std::max_element(p.begin(), p.end()) - p.begin();
  return {{options_.label, labels_.value(best)}, {"scores", scores}};
}

std::unique_ptr<Scorer> PromptTask::make_scorer() const {
  classify::Options options;
  options.text = pattern_.fields().front();
  options.label = options_.label;
  return std::make_unique<PromptScorer>(
      classify::make_scorer(options, classify::Type::kSingle, labels_));
}

Json PromptTask::state() const {
  return {{"options", options_.json()}, {"word_pieces", words_json(words_)}};
}

void PromptTask::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForMaskedLM"});
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<PromptTask>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<PromptTask>(Options::from_json(state.at("options")),
                                      words_from(state.at("word_pieces")));
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "classification with few labels: which word fills the mask of a prompt", make,
                     restore};

}  // namespace hone::prompt
