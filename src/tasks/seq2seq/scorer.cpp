#include "tasks/seq2seq/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/text/text_scorer.h"
#include "tasks/seq2seq/rows.h"

namespace hone::seq2seq {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double number_of(const Record& gold, const Json& result, const char* name) {
  const Json& value = need_result(gold, result, name);
  if (value.is_number() && value.get<double>() >= 0) return value.get<double>();
  throw Error(ErrorKind::kData, gold.where(),
              fmt::format("in the result for this row, \"{}\" is {}; it must be a number, 0 or "
                          "more",
                          name, dump(value)));
}

struct GoldLoss {
  double sum = 0, tokens = 0;
};

class Seq2SeqScorer : public Scorer {
 public:
  Seq2SeqScorer(const Options& options, int64_t vocabulary)
      : options_(options), vocabulary_(static_cast<double>(vocabulary)) {
    if (!options_.scores.metrics.empty())
      texts_ = std::make_unique<metrics::TextScorer>(options_.scores);
  }

  void check(const Record& gold) const override { check_row(gold, options_); }

  void add(const Record& gold, const Json& result) override {
    check(gold);
    if (!result.is_object() || result.contains(kTokens)) {
      rows_.push_back(loss_in(gold, result));
      if (!result.contains(options_.target)) return;
    } else {
      rows_.emplace_back();  // what another program wrote has no loss
    }
    add_text(gold, result);
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = has_texts() ? texts_->main() : "perplexity";
    report.n = static_cast<int64_t>(rows_.size());
    if (has_texts()) texts_->add_to(report);
    if (has_losses()) add_losses(report);
    if (written_ > 0) add_answers(report);
    return report;
  }

 private:
  GoldLoss loss_in(const Record& gold, const Json& result) const {
    GoldLoss loss;
    loss.tokens = number_of(gold, result, kTokens);
    if (loss.tokens > 0) loss.sum = loss.tokens * number_of(gold, result, kLoss);
    return loss;
  }

  void add_text(const Record& gold, const Json& result) {
    const Json& text = need_result(gold, result, options_.target);
    if (!text.is_string())
      throw Error(ErrorKind::kData, gold.where(),
                  fmt::format("in the result for this row, \"{}\" is {}; it must be a text",
                              options_.target, dump(text)));
    ++written_;
    if (result.contains(kFinishReason)) {
      const Json& reason = result[kFinishReason];
      ++reasons_[reason.is_string() ? reason.get<std::string>() : dump(reason)];
    }
    if (!texts_) return;
    texts_->add({.predicted = text.get<std::string>(),
                 .references = references_of(gold, options_),
                 .source = source_text(gold, options_),
                 .sentences = source_sentences(gold, options_),
                 .where = gold.where()});
  }

  bool has_texts() const { return texts_ && written_ > 0; }
  bool has_losses() const {
    return written_ == 0 || std::any_of(rows_.begin(), rows_.end(),
                                        [](const GoldLoss& row) { return row.tokens > 0; });
  }

  // Perplexity and loss of rows drawn so often.
  std::vector<double> losses(std::span<const int32_t> weights) const {
    GoldLoss all;
    for (size_t i = 0; i < rows_.size(); ++i) {
      all.sum += weights[i] * rows_[i].sum;
      all.tokens += weights[i] * rows_[i].tokens;
    }
    const double mean = all.tokens == 0 ? kNaN : all.sum / all.tokens;
    return {std::exp(mean), mean};
  }

  void add_losses(Report& report) const {
    std::vector<double> baseline;
    if (vocabulary_ > 0 && report.n > 0) {
      report.baseline +=
          fmt::format("{}of tokens: every one equally likely", report.baseline.empty() ? "" : "; ");
      baseline = {vocabulary_, std::log(vocabulary_)};
    }
    report.add({less_is_better("perplexity"), less_is_better("loss")},
               losses(std::vector<int32_t>(rows_.size(), 1)),
               metrics::bootstrap(
                   report.n, [&](std::span<const int32_t> weights) { return losses(weights); }),
               baseline);
  }

  void add_answers(Report& report) const {
    PlainTable table{.note = fmt::format("Of {} rows, {} were answered.", report.n, written_),
                     .columns = {{"what", "answers"}, {"value", "value"}}};
    for (const auto& [reason, count] : reasons_)
      table.rows.push_back({"ended by " + reason, count});
    if (!table.rows.empty()) report.sections.push_back({"answers", "answers", std::move(table)});
  }

  Options options_;
  double vocabulary_;
  std::unique_ptr<metrics::TextScorer> texts_;
  std::vector<GoldLoss> rows_;
  int64_t written_ = 0;
  std::map<std::string, int64_t> reasons_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary) {
  return std::make_unique<Seq2SeqScorer>(options, vocabulary);
}

}  // namespace hone::seq2seq
