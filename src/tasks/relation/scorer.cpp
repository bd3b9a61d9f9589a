#include "tasks/relation/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
#include "tasks/metrics/confusion.h"
#include "tasks/mistakes.h"
#include "tasks/relation/gold.h"

namespace hone::relation {
namespace {

using metrics::ClassCounts;

constexpr size_t kShownText = 300;
constexpr const char* kNone = "(none)";

// One record, gold and result.
struct Compared {
  Document document;
  std::set<Claim> gold, predicted;
};

std::set<Claim> set_of(const std::vector<Claim>& claims) { return {claims.begin(), claims.end()}; }

// The first one, by its label, of the same two entities.
const Claim* of_pair(const std::set<Claim>& claims, const Claim& claim) {
  const auto found = claims.lower_bound({claim.first, claim.second, ""});
  const bool is_of_pair =
      found != claims.end() && found->first == claim.first && found->second == claim.second;
  return is_of_pair ? &*found : nullptr;
}

class RelationScorer : public Scorer {
 public:
  explicit RelationScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override {
    claims_of(gold.fields, document_of(gold, options_), gold, options_);
  }

  void add(const Record& gold, const Json& result) override {
    Compared c{document_of(gold, options_), {}, {}};
    c.gold = set_of(claims_of(gold.fields, c.document, gold, options_));
    c.predicted = set_of(predicted_claims(gold, result, c.document));
    records_.push_back(counts_of(c));
    right_ += c.gold == c.predicted;
    without_ += c.gold.empty();
    for (const Claim& claim : c.predicted) {
      if (claim.score > 0) calibration_.add(std::min(claim.score, 1.0), c.gold.contains(claim));
    }
    note_confusions(c);
    note_mistakes(c, gold);
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "macro_f1";
    report.n = static_cast<int64_t>(records_.size());
    const std::vector<int32_t> once(records_.size(), 1);
    fill_classes(sum(once), report);
    const std::vector<double> values = scores(once);
    if (report.n > 0) report.baseline = "no relation";
    report.add({"macro_f1", "precision", "recall", "f1"}, values,
               metrics::bootstrap(report.n, [&](std::span<const int32_t> w) { return scores(w); }),
               std::vector<double>(values.size(), 0));
    const auto n = std::max(static_cast<double>(report.n), 1.0);
    report.add({"exact_match"}, {static_cast<double>(right_) / n}, {},
               {static_cast<double>(without_) / n});
    metrics::add_calibration(calibration_, report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  using Counts = std::map<int32_t, ClassCounts>;  // by relation, without its direction

  std::vector<Claim> predicted_claims(const Record& gold, const Json& result,
                                      const Document& document) const {
    need_result(gold, result, document.is_marked ? options_.relation : options_.relations);
    try {
      return claims_of(result, document, gold, options_);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
    }
  }

  int32_t index_of(const std::string& label) {
    return labels_.emplace(label, static_cast<int32_t>(labels_.size())).first->second;
  }

  // A relation in the wrong direction is one that was predicted and one that was missed.
  Counts counts_of(const Compared& c) {
    Counts counts;
    for (const Claim& claim : c.gold) ++counts[index_of(claim.label)].gold;
    for (const Claim& claim : c.predicted) {
      ClassCounts& of_label = counts[index_of(claim.label)];
      ++of_label.predicted;
      of_label.hits += c.gold.contains(claim);
    }
    return counts;
  }

  void note_confusions(const Compared& c) {
    for (const Claim& claim : c.gold) {
      const Claim* said = of_pair(c.predicted, claim);
      ++confusions_[{claim.name(), said == nullptr ? kNone : said->name()}];
    }
    for (const Claim& claim : c.predicted) {
      if (of_pair(c.gold, claim) == nullptr) ++confusions_[{kNone, claim.name()}];
    }
  }

  static std::string shown(const Claim& claim, const Document& document) {
    const auto text = [&](size_t i) {
      const Span& bytes = document.entities[i].bytes;
      return shortened(document.text.substr(bytes.start, bytes.end - bytes.start), 40);
    };
    const bool is_forward = claim.direction != Direction::kBackward;
    return fmt::format("{}: \"{}\" to \"{}\"", claim.label,
                       text(is_forward ? claim.first : claim.second),
                       text(is_forward ? claim.second : claim.first));
  }

  void note_mistakes(const Compared& c, const Record& gold) {
    const auto shown_of = [&](const Claim* claim) {
      return claim == nullptr ? std::string(kNone) : shown(*claim, c.document);
    };
    for (const Claim& claim : c.predicted) {
      if (c.gold.contains(claim) || !mistakes_.wants(claim.score)) continue;
      mistakes_.add({gold.where(), shortened(c.document.text, kShownText),
                     shown_of(of_pair(c.gold, claim)), shown(claim, c.document), claim.score});
    }
    for (const Claim& claim : c.gold) {
      if (of_pair(c.predicted, claim) == nullptr && mistakes_.wants(0))
        mistakes_.add({gold.where(), shortened(c.document.text, kShownText),
                       shown(claim, c.document), kNone, 0});
    }
  }

  std::vector<ClassCounts> sum(std::span<const int32_t> weights) const {
    std::vector<ClassCounts> counts(labels_.size());
    for (size_t i = 0; i < records_.size(); ++i) {
      if (weights[i] == 0) continue;
      for (const auto& [label, of_label] : records_[i]) {
        counts[label].gold += weights[i] * of_label.gold;
        counts[label].predicted += weights[i] * of_label.predicted;
        counts[label].hits += weights[i] * of_label.hits;
      }
    }
    return counts;
  }

  // The macro average is over the relations that the gold records have, as the official scorer's.
  std::vector<double> scores(std::span<const int32_t> weights) const {
    const std::vector<ClassCounts> counts = sum(weights);
    std::vector<ClassCounts> there = counts;
    std::erase_if(there, [](const ClassCounts& c) { return c.gold == 0; });
    const metrics::Scores micro = metrics::micro_average(counts);
    return {metrics::macro_average(there).f1, micro.precision, micro.recall, micro.f1};
  }

  void fill_classes(const std::vector<ClassCounts>& counts, Report& report) const {
    std::vector<std::string> names;
    std::vector<ClassCounts> ordered;
    for (const auto& [name, index] : labels_) {
      names.push_back(name);
      ordered.push_back(counts[index]);
    }
    metrics::add_classes(metrics::class_table(names, ordered, "micro avg"), report);
    std::map<std::string, int64_t> place;
    for (const auto& [pair, number] : confusions_) place[pair.first] = place[pair.second] = 0;
    std::vector<std::string> shown_names;
    for (auto& [name, index] : place) {
      index = static_cast<int64_t>(shown_names.size());
      shown_names.push_back(name);
    }
    metrics::ConfusionCells cells;
    for (const auto& [pair, number] : confusions_)
      cells[{place.at(pair.first), place.at(pair.second)}] += number;
    report.sections.push_back(
        {"confusion", "confusion", metrics::confusion_table(shown_names, cells)});
  }

  Options options_;
  std::map<std::string, int32_t> labels_;  // sorted by name
  std::vector<Counts> records_;
  std::map<std::pair<std::string, std::string>, int64_t> confusions_;
  int64_t right_ = 0, without_ = 0;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<RelationScorer>(options);
}

}  // namespace hone::relation
