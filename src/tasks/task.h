// All that the rest of the program may know about a task. A task is one folder and one line in
// registry.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/json.h"
#include "base/table.h"
#include "data/record.h"
#include "data/sample.h"
#include "data/tokenizer/tokenizer.h"
#include "models/generation/generate.h"
#include "tasks/batch.h"
#include "tasks/generation_options.h"
#include "tasks/network.h"
#include "tasks/outputs.h"
#include "tasks/report.h"

namespace hone {

struct TaskInfo;

// A sum over targets and how many there were. The loop divides once, after all micro-batches of a
// step: a gradient depends on the samples alone.
struct Loss {
  at::Tensor sum;  // fp32 scalar
  double count = 0;
};

// What the training section asks of a loss. Evaluation uses the defaults.
struct LossOptions {
  double label_smoothing = 0;  // share of the target spread evenly over all classes (Szegedy et al.
                               // 2016), as torch.nn.CrossEntropyLoss does
  bool trains = false;         // what the task's options say of training alone is in the loss
};

// How far two outputs of the same batch are apart (of two passes, or of two models): a sum over its
// targets, as a loss is; 0 where they are equal. tasks/divergence.h has the usual ones.
using Divergence =
    std::function<at::Tensor(const Outputs& outputs, const Outputs& others, const Batch& batch)>;

// What several models' outputs of the same batch are together, in the form of one (an ensemble).
// tasks/averages.h has the usual ones.
using Average = std::function<at::Tensor(const std::vector<at::Tensor>& of_models)>;

// One sample with its part of the outputs: [C] of one that has a row for each sample, [n, C] of one
// that has a row for each token, [k, C] of a sample of k sequences; fp32 on the CPU.
struct Row {
  const Sample* sample;
  at::Tensor output;                      // the first, and of most tasks the only one
  std::vector<at::Tensor> more = {};      // the others, in the head's order
  std::optional<Generated> written = {};  // of a task that writes texts, in place of outputs
};

// Compares results with gold records. Both have the same fields, so one scorer serves training,
// `hone eval` and a file of saved predictions.
class Scorer {
 public:
  virtual ~Scorer() = default;
  // Error(kData) at gold.where() for a record that no result can be compared with.
  virtual void check(const Record& gold) const = 0;
  // Error(kData) as `check`; then at gold.where() for a malformed result.
  virtual void add(const Record& gold, const Json& result) = 0;
  virtual Report report() const = 0;  // seconds of work at most; bootstrap included
};

// Rows of an evaluation that get an answer beside what `Task::assess` tells of them, since answers
// are slow: drawn by the seed among the first kRecordsAtOnce of the data.
struct AnswerSample {
  int64_t rows = 0;
  uint64_t seed = 0;
};

class Task;

constexpr const char* kTasksInConfig = "hone_tasks";  // in config.json: what each of several is

// One of several tasks on one encoder.
struct TaskPart {
  std::string name;  // the user's
  std::shared_ptr<Task> task;
  double weight = 1;  // of its mean loss, in a step and in an evaluation
};

class Task {
 public:
  virtual ~Task() = default;

  virtual const TaskInfo& info() const = 0;  // its line in the registry

  virtual std::vector<std::string> text_fields()
      const = 0;  // fields that are cleaned, searched for leakage and duplicates
  virtual std::string label_of(
      const Record& gold) const = 0;  // for stratifying; "" where it has none
  // For the table of labels: each as often as it stands in the record. Error(kData) as in learn.
  virtual std::vector<std::string> labels_of(const Record& gold) const {
    const std::string label = label_of(gold);
    return label.empty() ? std::vector<std::string>{} : std::vector{label};
  }

  // Fields that only gold records have, and results in their place: what is predicted never depends
  // on them.
  virtual std::vector<std::string> gold_fields() const = 0;

  // Whether they, or fields beside them, name places in the texts (spans, tags of tokens): then no
  // other text can take a text's place.
  virtual bool labels_places() const { return false; }

  virtual void learn(
      const Record& gold) = 0;  // labels from training data, before anything is encoded
  // What the tokens of training data can express, where that decides how data are encoded. After
  // `learn` of the same record.
  virtual void learn_tokens(const Record& gold, const Tokenizer& tokenizer) {}
  virtual void
  finish_learning() = 0;  // fixes their order; Error(kData) for data that cannot train (one class)

  // What files beside the configuration of the model that training begins from say of the task
  // (sentence-transformers' modules). Before `learn`. `has_length`: max_seq_length was asked for.
  virtual void begin_from(const std::string& model_folder, bool has_length) {}
  // So many of the model's positions go to what an adapter puts before each text.
  virtual void take_positions(int64_t count) {}
  // The same of a folder that a model of the task was saved in; after TaskInfo::restore.
  // Error(kModel) where they are not what the model was trained with.
  virtual void reopen(const std::string& model_folder) {}

  // Error(kUsage) where optimizer steps of so many samples (0: not known) could teach nothing.
  // After finish_learning.
  virtual void check_step(int64_t samples) const {}

  // Names of the options that are left to the validation data ("auto") and have not been chosen
  // yet. Until then, and where nothing chooses them, their usual values are in force.
  virtual std::vector<std::string> open_options() const { return {}; }
  // Chooses them by the scorer's report on the validation data, once training has ended and the
  // best weights are loaded, before the model is saved and tested; `state` has them from then on.
  // One that these data cannot decide stays open.
  virtual std::vector<ChosenOption> choose_options(const Report& validation) { return {}; }

  // Options that were given and change nothing with what was learned, as sentences for the user.
  virtual std::vector<std::string> idle_options() const { return {}; }

  // Ids and targets of a record; several samples if a long text is cut into windows. `with_targets`
  // false: gold fields need not be there. Sets `truncated` where tokens were lost. Error(kData) at
  // record.where() for a missing or malformed field.
  virtual std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer,
                                     bool with_targets, bool* truncated = nullptr) const = 0;

  virtual std::shared_ptr<Head> make_head(const ModelConfig& config) const = 0;
  // Whether the head of a checkpoint with this configuration was trained for just this: then it
  // goes on, else a fresh one takes its place. As long as nothing else is said: where the
  // architecture, the labels in their order and the kind of problem are those that
  // write_model_config would write.
  virtual bool can_continue(const ModelConfig& checkpoint) const;
  virtual Loss loss(const Outputs& logits, const Batch& batch,
                    const LossOptions& options = {}) const = 0;
  // One forward pass and its loss: what the training loop calls. Overridden where logits must never
  // be whole (a large vocabulary, taken in chunks of rows by the head) or where a loss needs the
  // network more than once.
  virtual Loss forward_loss(Network& network, const Batch& batch,
                            const LossOptions& options = {}) const {
    return loss(network.forward(batch), batch, options);
  }
  // The tasks that this one is made of, by Sample::task; empty: it is one. A batch holds samples of
  // one, and in an optimizer step each one's loss is divided by its own targets there.
  virtual const std::vector<TaskPart>& parts() const;
  // How many targets `forward_loss` counts in a batch of training data, told before the pass, as
  // one of several tasks is asked. Not of a task with a step loss.
  virtual double targets_in(const Batch& batch) const;
  // Whether `forward_loss` of training does the same operations for any two batches of the same
  // sizes, asks the host for no value of them, and whole rows without a target (kNoTarget) add
  // nothing to it: on a GPU its launches can then be recorded and replayed (train.cuda_graphs).
  virtual bool has_fixed_work() const { return false; }
  // True where a sample's loss depends on the other samples (in-batch negatives): the batch of
  // `loss` and forward_loss is then a whole optimizer step, however it is split to fit into memory
  // (Batch::parts). An evaluation asks for the `loss` of up to kRecordsAtOnce records at once, in
  // the data's order, of what `predict` gave.
  virtual bool has_step_loss() const { return false; }
  // Whether a part of the head is solved for when training has ended (a regression on vectors that
  // change no more), from the outputs of all training samples; those are in one batch, on the CPU.
  virtual bool has_final_fit() const { return false; }
  virtual void final_fit(Network& network, const Outputs& outputs, const Batch& batch) const {}
  // Whether two samples may share a pooled vector, in the head and in the loss (Batch::mix): of a
  // task with one vector and one set of targets a sample.
  virtual bool can_mix() const { return false; }
  // How many numbers a sample's outputs are, of a task whose loss and answers need nothing else: a
  // model without a network can then stand beside it (run/baseline.h). 0: it is no such task.
  virtual int64_t plain_outputs() const { return 0; }
  // Whether samples are of classes by which training may draw them (Sample::stratum).
  virtual bool has_strata() const { return false; }
  virtual Divergence divergence() const { return nullptr; }  // null: it has none
  virtual Average average() const { return nullptr; }        // null: it has none
  virtual Outputs predict(Network& network, const Batch& batch) const {
    return network.forward(batch);
  }
  // Outputs and loss for evaluation: from one pass, where the outputs are the logits. Overridden
  // together with predict.
  virtual std::pair<Outputs, Loss> assess(Network& network, const Batch& batch) const {
    Outputs outputs = predict(network, batch);
    return {outputs, loss(outputs, batch)};
  }
  // How answers are written, of a task that writes them token by token; null: its answers are the
  // head's outputs. Where it is there, a sample that `encode` gives without targets is a prompt,
  // a record has one, and its row has Row::written in place of outputs.
  virtual const GenerationSettings* generation() const { return nullptr; }
  // The tokens of answers, where these are not the model's.
  virtual const Tokenizer& answer_tokenizer(const Tokenizer& of_model) const { return of_model; }
  // Which rows of an evaluation are also encoded without targets and predicted; the fields of that
  // result are added to those of the one that `assess` gives.
  virtual AnswerSample answer_sample() const { return {}; }
  // All rows of one record, one result: the fields of a gold record, and scores.
  virtual Json decode(const Record& record, std::span<const Row> rows,
                      const Tokenizer& tokenizer) const = 0;
  virtual std::unique_ptr<Scorer> make_scorer() const = 0;

  virtual Json state()
      const = 0;  // options and labels, saved in hone.json; TaskInfo::restore reads it
  // id2label, label2id, problem_type and architectures, as Transformers expects, into the
  // config.json of a model to be saved.
  virtual void write_model_config(const ModelConfig& model, Json& config) const = 0;
  // Files of a saved model that only this task has.
  virtual void write_files(const ModelConfig& model, const std::string& folder) const {}
};

struct TaskInfo {
  const char* name;  // "ner"
  const char* help;  // one line
  // From the `task` section (max_seq_length comes from `train`, put there by the caller: 0 means
  // the model's limit).
  std::unique_ptr<Task> (*make)(Config& options, int64_t max_seq_length);
  std::unique_ptr<Task> (*restore)(const Json& state);
};

Table<TaskInfo>& tasks();                             // registry.cpp: one line each
const TaskInfo& task_named(const std::string& name);  // Error(kUsage) with the nearest name

}  // namespace hone
