#include "tasks/ner/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
#include "tasks/metrics/confusion.h"
#include "tasks/mistakes.h"
#include "tasks/ner/text.h"

namespace hone::ner {
namespace {

constexpr size_t kShownText = 300;
constexpr const char* kNone = "(none)";

// One record, gold and result, as entities by characters of `text`.
struct Compared {
  std::string text;
  std::vector<Entity> gold, predicted;
  int64_t tags = 0, right_tags = 0, outside_tags = 0;  // tokens only
  int64_t unreachable = 0;  // entities that no tags of the result's tokens can express
};

// Tags that mean the same, whatever the schemes: both are read as the entities that they stand for.
// A reader of CoNLL does so with gold tags, so that the format of a file changes no score.
int64_t count_right(const std::vector<std::string>& gold,
                    const std::vector<std::string>& predicted) {
  const std::vector<std::string> is = to_iob2(gold).tags, said = to_iob2(predicted).tags;
  int64_t right = 0;
  for (size_t i = 0; i < is.size(); ++i) right += is[i] == said[i];
  return right;
}

// Entities that begin or end with a token of which the tokenizer made nothing.
int64_t count_unreachable(const std::vector<TagSpan>& gold, const Json& result) {
  const auto list = result.find(kWithoutPieces);
  if (list == result.end() || !list->is_array()) return 0;
  const std::set<Json> without(list->begin(), list->end());
  return std::count_if(gold.begin(), gold.end(), [&](const TagSpan& span) {
    return without.contains(span.start) || without.contains(span.end - 1);
  });
}

// Where the tokens that a result names stand in its text; nothing where one cannot be found.
std::optional<std::vector<Span>> located(const Json& tokens, const std::string& text) {
  std::vector<Span> spans;
  size_t at = 0;
  for (const Json& token : tokens) {
    if (!token.is_string()) return std::nullopt;
    const auto& string = token.get_ref<const std::string&>();
    const size_t start = text.find(string, at);
    if (start == std::string::npos) return std::nullopt;
    at = start + string.size();
    spans.push_back({static_cast<int32_t>(start), static_cast<int32_t>(at)});
  }
  return spans;
}

bool is_same(const Entity& a, const Entity& b) {
  return a.start == b.start && a.end == b.end && a.label == b.label;
}
bool overlap(const Entity& a, const Entity& b) { return a.start < b.end && b.start < a.end; }

// Those that begin where `entity` does: entities come in the order of their beginnings.
std::span<const Entity> beginning_with(const std::vector<Entity>& entities, const Entity& entity) {
  const auto [first, last] =
      std::equal_range(entities.begin(), entities.end(), entity,
                       [](const Entity& a, const Entity& b) { return a.start < b.start; });
  return {first, last};
}

bool contains(const std::vector<Entity>& entities, const Entity& entity) {
  const std::span<const Entity> near = beginning_with(entities, entity);
  return std::any_of(near.begin(), near.end(),
                     [&](const Entity& other) { return is_same(other, entity); });
}

// With the same bounds; of several types, where they may overlap, itself where it is there.
const Entity* with_bounds(const std::vector<Entity>& entities, const Entity& entity) {
  if (contains(entities, entity)) return &entity;
  const std::span<const Entity> near = beginning_with(entities, entity);
  const auto found =
      std::find_if(near.begin(), near.end(), [&](const Entity& e) { return e.end == entity.end; });
  return found == near.end() ? nullptr : &*found;
}

// What `read` makes of a result; a complaint says that the result is meant.
template <typename Read>
auto of_result(const Record& gold, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
  }
}

class EntityScorer : public Scorer {
 public:
  EntityScorer(const Options& options, const char* task) : options_(options), task_(task) {}

  void check(const Record& gold) const override {
    if (has_tokens(gold, options_)) {
      tags_of_record(gold, options_);
    } else {
      entities_of(gold, options_);
    }
  }

  void add(const Record& gold, const Json& result) override {
    const Compared c =
        has_tokens(gold, options_) ? compare_tokens(gold, result) : compare_text(gold, result);
    records_.push_back(count(c));
    tags_ += c.tags;
    right_tags_ += c.right_tags;
    outside_tags_ += c.outside_tags;
    unreachable_ += c.unreachable;
    if (const auto found = result.find(kWithoutPieces); found != result.end() && found->is_array())
      without_pieces_ += static_cast<int64_t>(found->size());
    for (const Entity& e : c.predicted) {
      if (has_scores_) calibration_.add(e.score, contains(c.gold, e));
    }
    note_confusions(c);
    note_mistakes(c, gold);
  }

  Report report() const override {
    Report report;
    report.task = task_;
    report.metric = "f1";
    report.n = static_cast<int64_t>(records_.size());
    const std::vector<int32_t> once(records_.size(), 1);
    fill_classes(sum(once), report);
    fill_metrics(scores(once),
                 metrics::bootstrap(
                     report.n, [&](std::span<const int32_t> weights) { return scores(weights); }),
                 report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  struct TypeCounts {
    int32_t type;
    metrics::ClassCounts counts;
  };

  Compared compare_tokens(const Record& gold, const Json& result) {
    const std::vector<std::string> tokens = tokens_of(gold, options_);
    const std::vector<std::string> gold_tags = tags_of_record(gold, options_),
                                   predicted_tags = result_tags(gold, result, tokens.size());
    Compared c{joined(tokens), {}, {}, static_cast<int64_t>(tokens.size())};
    const Characters characters(c.text);
    const std::vector<TagSpan> gold_spans = spans_in(gold_tags);
    c.gold = entities(gold_spans, tokens, characters);
    c.predicted = entities(spans_in(predicted_tags), tokens, characters);
    take_scores(result, c.predicted);
    c.right_tags = count_right(gold_tags, predicted_tags);
    c.unreachable = count_unreachable(gold_spans, result);
    const std::vector<std::string> gold_iob2 = to_iob2(gold_tags).tags;
    c.outside_tags = std::count(gold_iob2.begin(), gold_iob2.end(), "O");
    return c;
  }

  Compared compare_text(const Record& gold, const Json& result) {
    Compared c{text_of(gold, options_), entities_of(gold, options_), result_entities(gold, result)};
    const auto tokens = result.find(options_.tokens);
    if (tokens != result.end() && tokens->is_array()) {
      if (const auto spans = located(*tokens, c.text))
        c.unreachable = static_cast<int64_t>(align(c.gold, *spans, c.text).misfits.size());
    }
    has_scores_ = has_scores_ || std::any_of(c.predicted.begin(), c.predicted.end(),
                                             [](const Entity& e) { return e.score > 0; });
    return c;
  }

  std::vector<std::string> result_tags(const Record& gold, const Json& result,
                                       size_t tokens) const {
    need_result(gold, result, options_.tags);
    Record as_record = gold;
    as_record.fields[options_.tags] = result.at(options_.tags);
    return of_result(gold, [&] { return tags_of_record(as_record, options_); });
  }

  std::vector<Entity> result_entities(const Record& gold, const Json& result) const {
    const Json& list = need_result(gold, result, options_.entities);
    const auto text = result.find(options_.text);
    if (text != result.end() && *text != text_of(gold, options_))
      throw field_error(
          gold, options_.text,
          "in the result for this row is another text, and its offsets do not count in this one");
    return of_result(gold, [&] { return entities_in(list, gold, options_); });
  }

  std::vector<TagSpan> spans_in(const std::vector<std::string>& tags) const {
    return options_.scoring == "strict" ? strict_spans(tags) : spans_of(tags);
  }

  static std::vector<Entity> entities(const std::vector<TagSpan>& tag_spans,
                                      const std::vector<std::string>& tokens,
                                      const Characters& characters) {
    const std::vector<Span> spans = spans_in_joined(tokens);
    std::vector<Entity> result;
    for (const TagSpan& span : tag_spans) {
      result.push_back({span.label, characters.at_byte(spans[span.start].start),
                        characters.at_byte(spans[span.end - 1].end), 0});
    }
    return result;
  }

  static std::vector<TagSpan> strict_spans(const std::vector<std::string>& tags) {
    const bool is_iob2 = std::all_of(tags.begin(), tags.end(), [](const std::string& tag) {
      return std::string_view("BIO").find(tag[0]) != std::string_view::npos;
    });
    return strict_spans_of(is_iob2 ? tags : to_iob2(tags).tags);
  }

  // Scores stand in the result's entities; tags alone have none.
  void take_scores(const Json& result, std::vector<Entity>& predicted) {
    const auto list = result.find(options_.entities);
    if (list == result.end() || !list->is_array()) return;
    for (const Json& json : *list) {
      const auto score = json.is_object() ? json.find("score") : json.end();
      if (!json.is_object() || score == json.end() || !score->is_number()) continue;
      has_scores_ = true;
      for (Entity& e : predicted) {
        if (json.value("start", int64_t{-1}) == e.start && json.value("end", int64_t{-1}) == e.end)
          e.score = score->get<double>();
      }
    }
  }

  int32_t type_index(const std::string& label) {
    return types_.emplace(label, static_cast<int32_t>(types_.size())).first->second;
  }

  std::vector<TypeCounts> count(const Compared& c) {
    std::map<int32_t, metrics::ClassCounts> counts;
    for (const Entity& e : c.gold) ++counts[type_index(e.label)].gold;
    for (const Entity& e : c.predicted) {
      metrics::ClassCounts& of_type = counts[type_index(e.label)];
      ++of_type.predicted;
      of_type.hits += contains(c.gold, e);
    }
    std::vector<TypeCounts> result;
    for (const auto& [type, of_type] : counts) result.push_back({type, of_type});
    return result;
  }

  // Types of gold and predicted entities with the same bounds; what has no partner is set against
  // nothing.
  void note_confusions(const Compared& c) {
    for (const Entity& e : c.gold) {
      const Entity* partner = with_bounds(c.predicted, e);
      ++confusions_[{e.label, partner == nullptr ? kNone : partner->label}];
    }
    for (const Entity& e : c.predicted) {
      if (with_bounds(c.gold, e) == nullptr) ++confusions_[{kNone, e.label}];
    }
  }

  void note_mistakes(const Compared& c, const Record& gold) {
    const Characters characters(c.text);
    const auto shown = [&](const Entity& e) {
      const int64_t start = characters.byte(e.start);
      return fmt::format(
          "{} \"{}\"", e.label,
          shortened(std::string_view(c.text).substr(start, characters.byte(e.end) - start), 60));
    };
    const auto touching = [&](const std::vector<Entity>& entities, const Entity& e) {
      const auto found = std::find_if(entities.begin(), entities.end(),
                                      [&](const Entity& other) { return overlap(other, e); });
      return found == entities.end() ? std::string(kNone) : shown(*found);
    };
    for (const Entity& e : c.predicted) {
      if (e.end > characters.count() || contains(c.gold, e) || !mistakes_.wants(e.score)) continue;
      mistakes_.add(
          {gold.where(), shortened(c.text, kShownText), touching(c.gold, e), shown(e), e.score});
    }
    for (const Entity& e : c.gold) {
      if (contains(c.predicted, e) || !mistakes_.wants(0)) continue;
      if (touching(c.predicted, e) == kNone)
        mistakes_.add({gold.where(), shortened(c.text, kShownText), shown(e), kNone, 0});
    }
  }

  std::vector<metrics::ClassCounts> sum(std::span<const int32_t> weights) const {
    std::vector<metrics::ClassCounts> counts(types_.size());
    for (size_t i = 0; i < records_.size(); ++i) {
      if (weights[i] == 0) continue;
      for (const TypeCounts& t : records_[i]) {
        counts[t.type].gold += weights[i] * t.counts.gold;
        counts[t.type].predicted += weights[i] * t.counts.predicted;
        counts[t.type].hits += weights[i] * t.counts.hits;
      }
    }
    return counts;
  }

  std::vector<double> scores(std::span<const int32_t> weights) const {
    const std::vector<metrics::ClassCounts> counts = metrics::present(sum(weights));
    const metrics::Scores micro = metrics::micro_average(counts);
    return {micro.precision, micro.recall, micro.f1, metrics::macro_average(counts).f1,
            metrics::weighted_average(counts).f1};
  }

  double share_of_tags(int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(tags_);
  }

  void fill_metrics(const std::vector<double>& values, const std::vector<Interval>& intervals,
                    Report& report) const {
    if (report.n > 0) report.baseline = "no entities";
    report.add({"precision", "recall", "f1", "macro_f1", "weighted_f1"}, values, intervals,
               std::vector<double>(values.size(), 0));
    if (tags_ > 0)
      report.add({"accuracy"}, {share_of_tags(right_tags_)}, {}, {share_of_tags(outside_tags_)});
    metrics::add_calibration(calibration_, report);
    if (without_pieces_ > 0)
      report.add({less_is_better(kWithoutPieces)}, {static_cast<double>(without_pieces_)});
    if (unreachable_ > 0)
      report.add({less_is_better("unreachable_entities")}, {static_cast<double>(unreachable_)});
  }

  void fill_classes(const std::vector<metrics::ClassCounts>& counts, Report& report) const {
    std::vector<std::string> names;
    std::vector<metrics::ClassCounts> ordered;
    for (const auto& [name, index] : types_) {
      names.push_back(name);
      ordered.push_back(counts[index]);
    }
    metrics::add_classes(metrics::class_table(names, ordered, "micro avg"), report);
    std::map<std::string, int64_t> place = {{kNone, static_cast<int64_t>(names.size())}};
    for (size_t i = 0; i < names.size(); ++i) place.emplace(names[i], static_cast<int64_t>(i));
    names.push_back(kNone);
    metrics::ConfusionCells cells;
    for (const auto& [pair, number] : confusions_)
      cells[{place.at(pair.first), place.at(pair.second)}] += number;
    report.sections.push_back({"confusion", "confusion", metrics::confusion_table(names, cells)});
  }

  Options options_;
  const char* task_;
  std::map<std::string, int32_t> types_;  // sorted by name, as seqeval prints them
  std::vector<std::vector<TypeCounts>> records_;
  std::map<std::pair<std::string, std::string>, int64_t> confusions_;
  int64_t tags_ = 0, right_tags_ = 0, outside_tags_ = 0, without_pieces_ = 0, unreachable_ = 0;
  bool has_scores_ = false;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options, const char* task) {
  return std::make_unique<EntityScorer>(options, task);
}

}  // namespace hone::ner
