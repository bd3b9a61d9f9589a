// Text classification: one label, several labels, or a number, for one text or a pair.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "tasks/classify/options.h"
#include "tasks/labels.h"
#include "tasks/task.h"

namespace hone::classify {

class Classify : public Task {
 public:
  explicit Classify(Options options);
  Classify(Options options, Type type, Labels labels);  // with what was learned before

  const TaskInfo& info() const override;
  std::vector<std::string> text_fields() const override;
  std::string label_of(const Record& gold) const override;
  std::vector<std::string> gold_fields() const override;
  bool labels_places() const override { return !options_.aspect.empty(); }
  void learn(const Record& gold) override;
  void finish_learning() override;
  std::vector<std::string> open_options() const override;
  std::vector<ChosenOption> choose_options(const Report& validation) override;
  std::vector<std::string> idle_options() const override;
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  Loss loss(const Outputs& logits, const Batch& batch,
            const LossOptions& options) const override;  // logits [S, C]
  double targets_in(const Batch& batch) const override;
  bool can_mix() const override { return !has_step_loss(); }
  int64_t plain_outputs() const override { return has_step_loss() ? 0 : outputs(); }
  bool has_fixed_work() const override {
    return type_ == Type::kSingle && options_.balance.is_none();
  }
  bool has_strata() const override { return type_ == Type::kSingle; }
  Divergence divergence() const override;
  Average average() const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

  Type type() const { return type_; }
  const Labels& labels() const { return labels_; }

 private:
  int64_t outputs() const;  // C
  Sequence sequence_of(const Record& record, const Tokenizer& tokenizer, bool* truncated) const;
  Target target_of(const Record& record, std::string& repair) const;
  std::optional<int32_t> class_of(const Json& label, const Record& record)
      const;  // nothing for an unknown one that is to be counted
  Error unknown_label(const Json& label, const Record& record, const char* advice) const;
  Json chosen_labels(const std::vector<double>& p)
      const;  // multi: those from the threshold on, as the data writes them
  void learn_labels(const Json& value, const Record& gold);
  void check_label(const Json& label, const Record& gold) const;  // may training data have it?
  void learn_label(const Json& label);
  void finish_labels();  // fixes those of the data, and tells of what is odd about them
  std::vector<ChosenOption> choose_temperature(const Report& validation);
  void refuse_one_class() const;
  void count_class_rows();
  void tell_unseen() const;  // of given labels, those that no training row has
  int64_t labels_without_mates() const;

  Options options_;
  Type type_;  // kAuto until the first label was seen
  Labels labels_;
  std::set<int32_t> seen_;                        // of given labels, those that training data has
  Where first_label_;                             // where the type was decided
  int64_t rows_ = 0;                              // learned
  std::map<std::string, int64_t> rows_of_label_;  // learned
  std::vector<int64_t> class_rows_;               // the same by class; of a saved model not known
  std::unordered_map<std::string, bool> is_shared_;  // of each label learned: by several rows?
};

extern const TaskInfo kInfo;

}  // namespace hone::classify
