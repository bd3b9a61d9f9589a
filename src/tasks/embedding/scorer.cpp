#include "tasks/embedding/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tasks/embedding/rows.h"
#include "tasks/embedding/search_scorer.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/regression.h"
#include "tasks/metrics/retrieval.h"
#include "tasks/mistakes.h"

namespace hone::embedding {
namespace {

constexpr size_t kShownText = 150;  // of each of two

std::string score_field(const Options& options) {
  return options.score.empty() ? "score" : options.score;
}

// The similarity that a result states.
double similarity_in(const Record& gold, const Json& result, const Options& options) {
  const Json& value = need_result(gold, result, score_field(options));
  const std::optional<double> number = as_number(value);
  if (!number)
    throw Error(ErrorKind::kData, gold.where(),
                fmt::format("in the result for this row, \"{}\" must be a number, but is {}",
                            score_field(options), dump(value)));
  return *number;
}

std::string shown_pair_of(const Record& gold, const Options& options) {
  return fmt::format("{} / {}", shortened(need_text(gold, options.anchor), kShownText),
                     shortened(need_text(gold, options.positive), kShownText));
}

// Rows that say how alike two texts are.
class CorrelationScorer : public Scorer {
 public:
  explicit CorrelationScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override {
    texts_of(gold, options_, true);
    need_score(gold, options_);
  }

  void add(const Record& gold, const Json& result) override {
    const double is = need_score(gold, options_), said = similarity_in(gold, result, options_);
    gold_.push_back(is);
    said_.push_back(said);
    const double error = std::abs(is - said);
    if (error > 0 && mistakes_.wants(error))
      mistakes_.add({gold.where(), shown_pair_of(gold, options_), fmt::format("{:g}", is),
                     fmt::format("{:.4g}", said), error});
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "spearman";
    report.n = static_cast<int64_t>(gold_.size());
    const metrics::Spearman spearman(gold_, said_);
    const auto scores = [&](std::span<const int32_t> weights) -> std::vector<double> {
      return {spearman(weights), metrics::pearson(gold_, said_, weights)};
    };
    report.add({"spearman", "pearson"}, scores(std::vector<int32_t>(gold_.size(), 1)),
               metrics::bootstrap(report.n, scores),
               gold_.empty() ? std::vector<double>() : std::vector<double>{0, 0});
    if (report.n > 0) report.baseline = "all texts equally alike";
    report.sections.push_back(mistakes_.section("largest errors", "error"));
    return report;
  }

 private:
  Options options_;
  std::vector<double> gold_, said_;
  MistakeList mistakes_;  // by absolute error
};

// Rows that say whether two texts belong together.
class MatchScorer : public Scorer {
 public:
  explicit MatchScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override {
    texts_of(gold, options_, true);
    need_label(gold, options_);
  }

  void add(const Record& gold, const Json& result) override {
    const bool belongs = need_label(gold, options_);
    const double similarity = similarity_in(gold, result, options_);
    belongs_.push_back(belongs);
    similarities_.push_back(similarity);
    const double surprise = belongs ? 1 - similarity : similarity;
    if (surprise > 0 && mistakes_.wants(surprise))
      mistakes_.add({gold.where(), shown_pair_of(gold, options_), belongs ? "1" : "0",
                     fmt::format("{:.4g}", similarity), surprise});
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "average_precision";
    report.n = static_cast<int64_t>(belongs_.size());
    const metrics::AveragePrecision precision(similarities_, belongs_);
    const auto scores = [&](std::span<const int32_t> weights) -> std::vector<double> {
      return {precision(weights)};
    };
    const double share = static_cast<double>(std::count(belongs_.begin(), belongs_.end(), true)) /
                         std::max(1.0, static_cast<double>(report.n));
    report.add({"average_precision"}, scores(std::vector<int32_t>(belongs_.size(), 1)),
               metrics::bootstrap(report.n, scores),
               belongs_.empty() ? std::vector<double>() : std::vector<double>{share});
    if (report.n > 0) report.baseline = "rows in random order";
    report.sections.push_back(mistakes_.section("most surprising rows", "surprise"));
    return report;
  }

 private:
  Options options_;
  std::vector<bool> belongs_;
  std::vector<double> similarities_;
  MistakeList mistakes_;  // alike, and labelled 0; unlike, and labelled 1
};

// Waits for the first row to say which of the three is meant; what later rows lack is an error.
class AnyScorer : public Scorer {
 public:
  explicit AnyScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override {
    scorer_ ? scorer_->check(gold) : scorer_for(gold)->check(gold);
  }
  void add(const Record& gold, const Json& result) override {
    if (!scorer_) scorer_ = scorer_for(gold);
    scorer_->add(gold, result);
  }
  Report report() const override {
    if (scorer_) return scorer_->report();
    return options_.ranks() ? make_search_scorer(options_)->report()
                            : CorrelationScorer(options_).report();
  }

 private:
  std::unique_ptr<Scorer> scorer_for(const Record& gold) const {
    const bool by_label = options_.loss == Objective::kContrastive;
    if (has_label(gold, options_) && (by_label || !has_score(gold, options_)))
      return std::make_unique<MatchScorer>(options_);
    if (has_score(gold, options_) || !options_.ranks())
      return std::make_unique<CorrelationScorer>(options_);
    return make_search_scorer(options_);
  }

  Options options_;
  std::unique_ptr<Scorer> scorer_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<AnyScorer>(options);
}

}  // namespace hone::embedding
