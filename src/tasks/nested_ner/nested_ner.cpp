#include "tasks/nested_ner/nested_ner.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/labels.h"
#include "tasks/ner/scorer.h"
#include "tasks/nested_ner/views.h"

namespace hone::nested_ner {
namespace {

constexpr const char* kEntities = "entities";  // the target, and what names of weights begin with

// The entities that a window holds whole, by its own pieces.
std::vector<TypedPair> entities_within(const std::vector<TypedPair>& entities,
                                       const Window& window) {
  std::vector<TypedPair> within;
  for (const TypedPair& e : entities) {
    if (e.first >= window.begin && e.last < window.end)
      within.push_back({e.first - window.begin, e.last - window.begin, e.type});
  }
  return within;
}

bool is_whole_somewhere(const TypedPair& e, const std::vector<Window>& windows) {
  return std::any_of(windows.begin(), windows.end(), [&](const Window& window) {
    return window.begin <= e.first && e.last < window.end;
  });
}

struct ScoredSpan {
  TypedPair span;
  double score = 0;
};

double sigmoid(double score) { return 1 / (1 + std::exp(-score)); }

// Spans of a window's tokens [n, …], fp32 on the CPU, whose score is at least `threshold`.
std::vector<ScoredSpan> spans_above(const at::Tensor& tokens, int64_t types, double threshold) {
  const double least = std::log(threshold / (1 - threshold));
  const at::Tensor scores = pointer_scores(tokens, types);
  const auto score = scores.accessor<float, 3>();
  std::vector<ScoredSpan> found;
  for (int64_t type = 0; type < types; ++type) {
    for (int64_t first = 0; first < scores.size(1); ++first) {
      for (int64_t last = first; last < scores.size(2); ++last) {
        const double value = score[type][first][last];
        if (value >= least) found.push_back({{first, last, type}, value});
      }
    }
  }
  keep_surest(found, tokens.size(0));
  return found;
}

}  // namespace

NestedNer::NestedNer(Options options, std::set<std::string> types)
    : options_(std::move(options)),
      types_(std::move(types)),
      names_(types_.begin(), types_.end()) {}

const TaskInfo& NestedNer::info() const { return kInfo; }

std::vector<std::string> NestedNer::text_fields() const { return {options_.spans.text}; }

std::vector<std::string> NestedNer::gold_fields() const { return {options_.spans.entities}; }

std::vector<std::string> NestedNer::labels_of(const Record& gold) const {
  std::vector<std::string> labels;
  for (const ner::Entity& entity : ner::entities_of(gold, options_.spans))
    labels.push_back(entity.label);
  return labels;
}

void NestedNer::learn(const Record& gold) {
  for (const std::string& label : labels_of(gold)) types_.insert(label);
}

void NestedNer::finish_learning() {
  if (types_.empty())
    throw Error(ErrorKind::kData, fmt::format("the training data has no entity at all. Is \"{}\" "
                                              "the right field?",
                                              options_.spans.entities));
  names_.assign(types_.begin(), types_.end());
}

std::optional<int64_t> NestedNer::type_index(const std::string& label, const Record& record) const {
  const auto found = std::find(names_.begin(), names_.end(), label);
  if (found != names_.end()) return found - names_.begin();
  if (options_.spans.unknown_labels == "count") return std::nullopt;
  throw ner::unknown_type(label, names_, options_.spans.entities, record);
}

std::vector<TypedPair> NestedNer::gold_spans(const Record& record, const Encoding& pieces,
                                             std::vector<std::string>& misfits) const {
  const std::string& text = ner::text_of(record, options_.spans);
  const Characters characters(text);
  std::vector<TypedPair> spans;
  int64_t from = 0;  // entities come in the order of their beginnings
  for (const ner::Entity& entity : ner::entities_of(record, options_.spans)) {
    const std::optional<int64_t> type = type_index(entity.label, record);
    if (!type) continue;
    const Span bytes = characters.bytes(entity.start, entity.end);
    const TokenRange range = tokens_touching(pieces.offsets, bytes, from);
    from = range.begin;
    if (range.is_empty()) {
      misfits.push_back(ner::misfit_text({entity, ""}));
      continue;
    }
    const Span taken{pieces.offsets[range.begin].start, pieces.offsets[range.end - 1].end};
    if (visible_part(text, taken) != bytes)
      misfits.push_back(
          ner::misfit_text({entity, text.substr(taken.start, taken.end - taken.start)}));
    spans.push_back({range.begin, range.end - 1, *type});
  }
  return spans;
}

std::vector<Sample> NestedNer::encode(const Record& record, const Tokenizer& tokenizer,
                                      bool with_targets, bool* truncated) const {
  if (truncated != nullptr) *truncated = false;
  const Encoding pieces = encode_field(record, options_.spans.text, tokenizer);
  const std::vector<Window> windows = ner::windows_of(pieces, options_.spans, tokenizer);
  std::vector<Sample> samples;
  for (const Window& window : windows) {
    Sample& sample = samples.emplace_back();
    sample.window = static_cast<int32_t>(samples.size()) - 1;
    sample.streams.push_back(tokenizer.post_process(part_of(pieces, window)));
  }
  if (!with_targets) return samples;
  std::vector<std::string> misfits;
  const std::vector<TypedPair> entities = gold_spans(record, pieces, misfits);
  for (const TypedPair& e : entities) {
    if (!is_whole_somewhere(e, windows))
      misfits.push_back(
          fmt::format("an entity \"{}\" of {} sub-words is longer than what windows "
                      "share, and is not learned: no window holds it",
                      names_[e.type], e.last - e.first + 1));
  }
  samples.front().repair = ner::repair_of(misfits);
  for (size_t i = 0; i < samples.size(); ++i) {
    add_text_place(samples[i]);
    add_pairs(kEntities, entities_within(entities, windows[i]), samples[i]);
  }
  return samples;
}

std::shared_ptr<Head> NestedNer::make_head(const ModelConfig& config) const {
  return std::make_shared<PointerHead>(config, options_.head_size, PointerHead::Kinds{kind()});
}

std::pair<std::string, int64_t> NestedNer::kind() const {
  return {kEntities, static_cast<int64_t>(names_.size())};
}

Loss NestedNer::loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const {
  const auto [name, types] = kind();
  return {pair_loss(outputs, batch, {name, types, PairOrder::kSpans, options.label_smoothing}),
          targets_in(batch)};
}

double NestedNer::targets_in(const Batch& batch) const {
  return static_cast<double>(static_cast<int64_t>(batch.records.size()) * kind().second);
}

Json NestedNer::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  const std::string& text = ner::text_of(record, options_.spans);
  const Views views(rows);
  std::map<std::tuple<int32_t, int32_t, int64_t>, double> found;  // by bytes and type
  for (size_t w = 0; w < rows.size(); ++w) {
    const TokenRange tokens = views.text(w);
    for (const auto& [span, score] :
         spans_above(rows[w].output.narrow(0, tokens.begin, tokens.end - tokens.begin),
                     static_cast<int64_t>(names_.size()), options_.threshold)) {
      const Span bytes = views.bytes(w, span.first, span.last), seen = visible_part(text, bytes);
      if (seen.start < seen.end && views.answering(bytes) == w)
        found.emplace(std::tuple(seen.start, seen.end, span.type), score);
    }
  }
  Json entities = Json::array();
  const Characters characters(text);
  for (const auto& [place, score] : found) {
    const auto [start, end, type] = place;
    entities.push_back({{"label", names_[type]},
                        {"text", text.substr(start, end - start)},
                        {"start", characters.at_byte(start)},
                        {"end", characters.at_byte(end)},
                        {"score", probability(sigmoid(score))}});
  }
  return {{options_.spans.text, text}, {options_.spans.entities, entities}};
}

std::unique_ptr<Scorer> NestedNer::make_scorer() const {
  return ner::make_scorer(options_.spans, kTaskName);
}

Json NestedNer::state() const { return {{"options", options_json(options_)}, {"types", types_}}; }

void NestedNer::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForNestedEntities"});
  write_label_maps(names_, config);
  config.erase("problem_type");
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<NestedNer>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<NestedNer>(options_from<Options>(state.at("options")),
                                     state.at("types").get<std::set<std::string>>());
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "nested named-entity recognition: entities that may lie in each other", make,
                     restore};

}  // namespace hone::nested_ner
