#include "tasks/causal_lm/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tasks/causal_lm/rows.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/text/text_scorer.h"

namespace hone::causal_lm {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kFirstBand = 64;   // places of the first band; each further one has 4 times more
constexpr size_t kShownGroups = 50;  // of group_by, those with most tokens

// A loss and what it is of.
struct Sums {
  double loss = 0, tokens = 0, bytes = 0;

  void add(const Sums& other, double weight = 1) {
    loss += weight * other.loss;
    tokens += weight * other.tokens;
    bytes += weight * other.bytes;
  }
  double mean() const { return tokens == 0 ? kNaN : loss / tokens; }
};

// A number of a result, 0 or more.
double number_in(const Record& gold, const Json& value, const char* name) {
  if (value.is_number() && value.get<double>() >= 0) return value.get<double>();
  throw Error(ErrorKind::kData, gold.where(),
              fmt::format("in the result for this row, \"{}\" is {}; it must be a number, 0 or "
                          "more",
                          name, dump(value)));
}

// [[sum, tokens], …]
std::vector<Sums> list_in(const Record& gold, const Json& result, const char* name) {
  std::vector<Sums> sums;
  const Json& list = need_result(gold, result, name);
  for (const Json& entry : list) {
    if (!entry.is_array() || entry.size() != 2)
      throw Error(ErrorKind::kData, gold.where(),
                  fmt::format("in the result for this row, \"{}\" must be a list of [loss, "
                              "tokens], but is {}",
                              name, dump(list)));
    sums.push_back({number_in(gold, entry[0], name), number_in(gold, entry[1], name)});
  }
  return sums;
}

Sums sums_in(const Record& gold, const Json& result) {
  Sums sums;
  sums.tokens = number_in(gold, need_result(gold, result, kTokens), kTokens);
  sums.bytes = number_in(gold, need_result(gold, result, kBytes), kBytes);
  if (sums.tokens > 0)
    sums.loss = sums.tokens * number_in(gold, need_result(gold, result, kLoss), kLoss);
  return sums;
}

void add_lists(const std::vector<Sums>& part, std::vector<Sums>& all) {
  if (all.size() < part.size()) all.resize(part.size());
  for (size_t i = 0; i < part.size(); ++i) all[i].add(part[i]);
}

std::vector<Json> loss_row(const std::string& label, const Sums& sums) {
  return {label, static_cast<int64_t>(sums.tokens), finite(sums.mean()),
          finite(std::exp(sums.mean()))};
}

PlainTable loss_table(const char* key, const char* heading) {
  return {
      .columns = {
          {key, heading}, {"tokens", "tokens"}, {"loss", "loss"}, {"perplexity", "perplexity"}}};
}

std::string band_name(size_t band) {
  int64_t begin = 0, end = kFirstBand;
  for (size_t i = 0; i < band; ++i) {
    begin = end;
    end *= 4;
  }
  return fmt::format("{} to {}", begin, end - 1);
}

std::string reason_in(const Record& gold, const Json& result) {
  const Json& value = result[kFinishReason];
  if (value.is_string()) return value.get<std::string>();
  throw Error(ErrorKind::kData, gold.where(),
              fmt::format("in the result for this row, \"{}\" is {}; it must be a text",
                          kFinishReason, dump(value)));
}

// What became of the answers that were asked for.
struct Answers {
  int64_t rows = 0;
  int64_t compared = 0;  // with gold answers
  double tokens = 0;
  std::map<std::string, int64_t> reasons;
};

class CausalLmScorer : public Scorer {
 public:
  CausalLmScorer(const Options& options, int64_t vocabulary)
      : options_(options), vocabulary_(static_cast<double>(vocabulary)) {
    if (options_.scores_answers()) texts_ = std::make_unique<metrics::TextScorer>(options_.scores);
  }

  void check(const Record& gold) const override { check_row(gold, options_); }

  void add(const Record& gold, const Json& result) override {
    check(gold);
    const bool is_answered = result.is_object() && result.contains(kAnswer);
    if (is_answered) add_answer(gold, result);
    if (!is_answered || result.contains(kTokens)) {
      add_loss(gold, result);
    } else {
      rows_.emplace_back();
    }
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = answers_.compared > 0 ? texts_->main() : "perplexity";
    report.n = static_cast<int64_t>(rows_.size());
    if (!has_answers_alone()) add_losses(report);
    if (answers_.compared > 0) texts_->add_to(report);
    add_answers(report);
    add_tables(report);
    return report;
  }

 private:
  void add_loss(const Record& gold, const Json& result) {
    const Sums sums = sums_in(gold, result);
    add_lists(list_in(gold, result, kByAnswer), by_answer_);
    add_lists(list_in(gold, result, kByPosition), by_position_);
    if (!options_.group_by.empty()) by_group_[group_of(gold)].add(sums);
    rows_.push_back(sums);
  }

  std::string group_of(const Record& gold) const {
    const Json* value = find_field(gold, options_.group_by);
    if (value == nullptr) return "(none)";
    return value->is_string() ? value->get<std::string>() : dump(*value);
  }

  void add_answer(const Record& gold, const Json& result) {
    const Json& answer = result[kAnswer];
    if (!answer.is_string())
      throw Error(ErrorKind::kData, gold.where(),
                  fmt::format("in the result for this row, \"{}\" is {}; it must be a text",
                              kAnswer, dump(answer)));
    ++answers_.rows;
    if (result.contains(kAnswerTokens))
      answers_.tokens += number_in(gold, result[kAnswerTokens], kAnswerTokens);
    if (result.contains(kFinishReason)) ++answers_.reasons[reason_in(gold, result)];
    std::vector<std::string> references = gold_answers(gold, options_);
    if (!texts_ || references.empty()) return;
    ++answers_.compared;
    texts_->add({.predicted = answer.get<std::string>(),
                 .references = std::move(references),
                 .source = question_of(gold, options_),
                 .where = gold.where()});
  }

  // Perplexity, loss, perplexity of bytes: of rows drawn so often.
  std::vector<double> losses(std::span<const int32_t> weights) const {
    Sums sum;
    for (size_t i = 0; i < rows_.size(); ++i) sum.add(rows_[i], weights[i]);
    return {std::exp(sum.mean()), sum.mean(),
            sum.bytes == 0 ? kNaN : std::exp(sum.loss / sum.bytes)};
  }

  // What another program wrote has no loss.
  bool has_answers_alone() const {
    return answers_.rows > 0 &&
           std::all_of(rows_.begin(), rows_.end(), [](const Sums& row) { return row.tokens == 0; });
  }

  void add_losses(Report& report) const {
    std::vector<double> baseline;
    if (vocabulary_ > 0 && report.n > 0) {
      report.baseline = "every token equally likely";
      baseline = {vocabulary_, std::log(vocabulary_)};
    }
    report.add(
        {less_is_better("perplexity"), less_is_better("loss"), less_is_better("byte_perplexity")},
        losses(std::vector<int32_t>(rows_.size(), 1)),
        metrics::bootstrap(report.n, [&](std::span<const int32_t> w) { return losses(w); }),
        baseline);
  }

  void add_answers(Report& report) const {
    if (answers_.rows == 0) return;
    PlainTable table{.note = fmt::format("Of {} rows, {} were answered.", report.n, answers_.rows),
                     .columns = {{"what", "answers"}, {"value", "value"}}};
    table.rows.push_back({"rows", answers_.rows});
    if (answers_.tokens > 0)
      table.rows.push_back(
          {"tokens of an answer", finite(answers_.tokens / static_cast<double>(answers_.rows))});
    for (const auto& [reason, count] : answers_.reasons)
      table.rows.push_back({"ended by " + reason, count});
    report.sections.push_back({"answers", "answers", std::move(table)});
  }

  void add_tables(Report& report) const {
    if (by_answer_.size() > 1) {
      PlainTable table = loss_table("answer", "answer");
      for (size_t i = 0; i < by_answer_.size(); ++i)
        table.rows.push_back(loss_row(fmt::format("{}", i + 1), by_answer_[i]));
      report.sections.push_back({"loss_by_answer", "loss by answer", std::move(table)});
    }
    if (by_position_.size() > 1) {
      PlainTable table = loss_table("tokens_before", "tokens before");
      for (size_t i = 0; i < by_position_.size(); ++i)
        table.rows.push_back(loss_row(band_name(i), by_position_[i]));
      report.sections.push_back({"loss_by_position", "loss by place", std::move(table)});
    }
    if (!by_group_.empty()) add_groups(report);
  }

  void add_groups(Report& report) const {
    std::vector<std::pair<std::string, Sums>> groups(by_group_.begin(), by_group_.end());
    std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
      return a.second.tokens > b.second.tokens;
    });
    PlainTable table = loss_table("group", options_.group_by.c_str());
    if (groups.size() > kShownGroups) {
      table.note =
          fmt::format("The {} of {} groups with most tokens.", kShownGroups, groups.size());
      groups.resize(kShownGroups);
    }
    for (const auto& [name, sums] : groups) table.rows.push_back(loss_row(name, sums));
    report.sections.push_back({"loss_by_group", "loss by group", std::move(table)});
  }

  Options options_;
  double vocabulary_;
  std::unique_ptr<metrics::TextScorer> texts_;
  std::vector<Sums> rows_, by_answer_, by_position_;
  std::map<std::string, Sums> by_group_;
  Answers answers_;
};

}  // namespace

size_t position_band(int64_t position) {
  size_t band = 0;
  for (int64_t end = kFirstBand; position >= end; end *= 4) ++band;
  return band;
}

std::unique_ptr<Scorer> make_scorer(const Options& options, int64_t vocabulary) {
  return std::make_unique<CausalLmScorer>(options, vocabulary);
}

}  // namespace hone::causal_lm
