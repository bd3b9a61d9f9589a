#include "tasks/choice/scorer.h"

#include <algorithm>
#include <numeric>

#include "tasks/choice/gold.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/mistakes.h"

namespace hone::choice {
namespace {

constexpr size_t kShownText = 200, kShownAnswer = 80;  // code points

class ChoiceScorer : public Scorer {
 public:
  explicit ChoiceScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override { right_of(gold, choices_of(gold, options_)); }

  void add(const Record& gold, const Json& result) override {
    const Choices choices = choices_of(gold, options_);
    const int64_t right = right_of(gold, choices), said = said_of(gold, result, choices);
    is_right_.push_back(right == said ? 1 : 0);
    by_chance_ += 1 / static_cast<double>(choices.distinct().size());
    const std::optional<double> sure = score_of(result, said);
    if (sure) calibration_.add(std::clamp(*sure, 0.0, 1.0), right == said);
    if (right != said && mistakes_.wants(sure.value_or(0)))
      mistakes_.add({gold.where(), shown_text(gold), shortened(choices.texts[right], kShownAnswer),
                     shortened(choices.texts[said], kShownAnswer), sure.value_or(0)});
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "accuracy";
    report.n = static_cast<int64_t>(is_right_.size());
    if (report.n > 0) report.baseline = "any choice";
    const std::vector<int32_t> once(is_right_.size(), 1);
    report.add({"accuracy"}, {accuracy(once)},
               metrics::bootstrap(
                   report.n, [&](std::span<const int32_t> w) { return std::vector{accuracy(w)}; }),
               {by_chance_ / std::max<double>(1, static_cast<double>(report.n))});
    metrics::add_calibration(calibration_, report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  int64_t right_of(const Record& gold, const Choices& choices) const {
    return answer_of(need_field(gold, options_.answer), choices, gold, options_);
  }

  int64_t said_of(const Record& gold, const Json& result, const Choices& choices) const {
    const Json& value = need_result(gold, result, options_.answer);
    try {
      return answer_of(value, choices, gold, options_);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
    }
  }

  static std::optional<double> score_of(const Json& result, int64_t choice) {
    const auto list = result.find(kScores);
    const auto place = static_cast<size_t>(choice);
    if (list == result.end() || !list->is_array() || place >= list->size()) return std::nullopt;
    const Json& score = (*list)[place];
    return score.is_number() ? std::optional(score.get<double>()) : std::nullopt;
  }

  std::string shown_text(const Record& gold) const {
    const bool has_question = !options_.question.empty();
    const Json* text = find_field(gold, has_question ? options_.question : options_.context);
    return text != nullptr && text->is_string()
               ? shortened(text->get_ref<const std::string&>(), kShownText)
               : "";
  }

  double accuracy(std::span<const int32_t> weights) const {
    const int64_t right =
        std::inner_product(weights.begin(), weights.end(), is_right_.begin(), int64_t{0});
    const int64_t count = std::accumulate(weights.begin(), weights.end(), int64_t{0});
    return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(count, 1));
  }

  Options options_;
  std::vector<int32_t> is_right_;  // 0 or 1, of each record
  double by_chance_ = 0;           // records that any choice would get right, expected
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options) {
  return std::make_unique<ChoiceScorer>(options);
}

}  // namespace hone::choice
