// Classification by a cloze prompt (PET: Schick and Schütze 2021,
// https://arxiv.org/abs/2001.07676): a masked language model is asked which label's word stands in
// the place of a mask. It needs few labelled rows, since no weight of it is new.
#pragma once

#include "tasks/labels.h"
#include "tasks/prompt/head.h"
#include "tasks/prompt/options.h"
#include "tasks/task.h"

namespace hone::prompt {

class PromptTask : public Task {
 public:
  // `words` as learned from a tokenizer before, or none.
  explicit PromptTask(Options options, std::vector<Word> words = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override { return pattern_.fields(); }
  std::string label_of(const Record& gold) const override;
  std::vector<std::string> gold_fields() const override { return {options_.label}; }
  void learn(const Record& gold) override;
  // The words as pieces. Error(kUsage) where they are not as many for each, since a mask stands for
  // one piece.
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override;
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  // The head of pre-training goes on, whatever the labels.
  bool can_continue(const ModelConfig&) const override { return true; }
  Loss loss(const Outputs& logits, const Batch& batch,
            const LossOptions& options) const override;  // logits [B, labels]
  double targets_in(const Batch& batch) const override;
  Divergence divergence() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  int32_t class_of(const Record& gold) const;  // Error(kData) for a label without words

  Options options_;
  Pattern pattern_;
  Labels labels_;
  std::vector<Word> words_;
  std::vector<bool> seen_;  // of the labels, those that training data have
};

extern const TaskInfo kInfo;

}  // namespace hone::prompt
