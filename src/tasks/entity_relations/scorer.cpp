#include "tasks/entity_relations/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
#include "tasks/mistakes.h"
#include "tasks/ner/scorer.h"
#include "tasks/relation/gold.h"

namespace hone::entity_relations {
namespace {

using metrics::ClassCounts;

constexpr size_t kShownText = 300;
constexpr const char* kNone = "(none)";

// A relation by all that must be right of it.
struct Triple {
  relation::Entity head, tail;
  std::string label;
  double score = 0;

  auto parts() const {
    return std::tie(head.bytes.start, head.bytes.end, head.type, tail.bytes.start, tail.bytes.end,
                    tail.type, label);
  }
  bool operator<(const Triple& other) const { return parts() < other.parts(); }
};

using Triples = std::set<Triple>;  // what two entities of equal bounds say alike counts once

std::string shown(const Triple& triple, const std::string& text) {
  const auto entity = [&](const relation::Entity& e) {
    return fmt::format("{} \"{}\"", e.type,
                       shortened(text.substr(e.bytes.start, e.bytes.end - e.bytes.start), 40));
  };
  return fmt::format("{}: {} to {}", triple.label, entity(triple.head), entity(triple.tail));
}

class EndToEndScorer : public Scorer {
 public:
  explicit EndToEndScorer(const Options& options)
      : options_(options),
        as_relation_(options.as_relation()),
        entities_(ner::make_scorer(options.entities.spans)) {}

  void check(const Record& gold) const override {
    entities_->check(gold);
    triples_of(gold);
  }

  void add(const Record& gold, const Json& result) override {
    entities_->add(gold, result);
    const Triples is = triples_of(gold), said = predicted(gold, result);
    records_.push_back(counts_of(is, said));
    for (const Triple& triple : said) {
      if (triple.score > 0) calibration_.add(std::min(triple.score, 1.0), is.contains(triple));
    }
    note_mistakes(is, said, gold);
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "relation_f1";
    report.n = static_cast<int64_t>(records_.size());
    report.add_part(of_relations(), "relation_", "relations");
    report.add_part(entities_->report(), "entity_", "entities");
    return report;
  }

 private:
  using Counts = std::map<std::string, ClassCounts>;  // by label

  Triples triples_of(const Record& record) const {
    need_field(record, as_relation_.entities);
    const relation::Document document = relation::document_of(record, as_relation_);
    Triples triples;
    for (const relation::Claim& claim :
         relation::claims_of(record.fields, document, record, as_relation_)) {
      const bool is_forward = claim.direction != relation::Direction::kBackward;
      const relation::Entity &first = document.entities[claim.first],
                             &second = document.entities[claim.second];
      triples.insert(
          {is_forward ? first : second, is_forward ? second : first, claim.label, claim.score});
    }
    return triples;
  }

  // What a result says of the gold record's text.
  Triples predicted(const Record& gold, const Json& result) const {
    Record as_record = gold;
    for (const std::string& field : {as_relation_.entities, as_relation_.relations})
      as_record.fields[field] = need_result(gold, result, field);
    try {
      return triples_of(as_record);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
    }
  }

  static Counts counts_of(const Triples& is, const Triples& said) {
    Counts counts;
    for (const Triple& triple : is) ++counts[triple.label].gold;
    for (const Triple& triple : said) {
      ClassCounts& of_label = counts[triple.label];
      ++of_label.predicted;
      of_label.hits += is.contains(triple);
    }
    return counts;
  }

  void note_mistakes(const Triples& is, const Triples& said, const Record& gold) {
    const std::string& text = need_text_as_read(gold, as_relation_.text);
    for (const Triple& triple : said) {
      if (!is.contains(triple) && mistakes_.wants(triple.score))
        mistakes_.add(
            {gold.where(), shortened(text, kShownText), kNone, shown(triple, text), triple.score});
    }
    for (const Triple& triple : is) {
      if (!said.contains(triple) && mistakes_.wants(0))
        mistakes_.add({gold.where(), shortened(text, kShownText), shown(triple, text), kNone, 0});
    }
  }

  Counts sum(std::span<const int32_t> weights) const {
    Counts counts;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (weights[i] == 0) continue;
      for (const auto& [label, of_label] : records_[i]) {
        ClassCounts& all = counts[label];
        all.gold += weights[i] * of_label.gold;
        all.predicted += weights[i] * of_label.predicted;
        all.hits += weights[i] * of_label.hits;
      }
    }
    return counts;
  }

  std::vector<double> scores(std::span<const int32_t> weights) const {
    std::vector<ClassCounts> counts;
    for (const auto& [label, of_label] : sum(weights)) counts.push_back(of_label);
    const metrics::Scores micro = metrics::micro_average(counts);
    return {micro.precision, micro.recall, micro.f1, metrics::macro_average(counts).f1};
  }

  Report of_relations() const {
    Report report;
    report.n = static_cast<int64_t>(records_.size());
    const std::vector<int32_t> once(records_.size(), 1);
    std::vector<std::string> names;
    std::vector<ClassCounts> counts;
    for (const auto& [label, of_label] : sum(once)) {
      names.push_back(label);
      counts.push_back(of_label);
    }
    metrics::add_classes(metrics::class_table(names, counts, "micro avg"), report);
    if (report.n > 0) report.baseline = "no relations";
    report.add({"precision", "recall", "f1", "macro_f1"}, scores(once),
               metrics::bootstrap(report.n, [&](std::span<const int32_t> w) { return scores(w); }),
               std::vector<double>(4, 0));
    metrics::add_calibration(calibration_, report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

  Options options_;
  relation::Options as_relation_;
  std::unique_ptr<Scorer> entities_;
  std::vector<Counts> records_;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<EndToEndScorer>(options);
}

}  // namespace hone::entity_relations
