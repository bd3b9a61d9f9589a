#include "tasks/metrics/text/answers.h"

#include "tasks/metrics/answer_match.h"

namespace hone::metrics {
namespace {

class MeanMatch : public TextMetric {
 public:
  MeanMatch(const TextOptions& options, const char* name, double AnswerMatch::* value)
      : is_in_characters_(options.metric_script == Script::kCharacters),
        name_(name),
        value_(value) {}

  std::vector<MetricName> names() const override { return {name_}; }

  std::vector<double> numbers(const PreparedPair& pair) override {
    std::vector<std::string> references;
    for (const PreparedText& reference : pair.references) references.emplace_back(reference.text);
    const AnswerMatch match = is_in_characters_ ? cmrc_match(pair.predicted.text, references)
                                                : squad_match(pair.predicted.text, references);
    return {match.*value_, 1};
  }

  std::vector<double> scores(std::span<const double> sums) const override {
    return {sums[0] / sums[1]};
  }

  std::string signature() const override {
    return std::string("rules:") + (is_in_characters_ ? "cmrc" : "squad");
  }

 private:
  bool is_in_characters_;
  const char* name_;
  double AnswerMatch::* value_;
};

}  // namespace

std::unique_ptr<TextMetric> make_exact_match(const TextOptions& options) {
  return std::make_unique<MeanMatch>(options, "exact_match", &AnswerMatch::exact);
}

std::unique_ptr<TextMetric> make_token_f1(const TextOptions& options) {
  return std::make_unique<MeanMatch>(options, "token_f1", &AnswerMatch::f1);
}

}  // namespace hone::metrics
