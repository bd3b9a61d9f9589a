// Multiple choice: which of a question's choices is right, or which fills a blank best.
#pragma once

#include "tasks/choice/gold.h"
#include "tasks/choice/options.h"
#include "tasks/task.h"

namespace hone::choice {

class Choice : public Task {
 public:
  explicit Choice(Options options);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record& gold) const override { return ""; }
  std::vector<std::string> gold_fields() const override;
  void learn(const Record& gold) override;
  void finish_learning() override;
  // One sample, whose sequences are the different choices, each with its texts: all of a record go
  // through the network together. The target is the right one's place among them. Only what is
  // around a choice is cut; Error(kData) where a choice alone is too long.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig& checkpoint) const override;
  // logits [choices of all samples, 1]. The cross-entropy over each record's choices, as
  // Transformers' models for multiple choice have it.
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Divergence divergence() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  void learn_form(const Readings& readings, const Record& gold);

  Options options_;
  int64_t rows_ = 0, with_choice_ = 0;  // of the training data; those of more than one choice
  // Ways of reading answers that all rows so far allow, and the first row that they read
  // differently.
  std::array<bool, std::tuple_size_v<Readings>> forms_ = {true, true, true};
  std::optional<Where> ambiguous_;
};

extern const TaskInfo kInfo;

}  // namespace hone::choice
