// Joint entities and relations on one encoder: which stretches of a text are entities, and how they
// are related. A relation is two pairs of tokens, the first ones and the last ones of its entities,
// each found by a pointer of its own (Su 2022, GPLinker, https://kexue.fm/archives/8888).
#pragma once

#include <set>

#include "tasks/entity_relations/options.h"
#include "tasks/nested_ner/nested_ner.h"
#include "tasks/relation/gold.h"
#include "tasks/task.h"

namespace hone::entity_relations {

class EntityRelations : public Task {
 public:
  explicit EntityRelations(Options options);
  // With what was learned before.
  EntityRelations(Options options, nested_ner::NestedNer entities, std::set<std::string> labels);

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override { return entities_.text_fields(); }
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> labels_of(const Record& gold) const override;  // of its relations
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  void learn(const Record& gold) override;
  void finish_learning() override;
  // Samples as nested named-entity recognition has them. Every window that holds both entities of a
  // relation whole learns it.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig& checkpoint) const override;
  // Of each sample entity_weight · the mean over the types of entities + relation_weight · the mean
  // over the types of relations, of both pointers; see tasks/pointer.h.
  Loss loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  struct Claimed;
  std::vector<Claimed> claims_of(const Record& record) const;  // gold, of known labels
  // Adds the targets of relations; what no sample holds goes into the first one's `repair`.
  void add_targets(const std::vector<Claimed>& claims, std::vector<Sample>& samples) const;
  int64_t relation_types() const { return static_cast<int64_t>(names_.size()); }

  Options options_;
  nested_ner::NestedNer entities_;
  std::set<std::string> labels_;
  std::vector<std::string> names_;  // of the relations, in their order
};

extern const TaskInfo kInfo;

}  // namespace hone::entity_relations
