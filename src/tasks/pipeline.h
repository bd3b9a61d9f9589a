// Tokenizer, network, task and labels: saved in one folder, loaded by one call; what train, eval
// and predict hold.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/clean.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/encode.h"
#include "tasks/peft.h"
#include "tasks/task.h"

namespace hone {

// Real tokens in one forward pass, where nobody says: enough to fill the products, and on the CPU
// few enough to stay near the caches.
inline int64_t usual_tokens(at::Device device) { return device.is_cpu() ? 2048 : 16384; }

struct PredictOptions {
  int64_t max_tokens = usual_tokens(at::kCPU);  // real tokens in one forward pass
  std::function<void(int64_t done)> progress = nullptr;
  // A record that has no answer, by its place in the data from 0: its result is null, its
  // neighbours have theirs. Where this is empty, the error is thrown.
  std::function<void(int64_t record, const Error& error)> failed = nullptr;
  // A record that lost tokens because it is too long for the model.
  std::function<void(int64_t record)> truncated = nullptr;
  std::function<bool()> is_stopped = nullptr;  // asked by who writes, before each token
};

// The longest sample that model and tokenizer allow; `asked` (max_seq_length) where that is
// shorter, 0 asking for the limit itself. Error(kUsage) where more is asked than the model's
// positions allow.
int64_t sequence_limit(const ModelConfig& config, const Tokenizer& tokenizer, int64_t asked);

// What one pass over labelled records gives.
struct Evaluation {
  Report report;
  double loss = 0;              // mean over targets; of several tasks the weighted sum of theirs
  int64_t tokens = 0;           // real tokens that went through the network
  std::vector<Json> results;    // in the order of the records; empty where they went to a sink
  bool is_interrupted = false;  // options.is_stopped said so: the rest says nothing
};

// A labelled record's answer, and how far the model is from what is right.
struct Judged {
  Json result;
  double loss = 0;               // mean over the record's own targets; NaN where it has none
  std::optional<Error> failure;  // nothing else is known of the record then
};

using ResultSink = std::function<void(const Record& record, const Json& result)>;

// What a network begins from: the weights of its folder, or random ones, which are a function of
// the seed; then the folder needs none.
struct Start {
  bool at_random = false;
  Json config = Json::object();  // values in place of those in its config.json
  // The model is asked and not trained: Error(kModel) where it has no head of the task's own.
  bool needs_head = false;
};

class Pipeline;

// Where an adapter's base model comes from, and what it is kept in.
struct AdapterBase {
  bool in_full = false;              // whatever it was trained beside
  const Pipeline* beside = nullptr;  // whose base model is this one's too: the same memory
};

// All const members may be called from any number of threads at once, so long as nothing trains the
// network meanwhile: they change nothing that two of them share. Whoever trains it switches it to
// training and back (Network::train, eval); it is made for evaluation, and answers then only.
class Pipeline {
 public:
  // A pre-trained model with a head of `task`, which has learned its labels; see network_from. With
  // `peft`, adapters are trained beside its weights (see adapt). The model keeps `start.config`
  // when it is saved.
  static std::unique_ptr<Pipeline> create(const std::string& model_folder,
                                          std::shared_ptr<const Tokenizer> tokenizer,
                                          std::shared_ptr<Task> task, uint64_t seed,
                                          const CleanOptions& clean = {},
                                          const std::optional<PeftOptions>& peft = {},
                                          const Start& start = {});
  // A folder that `save` wrote, or an ensemble of such (tasks/ensemble.h); an adapter's brings its
  // base model with it. Checks the format version and the checksums in hone.json. `task_options`
  // ("key=value") stand in for those that were saved. `part`: of a model of several tasks the one
  // that it answers for from now on, as a model of that task alone; Error(kUsage) where it has none
  // of this name.
  static std::unique_ptr<Pipeline> load(const std::string& folder,
                                        const std::vector<std::string>& task_options = {},
                                        const std::string& part = "", const AdapterBase& base = {});
  // A Hugging Face folder: config.json, model.safetensors, tokenizer files, hone.json. Atomic file
  // by file, hone.json last. With adapters, a folder of Hugging Face PEFT: adapter_config.json and
  // adapter_model.safetensors instead of the whole model's weights. Error(kUsage) of an ensemble.
  void save(const std::string& folder) const;
  // Solves for what the task says of its head. Of a network that is trained; `samples` are those of
  // its training data.
  void fit_head(const std::vector<Sample>& samples);
  void merge_adapters();  // into the weights: a plain model from now on

  // An answer in three parts; `predict` is these for many records.
  // The record's samples, without targets. A record that cannot be encoded says so in `failure`.
  EncodeOutcome encode(const Record& record) const;
  // Outputs of samples in their order, from batches of at most `max_tokens` tokens (one sample at
  // least). The rows point to the samples. `is_stopped` is asked before each token that is written:
  // answers are then what there is of them.
  std::vector<Row> run(std::span<const Sample> samples,
                       int64_t max_tokens = PredictOptions().max_tokens,
                       const std::function<bool()>& is_stopped = nullptr) const;
  // The answer from all rows of a record. Error(kModel) where the outputs are no numbers.
  Json decode(const Record& record, std::span<const Row> rows) const;

  // Results in the order of the records.
  std::vector<Json> predict(const std::vector<Record>& records,
                            const PredictOptions& options = {}) const;
  // The same with gold: results, score and loss from one forward pass of each sample.
  Evaluation evaluate(const std::vector<Record>& records, const PredictOptions& options = {}) const;
  // Of any number of records; `sink` (may be empty) gets each result, in order. `options.failed`
  // and `truncated` are not asked: a record without an answer is an error, but for one that was
  // drawn to be written to (Task::answer_sample) and is no prompt. How many those are is told, and
  // how many prompts lost tokens.
  Evaluation evaluate(const EncodedSource& next, const PredictOptions& options,
                      const ResultSink& sink) const;

  // The same record by record, each loss its own: what is tried out on rows (an attack). Of a task
  // whose outputs are all that its loss reads; REQUIRES: neither generation() nor has_step_loss().
  std::vector<Judged> judge(std::span<const Record> records, int64_t max_tokens) const;

  Network& network() { return *network_; }
  const Network& network() const { return *network_; }
  const Task& task() const { return *task_; }
  const std::optional<Adapted>& adapted() const { return adapted_; }
  const CleanOptions& clean() const { return clean_; }  // how texts are read, at any time
  const TaskInfo& info() const { return *info_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ModelConfig& config() const;
  at::Device device() const { return network_->device(); }
  Precision precision() const { return network_->precision(); }  // in force
  // That of the run that saved it; nothing where that is not known.
  std::optional<Precision> trained_in() const { return trained_in_; }

 private:
  Pipeline() = default;
  static std::unique_ptr<Pipeline> load_ensemble(const std::string& folder,
                                                 const std::vector<std::string>& task_options,
                                                 const std::string& part);
  void keep_part(const std::string& name);

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<Network> network_;
  bool is_ensemble_ = false;  // network_ answers for several
  std::shared_ptr<const Task> task_;
  CleanOptions clean_;
  std::optional<Adapted> adapted_;
  std::optional<Precision> trained_in_;
  const TaskInfo* info_ = nullptr;
};

// The task of a folder that Pipeline::save wrote, with what it has learned; else as Pipeline::load.
std::shared_ptr<const Task> load_task(const std::string& folder,
                                      const std::vector<std::string>& options = {},
                                      const std::string& part = "");

}  // namespace hone
