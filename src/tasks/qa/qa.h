// Extractive question answering: the part of a text that answers a question, or that none does.
#pragma once

#include "tasks/qa/gold.h"
#include "tasks/qa/options.h"
#include "tasks/task.h"

namespace hone::qa {

class Qa : public Task {
 public:
  // `may_lack`: some question of the training data has no answer.
  explicit Qa(Options options, bool may_lack = false);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record& gold) const override;  // "answer" or "no answer"
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  void learn(const Record& gold) override;
  void finish_learning() override;
  std::vector<std::string> open_options() const override;
  std::vector<ChosenOption> choose_options(const Report& validation) override;
  std::vector<std::string> idle_options() const override;
  // Question and window, one sample for each window of a long context. Targets are places in a
  // window, of the first answer that stands in the context; the window's first token where the
  // answer is in another or there is none; kNoTarget in windows that hold a part of it only.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig& checkpoint) const override;
  // logits [N, 2] of starts and ends. Of each sample the mean of both losses, as Transformers has
  // it.
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Divergence divergence() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  struct Windows;
  Windows windows_of(const Record& record, const Tokenizer& tokenizer) const;
  void add_targets(const Record& record, const Windows& windows,
                   std::vector<Sample>& samples) const;

  Options options_;
  bool may_lack_;
  int64_t answered_ = 0, located_ = 0;  // questions of the training data
  Where first_not_located_;
};

extern const TaskInfo kInfo;

}  // namespace hone::qa
