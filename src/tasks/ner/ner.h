// Named-entity recognition: a tag for every token, entities from the tags.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tasks/ner/options.h"
#include "tasks/task.h"

namespace hone::ner {

class Ner : public Task {
 public:
  explicit Ner(Options options);
  // With what was learned before.
  Ner(Options options, const std::vector<std::string>& types, bool by_pieces);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  std::vector<std::string> labels_of(const Record& gold) const override;  // types of its entities
  void learn(const Record& gold) override;
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override;
  // One sample for each window of a long text; the first piece of a token carries its tag, the rest
  // none. Nothing is ever cut off. A text's tokens are its pre-tokens, or its pieces where an
  // entity of the training data begins or ends inside a pre-token.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  Loss loss(const Outputs& logits, const Batch& batch,
            const LossOptions& options) const override;  // logits [N, tags]; of a CRF its table too
  double targets_in(const Batch& batch) const override;
  bool has_fixed_work() const override { return !options_.crf && options_.balance.is_none(); }
  // For tasks that add a loss of their own: each sample's mean over its tags, summed; fp32 scalar.
  // Balancing weights have the mean 1 over the training data's tags, not over those of a sample.
  at::Tensor mean_losses(const Outputs& logits, const Batch& batch,
                         const LossOptions& options) const;
  Divergence divergence() const override;
  Average average() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

  const std::vector<std::string>& tags() const { return tags_; }  // O, B-X, I-X, B-Y, …

 private:
  struct Tokenized;
  using TagCounts = std::map<std::string, int64_t>;
  Tokenized tokenize(const Record& record, const Tokenizer& tokenizer, bool by_pieces) const;
  // The tags (IOB2) of a gold record's tokens.
  std::vector<std::string> tags_for(const Record& record, const Tokenized& tokenized,
                                    std::string* repair) const;
  void count_tags(const Record& gold, const Tokenizer& tokenizer);
  // [N], 0 where a token has no tag; not of a chain's tags.
  at::Tensor losses(const at::Tensor& logits, const at::Tensor& targets,
                    const LossOptions& options) const;
  std::vector<float> gold_tags(
      const Record& record, const Tokenized& tokenized,
      std::string* repair) const;  // index of each token's tag, kNoTarget for unknown types
  void add_targets(const std::vector<float>& gold, std::vector<Sample>& samples) const;
  float tag_index(const std::string& tag, const Record& record) const;

  Options options_;
  std::set<std::string> types_;
  std::vector<std::string> tags_;
  bool by_pieces_ = false;
  TagCounts counts_[2];            // learned, where they are wanted: by tokens and by pieces
  std::vector<int64_t> tag_rows_;  // the chosen ones, by tag; of a saved model not known
  Where first_by_pieces_;
  int64_t repaired_records_ = 0;
  Where first_repaired_;
};

// With what `state` says was learned.
Ner restored(const Options& options, const Json& state);

extern const TaskInfo kInfo;

}  // namespace hone::ner
