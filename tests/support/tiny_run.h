// A whole training run of the tiny BERT in a temporary folder.
#pragma once

#include <ATen/ATen.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tune/trainer.h"

namespace hone::testing_support {

// fp32 on one thread, no evaluation unless asked for.
inline TrainOptions tiny_options() {
  TrainOptions o;
  o.num_train_epochs = 2;
  o.per_device_train_batch_size = 4;
  o.learning_rate = 2e-3;
  o.warmup_ratio = 0.1;
  o.precision = "fp32";
  o.device = "cpu";
  o.threads = 1;
  o.logging_steps = 1;
  return o;
}

class TinyRun {
 public:
  // 21 training rows: the last step of an epoch is short.
  explicit TinyRun(const std::string& task = "classify", TinyBert model = {}, int64_t rows = 21)
      : task_name_(task) {
    write_tiny_bert(folder_ / "model", model);
    train_ = task == "ner" ? tiny_sentences(rows, "train.jsonl") : tiny_texts(rows, "train.jsonl");
    validation_ =
        task == "ner" ? tiny_sentences(17, "dev.jsonl", 9) : tiny_texts(17, "dev.jsonl", 9);
  }

  std::vector<Record>& train_records() { return train_; }
  std::vector<Record>& validation_records() { return validation_; }
  std::string output() const { return folder_ / "run"; }
  const std::string& folder() const { return folder_.path(); }
  std::atomic<bool> stop{false};
  std::vector<Event> events;
  Listener also = [](const Event&) {};  // called for each event, before it is kept
  std::string task_yaml = "{}", regularise_yaml = "{}";
  std::string peft_yaml;  // "": no adapters
  // A scripted evaluation; nothing: it was interrupted.
  std::function<std::optional<std::pair<Report, double>>()> evaluate_instead;
  int64_t evaluation_tokens = 64;

  // A fresh pipeline (weights, head) from the folder; what a new process would do.
  void load_pipeline(uint64_t seed = 42) {
    const auto tokenizer = Tokenizer::load(folder_ / "model");
    Config options = Config::parse(task_yaml, "task");
    std::shared_ptr<Task> task = task_named(task_name_).make(options, 0);
    for (const Record& record : train_) {
      task->learn(record);
      task->learn_tokens(record, *tokenizer);
    }
    task->finish_learning();
    store_ = std::make_unique<SampleStore>();
    train_rows_ = {};
    for (size_t i = 0; i < train_.size(); ++i) {
      std::vector<Sample> samples = task->encode(train_[i], *tokenizer, true);
      train_rows_.add(train_[i].where(), samples);
      for (Sample& sample : samples) {
        sample.record = static_cast<int64_t>(i);
        store_->add(sample);
      }
    }
    store_->seal();
    std::optional<PeftOptions> peft;
    if (!peft_yaml.empty()) {
      Config section = Config::parse(peft_yaml, "peft");
      peft = PeftOptions::read(section);
      peft->base = folder_ / "model";
      section.refuse_unknown();
    }
    pipeline_ = Pipeline::create(folder_ / "model", tokenizer, task, seed, {}, peft);
  }

  TrainResult train(const TrainOptions& options, bool resume = false) {
    load_pipeline();
    events.clear();
    if (!resume) std::filesystem::remove_all(output() + "/checkpoints");
    std::filesystem::create_directories(output());
    TrainerInputs inputs;
    inputs.pipeline = pipeline_.get();
    inputs.train = store_.get();
    inputs.where_of = [this](int64_t record) {
      return train_[static_cast<size_t>(record)].where();
    };
    Config regularise = Config::parse(regularise_yaml, "regularise");
    inputs.regularisers = read_regularisers(regularise);
    regularise.refuse_unknown();
    inputs.train_rows = train_rows_;
    if (options.eval_strategy != "no") inputs.validation_rows = validation_rows();
    inputs.output_dir = output();
    inputs.resume = resume;
    inputs.stop_requested = &stop;
    if (options.eval_strategy != "no")
      inputs.evaluate = evaluate_instead ? evaluate_instead : [this] { return evaluate(); };
    const std::vector<Listener> listeners = {
        also, [this](const Event& event) { events.push_back(event); }};
    return hone::train(inputs, options, listeners);
  }

  RowFingerprint validation_rows() {
    RowFingerprint rows;
    for (const Record& record : validation_)
      rows.add(record.where(), pipeline_->task().encode(record, pipeline_->tokenizer(), true));
    return rows;
  }

  std::pair<Report, double> evaluate() {
    PredictOptions options;
    options.max_tokens = evaluation_tokens;
    Evaluation evaluation = pipeline_->evaluate(validation_, options);
    return {evaluation.report, evaluation.loss};
  }

  Pipeline& pipeline() { return *pipeline_; }
  const SampleStore& store() const { return *store_; }

  std::map<std::string, at::Tensor> weights() {
    std::map<std::string, at::Tensor> copy;
    for (const auto& [name, value] : pipeline_->network().weights())
      copy[name] = value.detach().clone();
    return copy;
  }

  template <typename T>
  std::vector<T> events_of() const {
    std::vector<T> list;
    for (const Event& event : events) {
      if (const T* one = std::get_if<T>(&event)) list.push_back(*one);
    }
    return list;
  }

 private:
  TemporaryFolder folder_;
  std::string task_name_;
  std::vector<Record> train_, validation_;
  std::unique_ptr<SampleStore> store_;
  RowFingerprint train_rows_;
  std::unique_ptr<Pipeline> pipeline_;
};

// The first weight that is not bit for bit equal, or "".
inline std::string first_difference(const std::map<std::string, at::Tensor>& a,
                                    const std::map<std::string, at::Tensor>& b) {
  for (const auto& [name, value] : a) {
    if (!b.contains(name) || !at::equal(value, b.at(name))) return name;
  }
  return a.size() == b.size() ? "" : "another number of weights";
}

// Largest difference of any weight, relative to the largest value of that weight.
inline double largest_difference(const std::map<std::string, at::Tensor>& a,
                                 const std::map<std::string, at::Tensor>& b) {
  double largest = 0;
  for (const auto& [name, value] : a) {
    const double size = value.abs().max().item<double>(),
                 difference = (value - b.at(name)).abs().max().item<double>();
    largest = std::max(largest, difference / std::max(size, 1e-12));
  }
  return largest;
}

}  // namespace hone::testing_support
