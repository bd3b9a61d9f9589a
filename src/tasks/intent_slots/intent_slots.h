// Joint intent classification and slot filling (Chen et al. 2019, "BERT for joint intent
// classification and slot filling", https://arxiv.org/abs/1902.10909): what an utterance wants, and
// the values that it names, from one encoder.
#pragma once

#include "tasks/intent_slots/options.h"
#include "tasks/labels.h"
#include "tasks/ner/ner.h"
#include "tasks/task.h"

namespace hone::intent_slots {

class IntentSlots : public Task {
 public:
  explicit IntentSlots(Options options);
  // With what was learned before.
  IntentSlots(Options options, Labels intents, ner::Ner slots);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override { return slots_.text_fields(); }
  std::string label_of(const Record& gold) const override;  // the intent
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  void learn(const Record& gold) override;
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override;
  // Samples as named-entity recognition has them; the first of a long text has the intent.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig& checkpoint) const override;
  // intent_weight · the intent's loss + slot_weight · the mean over the slots' tags, of each
  // sample. logits: intents [S, C]; then those of named-entity recognition.
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  float intent_of(const Record& record) const;

  Options options_;
  Labels intents_;
  ner::Ner slots_;
};

extern const TaskInfo kInfo;

}  // namespace hone::intent_slots
