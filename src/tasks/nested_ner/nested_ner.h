// Nested named-entity recognition: entities of a text that may lie in each other, overlap, or be of
// several types at once.
#pragma once

#include <set>

#include "tasks/ner/text.h"
#include "tasks/nested_ner/options.h"
#include "tasks/pointer.h"
#include "tasks/task.h"

namespace hone::nested_ner {

class NestedNer : public Task {
 public:
  explicit NestedNer(Options options, std::set<std::string> types = {});

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> labels_of(const Record& gold) const override;  // types of its entities
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return true; }
  void learn(const Record& gold) override;
  void finish_learning() override;
  // One sample for each window of a long text. Every window that holds an entity whole learns it.
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  std::pair<std::string, int64_t> kind() const;  // of its pointer, the first output
  // See tasks/pointer.h; the count is that of samples times types.
  Loss loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  // Entities as spans of a text's pieces; adds to `misfits` what these cannot say.
  std::vector<TypedPair> gold_spans(const Record& record, const Encoding& pieces,
                                    std::vector<std::string>& misfits) const;
  std::optional<int64_t> type_index(const std::string& label, const Record& record) const;

  Options options_;
  std::set<std::string> types_;
  std::vector<std::string> names_;  // of the types, in their order
};

extern const TaskInfo kInfo;

}  // namespace hone::nested_ner
