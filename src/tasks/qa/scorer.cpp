#include "tasks/qa/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tasks/fields.h"
#include "tasks/metrics/answer_match.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/mistakes.h"
#include "tasks/qa/gold.h"

namespace hone::qa {
namespace {

using metrics::AnswerMatch;

constexpr size_t kShownQuestion = 200, kShownAnswerText = 80;  // code points
constexpr const char* kNoAnswer = "(no answer)";

// One record, and what other thresholds would make of it.
struct Scored {
  AnswerMatch match;  // of the result's answer
  bool has_answer = false;
  // Where the result says how likely no answer is: that, and the match of the best answer.
  std::optional<double> margin;
  AnswerMatch of_best;
};

std::string shown_answer(const std::string& text) {
  return text.empty() ? kNoAnswer : shortened(text, kShownAnswerText);
}

// The text of the first candidate that is an answer; "" where there is none.
std::string best_text(const Json& result) {
  const auto list = result.find(kCandidates);
  if (list == result.end() || !list->is_array()) return "";
  for (const Json& candidate : *list) {
    const auto text = candidate.is_object() ? candidate.find("text") : candidate.end();
    if (text != candidate.end() && text->is_string() &&
        !text->get_ref<const std::string&>().empty())
      return text->get<std::string>();
  }
  return "";
}

std::optional<double> number_in(const Json& result, const char* key) {
  const auto found = result.find(key);
  if (found == result.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// The margin up to which questions are best answered, and the F1 that this gives: SQuAD's
// find_best_thresh. Questions without a margin stay as they are answered; those of equal margins
// are answered together.
struct BestThreshold {
  double threshold = 0, f1 = 0;
};

BestThreshold best_threshold(std::vector<Scored> scored) {
  const auto begin = std::stable_partition(scored.begin(), scored.end(),
                                           [](const Scored& one) { return !one.margin; });
  std::stable_sort(begin, scored.end(),
                   [](const Scored& a, const Scored& b) { return *a.margin < *b.margin; });
  double sum = 0;
  for (auto one = scored.begin(); one != scored.end(); ++one)
    sum += one < begin ? one->match.f1 : one->has_answer ? 0 : 1;
  BestThreshold best{begin == scored.end() ? 0 : *begin->margin - 1, sum};  // none is answered
  for (auto one = begin; one != scored.end(); ++one) {
    sum += one->of_best.f1 - (one->has_answer ? 0 : 1);
    const bool is_last = std::next(one) == scored.end() || *std::next(one)->margin > *one->margin;
    if (is_last && sum > best.f1) best = {*one->margin, sum};
  }
  best.f1 /= static_cast<double>(scored.size());
  return best;
}

class AnswerScorer : public Scorer {
 public:
  explicit AnswerScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override { answers_of(gold, options_); }

  void add(const Record& gold, const Json& result) override {
    const std::vector<std::string> texts = texts_of(answers_of(gold, options_));
    const std::string predicted = predicted_text(gold, result), best = best_text(result);
    Scored scored{match(predicted, texts), !texts.empty(), number_in(result, kMargin), {}};
    if (scored.margin) scored.of_best = match(best.empty() ? predicted : best, texts);
    scored_.push_back(scored);
    const std::optional<double> score = number_in(result, kScore);
    if (score) calibration_.add(std::clamp(*score, 0.0, 1.0), scored.match.exact == 1);
    note_mistake(gold, texts, predicted, scored.match, score.value_or(0));
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = kF1;
    report.n = static_cast<int64_t>(scored_.size());
    const std::vector<int32_t> once(scored_.size(), 1);
    if (report.n > 0) report.baseline = "no answer";
    const double unanswered = share([](const Scored& s) { return s.has_answer ? 0.0 : 1.0; });
    report.add({"exact_match", kF1}, means(once),
               metrics::bootstrap(report.n, [&](std::span<const int32_t> w) { return means(w); }),
               {unanswered, unanswered});
    if (unanswered > 0) add_parts(report);
    metrics::add_calibration(calibration_, report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  static std::vector<std::string> texts_of(const std::vector<Answer>& answers) {
    std::vector<std::string> texts;
    for (const Answer& answer : answers) texts.push_back(answer.text);
    return texts;
  }

  // "" where the result says that there is no answer.
  std::string predicted_text(const Record& gold, const Json& result) const {
    const Json& value = need_result(gold, result, options_.answers);
    try {
      const std::vector<Answer> answers = answers_of(value, gold, options_);
      return answers.empty() ? "" : answers.front().text;
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
    }
  }

  AnswerMatch match(const std::string& predicted, const std::vector<std::string>& gold) const {
    return options_.scoring == Scoring::kCmrc ? metrics::cmrc_match(predicted, gold)
                                              : metrics::squad_match(predicted, gold);
  }

  void note_mistake(const Record& gold, const std::vector<std::string>& texts,
                    const std::string& predicted, const AnswerMatch& match, double score) {
    if (match.exact == 1 || !mistakes_.wants(score)) return;
    const Json* question = find_field(gold, options_.question);
    mistakes_.add({gold.where(),
                   question != nullptr && question->is_string()
                       ? shortened(question->get_ref<const std::string&>(), kShownQuestion)
                       : "",
                   shown_answer(texts.empty() ? "" : texts.front()), shown_answer(predicted),
                   score});
  }

  std::vector<double> means(std::span<const int32_t> weights) const {
    double exact = 0, f1 = 0, count = 0;
    for (size_t i = 0; i < scored_.size(); ++i) {
      exact += weights[i] * scored_[i].match.exact;
      f1 += weights[i] * scored_[i].match.f1;
      count += weights[i];
    }
    return {exact / std::max(count, 1.0), f1 / std::max(count, 1.0)};
  }

  template <typename Value>
  double share(const Value& value) const {
    double sum = 0;
    for (const Scored& scored : scored_) sum += value(scored);
    return sum / std::max(static_cast<double>(scored_.size()), 1.0);
  }

  // Of questions with and without an answer, and what the best threshold would give.
  void add_parts(Report& report) const {
    const double without = share([](const Scored& s) { return s.has_answer ? 0.0 : 1.0; });
    const auto of_part = [&](bool has_answer, double AnswerMatch::* value) {
      const double part = has_answer ? 1 - without : without;
      return share([&](const Scored& s) {
               return s.has_answer == has_answer ? s.match.*value : 0.0;
             }) /
             part;  // NaN where the part is empty
    };
    report.add({"answered_exact_match", "answered_f1", "unanswerable_accuracy"},
               {of_part(true, &AnswerMatch::exact), of_part(true, &AnswerMatch::f1),
                of_part(false, &AnswerMatch::exact)});
    if (std::none_of(scored_.begin(), scored_.end(), [](const Scored& s) { return s.margin; }))
      return;
    const BestThreshold best = best_threshold(scored_);
    report.add({kBestF1, kBestThreshold}, {best.f1, best.threshold});
  }

  Options options_;
  std::vector<Scored> scored_;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<AnswerScorer>(options);
}

}  // namespace hone::qa
