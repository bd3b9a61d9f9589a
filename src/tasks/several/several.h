// Several tasks on one encoder (Caruana 1997, "Multitask learning"): each has a head, labels and
// records of its own; all train the same backbone. A record says in its field "task" whose it is.
//
// In an optimizer step each task's loss is divided by its own targets there, and the sum of these
// means, each times the task's weight, is what is minimised.
#pragma once

#include "tasks/task.h"

namespace hone::several {

constexpr const char* kTaskName = "several";
constexpr const char* kTaskField = "task";  // of records and results: the name of their task
constexpr const char* kMean = "mean";       // the metric: the mean of the tasks' own

// Which of the tasks a record is of, by its field. Error(kData) where it names none of these.
size_t place_of(const Record& record, const std::vector<TaskPart>& parts);

class Several : public Task {
 public:
  explicit Several(std::vector<TaskPart> parts);

  const TaskInfo& info() const override;
  const std::vector<TaskPart>& parts() const override { return parts_; }

  std::vector<std::string> text_fields() const override;  // of any task
  std::string label_of(const Record& gold) const override;
  std::vector<std::string> labels_of(const Record& gold) const override;
  std::vector<std::string> gold_fields() const override;  // of any task
  bool labels_places() const override;                    // of any task
  void learn(const Record& gold) override;
  void learn_tokens(const Record& gold, const Tokenizer& tokenizer) override;
  void finish_learning() override;
  void begin_from(const std::string& model_folder, bool has_length) override;
  void reopen(const std::string& model_folder) override;
  std::vector<std::string> open_options() const override;  // "topic.threshold"
  std::vector<ChosenOption> choose_options(const Report& validation) override;
  std::vector<std::string> idle_options() const override;
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                             bool* truncated) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  bool can_continue(const ModelConfig& checkpoint) const override;
  // All of these are the task's whose samples the batch holds.
  Loss loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const override;
  double targets_in(const Batch& batch) const override;
  Loss forward_loss(Network& network, const Batch& batch,
                    const LossOptions& options) const override;
  Divergence divergence() const override;  // null where some task has none
  Outputs predict(Network& network, const Batch& batch) const override;
  std::pair<Outputs, Loss> assess(Network& network, const Batch& batch) const override;
  Json decode(const Record& record, std::span<const Row> rows,
              const Tokenizer& tokenizer) const override;
  std::unique_ptr<Scorer> make_scorer() const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;

 private:
  const Task& task_of(const Record& record) const { return *parts_[place_of(record, parts_)].task; }
  const Task& task_of(const Batch& batch) const {
    return *parts_.at(static_cast<size_t>(batch.task)).task;
  }

  std::vector<TaskPart> parts_;   // by Sample::task
  std::vector<int64_t> learned_;  // records of each
};

extern const TaskInfo kInfo;  // `make` takes the section `tasks`

}  // namespace hone::several
