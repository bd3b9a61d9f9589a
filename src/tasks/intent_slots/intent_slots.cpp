#include "tasks/intent_slots/intent_slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "models/kernels/cross_entropy.h"
#include "models/kernels/dropout.h"
#include "models/layers/adopt.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/intent_slots/scorer.h"
#include "tasks/ner/crf.h"
#include "tasks/within.h"

namespace hone::intent_slots {
namespace {

constexpr const char* kTarget = "intent";
constexpr const char* kIntents = "intents";  // in config.json and hone.json

// Intents [S, C] of each sample's first token (of a causal model its last one), through the
// encoder's pooler where it has one; tags [N, T] of all tokens; and the table of a CRF over them.
class JointHead : public Head {
 public:
  JointHead(const ModelConfig& config, int64_t intents, const std::vector<std::string>& tags,
            bool has_crf)
      : range_(config.initializer_range),
        dropout_(config.token_head.dropout),
        pools_(config.sentence_head.uses_pooler),
        intent_(adopt(*this, "intent_classifier", Linear(config.hidden_size, intents))),
        slots_(adopt(*this, "slot_classifier",
                     Linear(config.hidden_size, static_cast<int64_t>(tags.size())))) {
    if (has_crf) crf_ = register_module(ner::kCrfModule, std::make_shared<ner::Transitions>(tags));
  }

  Outputs forward(Backbone& backbone, const Batch& batch) override {
    const Packed& tokens = batch.streams.front();
    const Rows all = Rows(tokens, is_training()).at_head(),
               one = all.choose(sentence_rows(tokens, backbone.config().is_causal));
    const at::Tensor states = backbone.forward(batch.streams);
    at::Tensor sentences = one.of(states);
    if (pools_) sentences = backbone.pool(sentences, one);
    std::vector<Output> outputs = {
        {scores(intent_, sentences, one, DropoutPlace::kHeadOut)},
        {scores(slots_, states, all, DropoutPlace::kTokenHeadOut), RowOf::kToken}};
    if (crf_) outputs.push_back({crf_->table(), RowOf::kBatch});
    return Outputs(std::move(outputs));
  }

  void initialise(uint64_t seed) override {
    intent_->initialise(range_, mix(seed, 0));
    slots_->initialise(range_, mix(seed, 1));
  }

  bool uses_pooler() const override { return pools_; }

 private:
  at::Tensor scores(Linear& layer, const at::Tensor& x, const Rows& rows, DropoutPlace place) {
    return layer(kernels::dropout(x.to(at::kFloat), rows.dropout(place, dropout_)), rows);
  }

  double range_, dropout_;
  bool pools_;
  Linear intent_, slots_;
  std::shared_ptr<ner::Transitions> crf_;
};

// Those of named-entity recognition.
Outputs slots_of(const Outputs& all) {
  return Outputs(std::vector<Output>(all.all().begin() + 1, all.all().end()));
}

std::vector<Row> slots_of(std::span<const Row> rows) {
  std::vector<Row> slots;
  for (const Row& row : rows)
    slots.push_back({row.sample, row.more.at(0), {row.more.begin() + 1, row.more.end()}});
  return slots;
}

}  // namespace

IntentSlots::IntentSlots(Options options) : options_(std::move(options)), slots_(options_.slots) {}

IntentSlots::IntentSlots(Options options, Labels intents, ner::Ner slots)
    : options_(std::move(options)), intents_(std::move(intents)), slots_(std::move(slots)) {}

const TaskInfo& IntentSlots::info() const { return kInfo; }

std::string IntentSlots::label_of(const Record& gold) const {
  if (find_field(gold, options_.intent) == nullptr) return "";
  return *label_text(intent_in(gold, options_));
}

std::vector<std::string> IntentSlots::gold_fields() const {
  std::vector<std::string> fields = slots_.gold_fields();
  fields.push_back(options_.intent);
  return fields;
}

void IntentSlots::learn(const Record& gold) {
  const Json intent = intent_in(gold, options_);
  slots_.learn(gold);  // a bad row teaches nothing
  intents_.add(intent);
}

void IntentSlots::learn_tokens(const Record& gold, const Tokenizer& tokenizer) {
  slots_.learn_tokens(gold, tokenizer);
}

void IntentSlots::finish_learning() {
  slots_.finish_learning();
  intents_.fix();
  if (intents_.size() < 2)
    throw Error(ErrorKind::kData,
                fmt::format("the training data has one intent only, {}: there is nothing to tell "
                            "apart. Slots alone are the task \"ner\"",
                            intents_.list()));
}

std::vector<Sample> IntentSlots::encode(const Record& record, const Tokenizer& tokenizer,
                                        bool with_targets, bool* truncated) const {
  std::vector<Sample> samples = slots_.encode(record, tokenizer, with_targets, truncated);
  if (!with_targets) return samples;
  for (Sample& sample : samples) sample.targets.push_back({kTarget, false, 1, {kNoTarget}});
  samples.front().targets.back().values = {intent_of(record)};
  return samples;
}

float IntentSlots::intent_of(const Record& record) const {
  const Json intent = intent_in(record, options_);
  if (const std::optional<int32_t> known = intents_.find(intent)) return static_cast<float>(*known);
  if (options_.slots.unknown_labels == "count") return kNoTarget;
  const std::string name = *label_text(intent), suggestion = did_you_mean(name, intents_.names());
  throw field_error(
      record, options_.intent,
      fmt::format("has the intent \"{}\", which the training data does not have; known: {}{} In "
                  "validation and test data task.unknown_labels=count scores such rows as wrong "
                  "instead",
                  name, intents_.list(), suggestion.empty() ? "." : suggestion));
}

std::shared_ptr<Head> IntentSlots::make_head(const ModelConfig& config) const {
  return std::make_shared<JointHead>(config, intents_.size(), slots_.tags(), options_.slots.crf);
}

bool IntentSlots::can_continue(const ModelConfig& checkpoint) const {
  return Task::can_continue(checkpoint) &&
         checkpoint.raw.value(kIntents, Json()) == Json(intents_.names());
}

Loss IntentSlots::loss(const Outputs& logits, const Batch& batch,
                       const LossOptions& options) const {
  const at::Tensor intents = kernels::cross_entropy_sum(
      logits[0], batch.targets.at(kTarget).to(at::kLong), -100, options.label_smoothing);
  const at::Tensor slots = slots_.mean_losses(slots_of(logits), batch, options);
  return {options_.intent_weight * intents + options_.slot_weight * slots, targets_in(batch)};
}

double IntentSlots::targets_in(const Batch& batch) const {
  return static_cast<double>(batch.records.size());
}

Json IntentSlots::decode(const Record& record, std::span<const Row> rows,
                         const Tokenizer& tokenizer) const {
  Json result = slots_.decode(record, slots_of(rows), tokenizer);
  const std::vector<double> p = probabilities_of(rows.front().output);
  Json scores = Json::object();
  for (int64_t i = 0; i < intents_.size(); ++i) scores[intents_.name(i)] = probability(p[i]);
  result[options_.intent] = intents_.value(std::max_element(p.begin(), p.end()) - p.begin());
  result[kScores] = std::move(scores);
  return result;
}

std::unique_ptr<Scorer> IntentSlots::make_scorer() const {
  return intent_slots::make_scorer(options_, intents_);
}

Json IntentSlots::state() const {
  Json state = slots_.state();
  state["options"] = options_json(options_);
  state[kIntents] = intents_.json();
  return state;
}

void IntentSlots::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForIntentAndSlots"});
  write_label_maps(slots_.tags(), config);
  config[kIntents] = intents_.names();
  config.erase("problem_type");
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<IntentSlots>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  const auto options = options_from<Options>(state.at("options"));
  return std::make_unique<IntentSlots>(options, Labels::from_json(state.at(kIntents)),
                                       ner::restored(options.slots, state));
}

}  // namespace

const TaskInfo kInfo{kTaskName, "joint intent and slots: what an utterance wants, and its values",
                     make, restore};

}  // namespace hone::intent_slots
