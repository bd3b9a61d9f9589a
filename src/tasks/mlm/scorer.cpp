#include "tasks/mlm/scorer.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"

namespace hone::mlm {
namespace {

struct Scored {
  double loss = 0, tokens = 0, correct = 0;  // sums
};

double count_in(const Record& gold, const Json& result, const char* name) {
  const Json& value = need_result(gold, result, name);
  if (value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0))
    return value.get<double>();
  throw Error(ErrorKind::kData, gold.where(),
              fmt::format("in the result for this row, \"{}\" is {}; it must be a whole number, 0 "
                          "or more",
                          name, dump(value)));
}

double loss_in(const Record& gold, const Json& result) {
  const Json& value = need_result(gold, result, kLoss);
  if (value.is_number() && value.get<double>() >= 0) return value.get<double>();
  throw Error(ErrorKind::kData, gold.where(),
              fmt::format("in the result for this row, \"{}\" is {}; it must be a number, 0 or "
                          "more",
                          kLoss, dump(value)));
}

class PerplexityScorer : public Scorer {
 public:
  PerplexityScorer(const Options& options, int64_t vocabulary)
      : options_(options), vocabulary_(static_cast<double>(vocabulary)) {}

  void check(const Record& gold) const override { need_text(gold, options_.text); }

  void add(const Record& gold, const Json& result) override {
    check(gold);
    Scored scored;
    scored.tokens = count_in(gold, result, kTokens);
    scored.correct = count_in(gold, result, kCorrect);
    if (scored.tokens > 0) scored.loss = scored.tokens * loss_in(gold, result);
    scored_.push_back(scored);
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "perplexity";
    report.n = static_cast<int64_t>(scored_.size());
    std::vector<double> baseline;
    if (vocabulary_ > 0 && report.n > 0) {
      report.baseline = "every token equally likely";
      baseline = {vocabulary_, 1 / vocabulary_};
    }
    const std::vector<int32_t> once(scored_.size(), 1);
    report.add({less_is_better("perplexity"), "accuracy"}, scores(once),
               metrics::bootstrap(report.n, [&](std::span<const int32_t> w) { return scores(w); }),
               baseline);
    return report;
  }

 private:
  std::vector<double> scores(std::span<const int32_t> weights) const {
    Scored sum;
    for (size_t i = 0; i < scored_.size(); ++i) {
      sum.loss += weights[i] * scored_[i].loss;
      sum.tokens += weights[i] * scored_[i].tokens;
      sum.correct += weights[i] * scored_[i].correct;
    }
    if (sum.tokens == 0) return std::vector<double>(2, std::numeric_limits<double>::quiet_NaN());
    return {std::exp(sum.loss / sum.tokens), sum.correct / sum.tokens};
  }

  Options options_;
  double vocabulary_;
  std::vector<Scored> scored_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary) {
  return std::make_unique<PerplexityScorer>(options, vocabulary);
}

}  // namespace hone::mlm
