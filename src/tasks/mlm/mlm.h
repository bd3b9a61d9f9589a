// Masked-language-model training: a pre-trained encoder goes on with texts of a domain, before it
// is fine-tuned there (Gururangan et al. 2020, https://arxiv.org/abs/2004.10964).
#pragma once

#include "tasks/mlm/masks.h"
#include "tasks/mlm/options.h"
#include "tasks/task.h"

namespace hone::mlm {

class Mlm : public Task {
 public:
  // With what was learned before of the tokenizer; -1 and 0: nothing yet.
  explicit Mlm(Options options, int32_t mask_id = -1, int64_t vocabulary = 0);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override { return {options_.text}; }
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> gold_fields() const override { return {}; }  // the text is its own gold
  void learn(const Record& gold) override;
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override {}
  // A long text gives several samples, cut between words; nothing of it is lost.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig&) const override { return true; }  // whatever its labels
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Loss forward_loss(Network& network, const Batch& batch,
                    const LossOptions& options) const override;
  Outputs predict(Network& network, const Batch& batch) const override;
  std::pair<Outputs, Loss> assess(Network& network, const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  Masking masking() const;
  Encoding pieces_of(const std::string& text, const Tokenizer& tokenizer) const;

  Options options_;
  int32_t mask_id_;
  int64_t vocabulary_;
};

extern const TaskInfo kInfo;

}  // namespace hone::mlm
