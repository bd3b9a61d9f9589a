// Training of a model that predicts the next token: on the answers of conversations (instruction
// tuning: Ouyang et al. 2022, https://arxiv.org/abs/2203.02155), on what goes on from a prompt, or
// on whole texts. Its answers are generated.
#pragma once

#include <memory>
#include <utility>

#include "data/chat/chat_template.h"
#include "tasks/causal_lm/options.h"
#include "tasks/causal_lm/rows.h"
#include "tasks/task.h"

namespace hone::causal_lm {

// What the base model's folder and the training data say.
struct Learned {
  int64_t end = -1;           // the token that ends a text or a completion; -1: none
  int64_t vocabulary = 0;     // tokens; 0: not known
  int64_t positions = 0;      // the longest sequence of the model; 0: not known
  int64_t taken = 0;          // of these, by what an adapter puts before a text
  std::string template_hash;  // of the chat template; "": rows are no conversations

  Json json() const;
  static Learned from(const Json& json);
};

class CausalLm : public Task {
 public:
  explicit CausalLm(Options options, Learned learned = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record&) const override { return ""; }
  // Conversations and texts are their own gold: an answer never sees the turn in whose place it
  // stands.
  std::vector<std::string> gold_fields() const override;
  void begin_from(const std::string& model_folder, bool has_length) override;
  void take_positions(int64_t count) override { learned_.taken = count; }
  void reopen(const std::string& model_folder) override;
  void learn(const Record& gold) override;
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override {}
  std::vector<std::string> idle_options() const override;
  // With targets: the samples to learn, of which kNextToken says for each token which one comes
  // next, where that has a loss. Without: one sample, the prompt of the answer.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig&) const override { return true; }  // whatever its labels
  Loss loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Loss forward_loss(Network& network, const Batch& batch,
                    const LossOptions& options) const override;
  // The loss of each token [N, 1], 0 where it has none; of samples with targets.
  Outputs predict(Network& network, const Batch& batch) const override;
  std::pair<Outputs, Loss> assess(Network& network, const Batch& batch) const override;
  const GenerationSettings* generation() const override { return &options_.generation; }
  AnswerSample answer_sample() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;
  void write_files(const ModelConfig& model, const std::string& folder) const override;

 private:
  Reading reading(const Tokenizer& tokenizer, int64_t room) const;
  int64_t room(const Tokenizer& tokenizer) const;         // tokens of a sample that is learned
  int64_t prompt_room(const Tokenizer& tokenizer) const;  // tokens of a prompt

  Options options_;
  Learned learned_;
  std::string end_token_;                         // as the base model's tokenizer names it
  std::shared_ptr<const ChatTemplate> template_;  // of conversations, once a folder is known
};

extern const TaskInfo kInfo;

}  // namespace hone::causal_lm
