// Translation and summarization: a model of two streams learns what to write to a source
// (Sutskever et al. 2014, https://arxiv.org/abs/1409.3215). Its answers are generated.
#pragma once

#include <memory>
#include <utility>

#include "tasks/seq2seq/options.h"
#include "tasks/seq2seq/rows.h"
#include "tasks/task.h"

namespace hone::seq2seq {

constexpr const char* kTargetFolder = "target_tokenizer";  // in a saved model's folder

// What the base model's folder and its tokenizers say.
struct Learned {
  SpecialTokens tokens;
  int64_t vocabulary = 0;        // tokens of the target; 0: not known
  int64_t source_positions = 0;  // the longest source of the model; 0: not known

  Json json() const;
  static Learned from(const Json& json);
};

class Seq2Seq : public Task {
 public:
  explicit Seq2Seq(Options options, Learned learned = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override { return {options_.source}; }
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> gold_fields() const override { return {options_.target}; }
  void begin_from(const std::string& model_folder, bool has_length) override;
  void reopen(const std::string& model_folder) override;
  void learn(const Record& gold) override { check_row(gold, options_); }
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override {}
  std::vector<std::string> idle_options() const override;
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig&) const override { return true; }  // whatever its labels
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Loss forward_loss(Network& network, const Batch& batch,
                    const LossOptions& options) const override;
  // The loss of each of the target's tokens [N, 1].
  Outputs predict(Network& network, const Batch& batch) const override;
  std::pair<Outputs, Loss> assess(Network& network, const Batch& batch) const override;
  const GenerationSettings* generation() const override { return &options_.generation; }
  // The target's: its own, or the model's for targets.
  const Tokenizer& answer_tokenizer(const Tokenizer& of_model) const override {
    if (target_tokenizer_) return *target_tokenizer_;
    return of_model.of_targets() != nullptr ? *of_model.of_targets() : of_model;
  }
  AnswerSample answer_sample() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;
  void write_files(const ModelConfig& model, const std::string& folder) const override;

 private:
  void learn_languages(const Tokenizer& tokenizer);
  void refuse_unnamed_languages() const;
  void check_vocabulary(const Tokenizer& target) const;
  void learn_end(const Tokenizer& tokenizer);
  Reading reading(const Tokenizer& tokenizer) const;

  Options options_;
  Learned learned_;
  std::shared_ptr<const Tokenizer> target_tokenizer_;  // null: the model's is the target's too
  int64_t target_rows_ = 0;                            // of the base model's table of target words
  // As the base model's tokenizer names them.
  std::string end_token_, tokenizer_class_, usual_language_;
};

extern const TaskInfo kInfo;

}  // namespace hone::seq2seq
