// Relation extraction: how two entities of a text are related, and in which direction.
#pragma once

#include <map>
#include <set>

#include "tasks/relation/gold.h"
#include "tasks/task.h"

namespace hone::relation {

// What training data taught.
struct Learned {
  std::set<std::string> labels;  // names with their directions, without "no relation"
  bool has_none = false;         // some pair is not related
  // Types of pairs that are related, in the order of the text; others are not asked about.
  std::set<std::pair<std::string, std::string>> types;
};

class Relation : public Task {
 public:
  explicit Relation(Options options, Learned learned = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record& gold) const override;  // of a text with marks
  std::vector<std::string> labels_of(const Record& gold) const override;
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  void learn(const Record& gold) override;
  void finish_learning() override;
  // A sample for each pair that may be related; where there is none, one without a target.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  Loss loss(const Outputs& logits, const Batch& batch,
            const LossOptions& options) const override;  // logits [S, classes]
  double targets_in(const Batch& batch) const override;
  Divergence divergence() const override;
  Average average() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  // A pair as a claim without a label, in the order of the text. Error(kData) where there are too
  // many.
  std::vector<Claim> pairs_of(const Document& document, const Record& record) const;
  std::vector<float> gold_classes(const Record& record, const Document& document,
                                  const std::vector<Claim>& pairs, std::string& repair) const;
  Error too_many_pairs(const Record& record) const;
  float class_of(const Claim& claim, const Document& document, const Record& record) const;
  std::vector<std::string> class_names() const;
  void count_rows(const Document& document, const std::vector<Claim>& claims);

  Options options_;
  Learned learned_;
  std::vector<std::string> names_;  // of the classes, in their order
  // Of training data, where the loss asks for it: samples by the types of their entities and by
  // class, and those of each class.
  std::map<std::pair<std::string, std::string>, std::map<std::string, int64_t>> counted_;
  std::vector<int64_t> class_rows_;
};

extern const TaskInfo kInfo;

}  // namespace hone::relation
