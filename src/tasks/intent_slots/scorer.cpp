#include "tasks/intent_slots/scorer.h"

#include <algorithm>

#include "tasks/classify/gold.h"
#include "tasks/classify/scorer.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/ner/bio.h"
#include "tasks/ner/scorer.h"
#include "tasks/ner/text.h"

namespace hone::intent_slots {
namespace {

classify::Options as_classification(const Options& options) {
  classify::Options of_intent;
  of_intent.text = options.slots.text;
  of_intent.label = options.intent;
  return of_intent;
}

// The record with its text, also where it has tokens: what the list of mistakes shows.
Record with_text(const Record& gold, const Options& options) {
  Record shown = gold;
  if (ner::has_tokens(gold, options.slots))
    shown.fields[options.slots.text] = ner::joined(ner::tokens_of(gold, options.slots));
  return shown;
}

// The same entities, whatever the scheme of the tags.
bool are_equal_slots(const Record& gold, const Json& result, const ner::Options& options) {
  if (!ner::has_tokens(gold, options)) {
    const std::vector<ner::Entity> is = ner::entities_of(gold, options),
                                   said =
                                       ner::entities_in(result.at(options.entities), gold, options);
    return std::ranges::equal(is, said, [](const ner::Entity& a, const ner::Entity& b) {
      return a.start == b.start && a.end == b.end && a.label == b.label;
    });
  }
  const auto tags = result.at(options.tags).get<std::vector<std::string>>();
  return ner::spans_of(ner::tags_of_record(gold, options)) == ner::spans_of(tags);
}

class JointScorer : public Scorer {
 public:
  JointScorer(const Options& options, const Labels& intents)
      : options_(options),
        of_intent_(as_classification(options)),
        intents_(classify::make_scorer(of_intent_, classify::Type::kSingle, intents)),
        slots_(ner::make_scorer(options.slots)) {}

  void check(const Record& gold) const override {
    intents_->check(gold);
    slots_->check(gold);
  }

  void add(const Record& gold, const Json& result) override {
    slots_->add(gold, result);
    intents_->add(with_text(gold, options_), result);
    const Record said{result, nullptr, 0};
    is_right_.push_back(label_text(intent_in(gold, options_)) ==
                            label_text(intent_in(said, options_)) &&
                        are_equal_slots(gold, result, options_.slots));
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    report.metric = "exact_match";
    report.n = static_cast<int64_t>(is_right_.size());
    const std::vector<int32_t> once(is_right_.size(), 1);
    report.add(
        {"exact_match"}, {share_right(once)},
        metrics::bootstrap(report.n, [&](std::span<const int32_t> weights) -> std::vector<double> {
          return {share_right(weights)};
        }));
    report.add_part(intents_->report(), "intent_", "intents");
    report.add_part(slots_->report(), "slot_", "slots");
    return report;
  }

 private:
  double share_right(std::span<const int32_t> weights) const {
    int64_t right = 0;
    for (size_t i = 0; i < is_right_.size(); ++i) right += is_right_[i] ? weights[i] : 0;
    return static_cast<double>(right) / std::max(1.0, static_cast<double>(is_right_.size()));
  }

  Options options_;
  classify::Options of_intent_;
  std::unique_ptr<Scorer> intents_, slots_;
  std::vector<bool> is_right_;
};

}  // namespace

Json intent_in(const Record& record, const Options& options) {
  const classify::Options of_intent = as_classification(options);
  return classify::labels_in(classify::gold_value(record, of_intent), classify::Type::kSingle,
                             of_intent, {}, record)
      .present.front();
}

std::unique_ptr<Scorer> make_scorer(const Options& options, const Labels& intents) {
  return std::make_unique<JointScorer>(options, intents);
}

}  // namespace hone::intent_slots
