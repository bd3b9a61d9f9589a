#include "tasks/relation/relation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/random.h"
#include "models/kernels/dropout.h"
#include "models/layers/adopt.h"
#include "tasks/averages.h"
#include "tasks/divergence.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/labels.h"
#include "tasks/relation/pairs.h"
#include "tasks/relation/scorer.h"
#include "tasks/text_places.h"
#include "tasks/truncate.h"

namespace hone::relation {
namespace {

constexpr const char* kTarget = "relation";
// Where the marks of both entities begin in a sample: no target, but what the head reads.
constexpr const char* kStarts = "starts";
constexpr size_t kMostPairs = 20'000;  // of a document: each is a sample
// Pairs of a document that are counted, of all types: one with more is most likely refused.
constexpr size_t kMostCounted = 50 * kMostPairs;

// Pairs [S, C]: the hidden states of both opening marks beside each other (Baldini Soares et al.
// 2019, "Matching the blanks": entity start), dropout, one layer.
class PairHead : public Head {
 public:
  PairHead(const ModelConfig& config, int64_t outputs)
      : range_(config.initializer_range), dropout_(config.token_head.dropout) {
    out_ = adopt(*this, "classifier", Linear(2 * config.hidden_size, outputs));
  }

  Outputs forward(Backbone& backbone, const Batch& batch) override {
    const Packed& tokens = batch.streams.front();
    const at::Tensor places = batch.targets.at(kStarts).to(at::kLong);  // [S, 2]
    const Rows rows = Rows(tokens, is_training())
                          .choose((tokens.first_rows().unsqueeze(1) + places).flatten())
                          .at_head();
    at::Tensor x = backbone.forward(batch.streams, {.rows = rows.chosen()}).to(at::kFloat);
    x = kernels::dropout(x, rows.dropout(DropoutPlace::kHeadOut, dropout_));
    return out_(x.view({tokens.sequences(), -1}), rows.choose(tokens.first_rows()));
  }

  void initialise(uint64_t seed) override { out_->initialise(range_, mix(seed, 0)); }

 private:
  double range_, dropout_;
  Linear out_{nullptr};
};

// Names of all classes but none: both directions of a relation that has one.
std::set<std::string> with_both_directions(const Claim& claim) {
  if (claim.direction == Direction::kNone) return {claim.name()};
  Claim other = claim;
  other.direction =
      claim.direction == Direction::kForward ? Direction::kBackward : Direction::kForward;
  return {claim.name(), other.name()};
}

std::pair<std::string, std::string> types_of(const Document& document, const Claim& pair) {
  return {document.entities[pair.first].type, document.entities[pair.second].type};
}

Sample sample_of(const PairPieces& pair, const Tokenizer& tokenizer, int32_t window) {
  Sample sample;
  sample.window = window;
  sample.streams.push_back(tokenizer.post_process(pair.pieces));
  const std::vector<int32_t>& texts = sample.streams[0].texts;
  const auto first = std::find(texts.begin(), texts.end(), 0) - texts.begin();
  std::vector<float> starts;
  for (const int64_t start : pair.starts)
    starts.push_back(pair.pieces.ids.empty() ? 0 : static_cast<float>(first + start));
  sample.targets.push_back({kStarts, false, 2, std::move(starts)});
  return sample;
}

// The pairs of a document's entities that are near enough to be asked about.
class NearPairs {
 public:
  NearPairs(const Document& document, int64_t max_distance)
      : document_(document), characters_(document.text), max_distance_(max_distance) {}

  // Takes each pair of one of `firsts` and one of `others`, both in the order of the text, until
  // `take` gives false.
  template <typename Take>
  void each(const std::vector<size_t>& firsts, const std::vector<size_t>& others,
            Take&& take) const {
    for (const size_t first : firsts) {
      const int64_t end = characters_.at_byte(document_.entities[first].bytes.end);
      for (auto i = std::upper_bound(others.begin(), others.end(), first); i != others.end(); ++i) {
        const int64_t start = characters_.at_byte(document_.entities[*i].bytes.start);
        if (start - end > max_distance_) break;
        if (!take(Claim{first, *i, ""})) return;
      }
    }
  }

 private:
  const Document& document_;
  Characters characters_;
  int64_t max_distance_;
};

std::string shown_pair(const Document& document, const Claim& claim) {
  const auto text = [&](size_t i) {
    const Span& bytes = document.entities[i].bytes;
    return shortened(document.text.substr(bytes.start, bytes.end - bytes.start), 40);
  };
  return fmt::format("the relation \"{}\" of \"{}\" and \"{}\"", claim.label, text(claim.first),
                     text(claim.second));
}

}  // namespace

Relation::Relation(Options options, Learned learned)
    : options_(std::move(options)), learned_(std::move(learned)), names_(class_names()) {}

std::vector<std::string> Relation::class_names() const {
  std::vector<std::string> names;
  if (learned_.has_none) names.push_back(options_.no_relation);
  names.insert(names.end(), learned_.labels.begin(), learned_.labels.end());
  return names;
}

const TaskInfo& Relation::info() const { return kInfo; }

std::vector<std::string> Relation::text_fields() const { return {options_.text}; }

std::vector<std::string> Relation::gold_fields() const {
  return {options_.relation, options_.relations};
}

std::string Relation::label_of(const Record& gold) const {
  if (!is_marked(gold, options_)) return "";
  const std::vector<std::string> labels = labels_of(gold);
  return labels.empty() ? options_.no_relation : labels.front();
}

std::vector<std::string> Relation::labels_of(const Record& gold) const {
  const Document document = document_of(gold, options_);
  std::vector<std::string> labels;
  for (const Claim& claim : claims_of(gold.fields, document, gold, options_))
    labels.push_back(document.is_marked ? claim.name() : claim.label);
  if (document.is_marked && labels.empty()) labels.push_back(options_.no_relation);
  return labels;
}

void Relation::learn(const Record& gold) {
  const Document document = document_of(gold, options_);
  const std::vector<Claim> claims = claims_of(gold.fields, document, gold, options_);
  learned_.has_none = learned_.has_none || !document.is_marked || claims.empty();
  for (const Claim& claim : claims) {
    learned_.labels.merge(with_both_directions(claim));
    learned_.types.insert(types_of(document, claim));
  }
  if (options_.balance.counts_rows()) count_rows(document, claims);
}

// Which types are asked about is known when all records are: pairs are counted by their types.
void Relation::count_rows(const Document& document, const std::vector<Claim>& claims) {
  if (document.is_marked) {
    ++counted_[{}][claims.empty() ? options_.no_relation : claims.front().name()];
    return;
  }
  std::map<Claim, std::string> names;  // of a pair the first one's, as it is learned
  for (const Claim& claim : claims)
    names.emplace(Claim{claim.first, claim.second, ""}, claim.name());
  std::vector<size_t> all(document.entities.size());
  std::iota(all.begin(), all.end(), 0);
  size_t left = kMostCounted;
  NearPairs(document, options_.max_distance).each(all, all, [&](const Claim& pair) {
    const auto found = names.find(pair);
    ++counted_[types_of(document, pair)]
              [found == names.end() ? options_.no_relation : found->second];
    return --left > 0;
  });
}

void Relation::finish_learning() {
  names_ = class_names();
  class_rows_.assign(names_.size(), 0);
  for (const auto& [types, counts] : counted_) {
    if (!learned_.types.contains(types)) continue;
    for (size_t i = 0; i < names_.size(); ++i) {
      const auto found = counts.find(names_[i]);
      if (found != counts.end()) class_rows_[i] += found->second;
    }
  }
  if (learned_.labels.empty())
    throw Error(ErrorKind::kData,
                fmt::format("the training data has no relation at all. Is \"{}\" or \"{}\" the "
                            "right field?",
                            options_.relation, options_.relations));
  if (names_.size() < 2)
    throw Error(ErrorKind::kData,
                fmt::format("the training data has one relation only, \"{}\": there is nothing to "
                            "tell apart",
                            names_.front()));
}

// Goes by types, so that entities which nothing relates cost nothing.
std::vector<Claim> Relation::pairs_of(const Document& document, const Record& record) const {
  if (document.is_marked) return {Claim{}};
  std::map<std::string, std::vector<size_t>> by_type;  // entities in the order of the text
  for (size_t i = 0; i < document.entities.size(); ++i)
    by_type[document.entities[i].type].push_back(i);
  const NearPairs near(document, options_.max_distance);
  std::vector<Claim> pairs;
  for (const auto& [of_first, of_second] : learned_.types) {
    near.each(by_type[of_first], by_type[of_second], [&](const Claim& pair) {
      if (pairs.size() == kMostPairs) throw too_many_pairs(record);
      pairs.push_back(pair);
      return true;
    });
  }
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

Error Relation::too_many_pairs(const Record& record) const {
  return field_error(
      record, options_.entities,
      fmt::format("has more than {} pairs that may be related, each of which would be a sample; "
                  "divide the text, or ask about nearer ones only: task.max_distance is {}",
                  kMostPairs, options_.max_distance));
}

float Relation::class_of(const Claim& claim, const Document& document, const Record& record) const {
  const auto found = std::find(names_.begin(), names_.end(), claim.name());
  if (found != names_.end()) return static_cast<float>(found - names_.begin());
  if (options_.unknown_labels == "count") return kNoTarget;
  const std::string suggestion = did_you_mean(claim.name(), names_);
  throw field_error(
      record, document.is_marked ? options_.relation : options_.relations,
      fmt::format("has the relation \"{}\", which the training data does not have; known: {}{} In "
                  "validation and test data task.unknown_labels=count scores such relations as "
                  "missed instead",
                  claim.name(), fmt::join(names_, ", "), suggestion.empty() ? "." : suggestion));
}

std::vector<float> Relation::gold_classes(const Record& record, const Document& document,
                                          const std::vector<Claim>& pairs,
                                          std::string& repair) const {
  const std::vector<Claim> claims = claims_of(record.fields, document, record, options_);
  std::vector<float> classes(pairs.size(), 0);
  std::vector<bool> is_set(pairs.size(), false);
  if (document.is_marked && claims.empty())  // "no relation", which training may not have had
    classes[0] = learned_.has_none ? 0 : kNoTarget;
  std::vector<std::string> lost;
  for (const Claim& claim : claims) {
    const float of_claim = class_of(claim, document, record);
    const Claim asked{claim.first, claim.second, ""};
    const auto pair = std::lower_bound(pairs.begin(), pairs.end(), asked);
    const bool is_asked = pair != pairs.end() && *pair == asked;
    const size_t at = pair - pairs.begin();
    if (!is_asked)
      lost.push_back(shown_pair(document, claim) +
                     " is not learned: its entities are farther apart than max_distance, or of "
                     "types that training data do not relate");
    else if (is_set[at])
      lost.push_back(shown_pair(document, claim) +
                     " is not learned: the two have another one, and a pair has one at most");
    if (!is_asked || is_set[at]) continue;
    classes[at] = of_claim;
    is_set[at] = true;
  }
  if (!lost.empty())
    repair = lost.size() == 1 ? lost.front()
                              : fmt::format("{} (and {} more)", lost.front(), lost.size() - 1);
  return classes;
}

std::vector<Sample> Relation::encode(const Record& record, const Tokenizer& tokenizer,
                                     bool with_targets, bool* truncated) const {
  const Document document = document_of(record, options_);
  const Encoding text = pieces_of(document, record, options_, tokenizer);
  const std::vector<Claim> pairs = pairs_of(document, record);
  const int64_t room = std::max<int64_t>(
      length_limit(options_.max_seq_length, tokenizer) - tokenizer.special_tokens_added(false), 2);
  if (truncated != nullptr) *truncated = false;
  std::vector<Sample> samples;
  for (const Claim& pair : pairs) {
    const auto marks = [&](size_t i, bool is_second) {
      return entity_marks(is_second, options_.entity_types ? document.entities[i].type : "",
                          tokenizer);
    };
    const PairPieces pieces = pair_pieces(
        text, {document.entities[pair.first].bytes, document.entities[pair.second].bytes},
        {marks(pair.first, false), marks(pair.second, true)}, room);
    samples.push_back(sample_of(pieces, tokenizer, static_cast<int32_t>(samples.size())));
    if (truncated != nullptr) *truncated = *truncated || pieces.is_cut;
  }
  if (samples.empty()) {
    Encoding beginning = text;
    truncate_longest_first(beginning, nullptr, room);
    samples.push_back(sample_of({std::move(beginning), {}, false}, tokenizer, 0));
  }
  if (!with_targets) return samples;
  std::vector<float> classes = gold_classes(record, document, pairs, samples.front().repair);
  classes.resize(samples.size(), kNoTarget);
  for (size_t i = 0; i < samples.size(); ++i)
    samples[i].targets.push_back({kTarget, false, 1, {classes[i]}});
  return samples;
}

std::shared_ptr<Head> Relation::make_head(const ModelConfig& config) const {
  return std::make_shared<PairHead>(config, static_cast<int64_t>(names_.size()));
}

Loss Relation::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const at::Tensor& targets = batch.targets.at(kTarget);
  return {class_loss(logits, targets, options_.balance, class_rows_, options), targets_in(batch)};
}

double Relation::targets_in(const Batch& batch) const { return count_targets(batch, kTarget); }

Average Relation::average() const { return average_of_classes; }

Divergence Relation::divergence() const {
  return [](const at::Tensor& a, const at::Tensor& b, const Batch& batch) {
    return class_divergence(a, b, batch.targets.at(kTarget).ne(kNoTarget));
  };
}

namespace {

struct Choice {
  size_t best = 0;
  double probability = 0;
};

Choice choose_class(const Row& row) {
  const float* logits = row.output.const_data_ptr<float>();
  const auto classes = static_cast<size_t>(row.output.numel());
  const size_t best = std::max_element(logits, logits + classes) - logits;
  double sum = 0;
  for (size_t i = 0; i < classes; ++i)
    sum += std::exp(static_cast<double>(logits[i]) - logits[best]);
  return {best, 1 / sum};
}

Json relation_json(const Document& document, const Claim& claim) {
  const bool is_forward = claim.direction != Direction::kBackward;
  const Json first = document.entities[claim.first].id, second = document.entities[claim.second].id;
  return {{"head", is_forward ? first : second},
          {"tail", is_forward ? second : first},
          {"label", claim.label},
          {"score", probability(claim.score)}};
}

}  // namespace

Json Relation::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  const Document document = document_of(record, options_);
  if (document.is_marked) {
    const Choice choice = choose_class(rows.front());
    return {{options_.relation, names_[choice.best]}, {"score", probability(choice.probability)}};
  }
  const std::vector<Claim> pairs = pairs_of(document, record);
  Json list = Json::array();
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Choice choice = choose_class(rows[i]);
    if (learned_.has_none && choice.best == 0) continue;
    Claim claim = claim_named(names_[choice.best]);
    claim.first = pairs[i].first;
    claim.second = pairs[i].second;
    claim.score = choice.probability;
    list.push_back(relation_json(document, claim));
  }
  return {{options_.relations, std::move(list)}};
}

std::unique_ptr<Scorer> Relation::make_scorer() const { return relation::make_scorer(options_); }

Json Relation::state() const {
  return {{"options", options_json(options_)},
          {"labels", learned_.labels},
          {"has_none", learned_.has_none},
          {"types", learned_.types}};
}

void Relation::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForRelationExtraction"});
  write_label_maps(names_, config);
  config.erase("problem_type");
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Relation>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  Learned learned;
  learned.labels = state.at("labels").get<std::set<std::string>>();
  learned.has_none = state.at("has_none").get<bool>();
  learned.types = state.at("types").get<std::set<std::pair<std::string, std::string>>>();
  return std::make_unique<Relation>(options_from<Options>(state.at("options")), std::move(learned));
}

}  // namespace

const TaskInfo kInfo{kTaskName, "relation extraction: how two entities of a text are related", make,
                     restore};

}  // namespace hone::relation
