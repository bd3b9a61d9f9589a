// Sentence embeddings: a bi-encoder that gives texts vectors which are near each other where the
// texts belong together.
#pragma once

#include <optional>

#include "tasks/embedding/options.h"
#include "tasks/embedding/rows.h"
#include "tasks/embedding/sentence_folder.h"
#include "tasks/task.h"

namespace hone::embedding {

// What training data taught.
struct Learned {
  int64_t negatives = 0;  // of the row that has most
};

class Embedding : public Task {
 public:
  explicit Embedding(Options options, Learned learned = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record& gold) const override;  // of rows with labels
  std::vector<std::string> gold_fields() const override;
  void begin_from(const std::string& model_folder, bool has_length) override;
  void learn(const Record& gold) override;
  void finish_learning() override;
  void check_step(int64_t samples) const override;
  std::vector<std::string> idle_options() const override;
  // One sample, a stream for each text: anchor, positive, as many negatives as training data have
  // at most. Texts that a row does not have are empty ones.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  // A sample of one text: its output is the vector.
  Sample encode_text(const std::string& text, const Tokenizer& tokenizer) const;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig&) const override { return true; }  // whatever rows say
  bool has_step_loss() const override;
  Loss loss(const Outputs& outputs, const Batch& batch,
            const LossOptions& options) const override;  // vectors [S, K * H]
  double targets_in(const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;
  void write_files(const ModelConfig& model, const std::string& folder) const override;

  const Options& options() const { return options_; }
  int64_t width(const ModelConfig& model) const {  // numbers of a vector
    return options_.dense > 0 ? options_.dense : model.hidden_size;
  }

 private:
  double target_of(const Record& gold) const;
  void refuse_one_value() const;

  Options options_;
  Learned learned_;
  std::optional<Dense> begun_;          // of the folder that training begins from
  int64_t rows_ = 0;                    // learned
  std::optional<double> first_target_;  // of rows with scores or labels
  std::optional<uint64_t> first_text_;  // of the first positive
  bool has_other_target_ = false, has_other_text_ = false;
};

extern const TaskInfo kInfo;

}  // namespace hone::embedding
