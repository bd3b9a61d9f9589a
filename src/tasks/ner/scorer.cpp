#include "tasks/ner/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
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
};

bool is_same(const Entity& a, const Entity& b) {
  return a.start == b.start && a.end == b.end && a.label == b.label;
}
bool overlap(const Entity& a, const Entity& b) { return a.start < b.end && b.start < a.end; }

bool contains(const std::vector<Entity>& entities, const Entity& entity) {
  return std::any_of(entities.begin(), entities.end(),
                     [&](const Entity& other) { return is_same(other, entity); });
}

const Entity* with_bounds(const std::vector<Entity>& entities, const Entity& entity) {
  const auto found = std::find_if(entities.begin(), entities.end(), [&](const Entity& e) {
    return e.start == entity.start && e.end == entity.end;
  });
  return found == entities.end() ? nullptr : &*found;
}

class EntityScorer : public Scorer {
 public:
  explicit EntityScorer(const Options& options) : options_(options) {}

  void add(const Record& gold, const Json& result) override {
    const Compared c =
        has_tokens(gold, options_) ? compare_tokens(gold, result) : compare_text(gold, result);
    records_.push_back(count(c));
    tags_ += c.tags;
    right_tags_ += c.right_tags;
    outside_tags_ += c.outside_tags;
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
    report.task = kTaskName;
    report.metric = "f1";
    report.n = static_cast<int64_t>(records_.size());
    const std::vector<int32_t> once(records_.size(), 1);
    fill_metrics(scores(once),
                 metrics::bootstrap(
                     report.n, [&](std::span<const int32_t> weights) { return scores(weights); }),
                 report);
    fill_classes(sum(once), report);
    report.mistakes = mistakes_.most_confident_first();
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
    Compared c{joined(tokens), {}, {}, static_cast<int64_t>(tokens.size()), 0, 0};
    const Characters characters(c.text);
    c.gold = entities(gold_tags, tokens, characters);
    c.predicted = entities(predicted_tags, tokens, characters);
    take_scores(result, c.predicted);
    const std::vector<std::string> gold_iob2 = to_iob2(gold_tags).tags;
    for (size_t i = 0; i < tokens.size(); ++i) c.right_tags += gold_iob2[i] == predicted_tags[i];
    c.outside_tags = std::count(gold_iob2.begin(), gold_iob2.end(), "O");
    return c;
  }

  Compared compare_text(const Record& gold, const Json& result) {
    Compared c{need_text(gold, options_.text), entities_of(gold, options_), {}};
    c.predicted =
        parse_entities(need_result(gold, result, options_.entities), gold, options_.entities);
    has_scores_ = has_scores_ || std::any_of(c.predicted.begin(), c.predicted.end(),
                                             [](const Entity& e) { return e.score > 0; });
    return c;
  }

  std::vector<std::string> result_tags(const Record& gold, const Json& result,
                                       size_t tokens) const {
    need_result(gold, result, options_.tags);
    Record as_record = gold;
    as_record.fields[options_.tags] = result.at(options_.tags);
    try {
      return tags_of_record(as_record, options_);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
    }
  }

  std::vector<Entity> entities(const std::vector<std::string>& tags,
                               const std::vector<std::string>& tokens,
                               const Characters& characters) const {
    const std::vector<Span> spans = spans_in_joined(tokens);
    std::vector<Entity> result;
    for (const TagSpan& span : options_.scoring == "strict" ? strict_spans(tags) : spans_of(tags)) {
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
      if (mistakes_.wants(0) && touching(c.predicted, e) == kNone)
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
    if (calibration_.count() > 0) {
      report.reliability = calibration_.bins();
      report.add({"ece"}, {calibration_.expected_error()});
    }
    if (without_pieces_ > 0) report.add({kWithoutPieces}, {static_cast<double>(without_pieces_)});
  }

  void fill_classes(const std::vector<metrics::ClassCounts>& counts, Report& report) const {
    std::vector<std::string> names;
    std::vector<metrics::ClassCounts> ordered;
    for (const auto& [name, index] : types_) {
      names.push_back(name);
      ordered.push_back(counts[index]);
    }
    metrics::fill_class_rows(names, ordered, "micro avg", report);
    names.push_back(kNone);
    report.confusion = Confusion{names, std::vector<std::vector<int64_t>>(
                                            names.size(), std::vector<int64_t>(names.size(), 0))};
    const auto place = [&](const std::string& label) {
      return std::find(names.begin(), names.end(), label) - names.begin();
    };
    for (const auto& [pair, number] : confusions_)
      report.confusion->counts[place(pair.first)][place(pair.second)] += number;
  }

  Options options_;
  std::map<std::string, int32_t> types_;  // sorted by name, as seqeval prints them
  std::vector<std::vector<TypeCounts>> records_;
  std::map<std::pair<std::string, std::string>, int64_t> confusions_;
  int64_t tags_ = 0, right_tags_ = 0, outside_tags_ = 0, without_pieces_ = 0;
  bool has_scores_ = false;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<EntityScorer>(options);
}

}  // namespace hone::ner
