#include "run/fine_tune.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/log.h"
#include "data/files.h"
#include "run/prepare.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "tune/machine.h"
#include "tune/metrics_log.h"
#include "tune/tensorboard.h"

namespace hone {
namespace {

// Whether the run was started by the configuration that one in its folder left.
bool is_own_config(const RunConfig& config) {
  std::error_code not_there;
  return std::filesystem::equivalent(config.path, RunFolder::config_in(config.output_dir),
                                     not_there);
}

// What the run reads must not lie where it writes; that is looked at before anything is touched.
RunFolder locked_folder(const RunConfig& config) {
  std::vector<std::string> inputs;
  if (std::filesystem::exists(config.model)) inputs.push_back(config.model);
  for (const auto& [split, source] : config.data.sources) {
    for (const SourceFile& file : files_of(source)) inputs.push_back(file.path);
  }
  if (!is_own_config(config)) inputs.push_back(config.path);
  refuse_inputs_in_run(config.output_dir, inputs);
  const auto& sources = config.data.sources;
  return RunFolder(config.output_dir, sources.contains("test") || sources.contains("validation"));
}

// The report is on test data; where there is none, on validation data, and says so. "" where there
// is neither.
std::string split_to_test(const Dataset& dataset, const std::string& model) {
  if (dataset.has("test")) return "test";
  if (dataset.has("validation")) {
    log_warn(
        "there is no test data: the report is on validation data, which chose the model, and is "
        "too good");
    return "validation";
  }
  log_warn("there is neither test nor validation data, so there is no report; the model is in {}",
           model);
  return "";
}

class Run {
 public:
  Run(const RunConfig& config, const RunOptions& options, const std::vector<Listener>& listeners)
      : config_(config), options_(options), listeners_(listeners), folder_(locked_folder(config)) {}

  RunResult run() {
    const bool resumes = folder_.open(options_.resume, config_.overwrite, config_.train);
    use_threads(config_.train.threads);
    resolve_device(config_.train.device);  // one that is not there is told before hours of reading
    Prepared prepared = prepare(config_);
    refuse_inputs_in_run(folder_.path(), {prepared.model_folder});
    const RunData data = encode_data(config_, prepared);
    RunResult result;
    result.pipeline = Pipeline::create(prepared.model_folder, prepared.tokenizer, prepared.task,
                                       static_cast<uint64_t>(config_.train.seed),
                                       config_.data.clean, config_.peft);
    result.training = train(*result.pipeline, prepared.dataset, data, resumes);
    if (result.training.interrupted) return result;
    const std::vector<ChosenOption> chosen = choose(prepared, *result.pipeline, data);
    folder_.save_model(*result.pipeline);
    result.model = folder_.file("model");
    const std::string split = split_to_test(prepared.dataset, result.model);
    if (!split.empty()) {
      result.test = tested(*result.pipeline, prepared.dataset, split, data.tested.at(split));
      describe(prepared.dataset, result.training, *result.test);
      result.test->summary.chosen = chosen;
      write_reports(folder_.path(), result.test->report, result.test->summary);
    }
    folder_.finish();
    return result;
  }

 private:
  void begin() {
    // As the user wrote it, comments and all, where it is the folder's own and stands as it is.
    folder_.begin(is_own_config(config_) && !config_.has_overrides ? "" : config_.resolved);
  }

  TrainResult train(Pipeline& pipeline, Dataset& dataset, const RunData& data, bool resumes) {
    TrainerInputs inputs;
    inputs.pipeline = &pipeline;
    inputs.train = &data.train;
    inputs.where_of = [&](int64_t record) { return data.places.at(static_cast<size_t>(record)); };
    if (dataset.has("validation")) {
      inputs.evaluate = [&] {
        Evaluation evaluation = validate(pipeline, dataset, data);
        return std::pair(std::move(evaluation.report), evaluation.loss);
      };
    }
    inputs.regularisers = config_.regularisers;
    inputs.train_rows = data.train_rows;
    inputs.validation_rows = data.validation_rows;
    inputs.output_dir = folder_.path();
    inputs.resume = resumes;
    inputs.begin = [this] { begin(); };
    inputs.stop_requested = options_.stop_requested;
    return hone::train(inputs, config_.train, all_listeners());
  }

  // The caller's, and those that write into the folder.
  std::vector<Listener> all_listeners() {
    std::vector<Listener> all = listeners_;
    all.push_back(metrics_log(folder_.file("metrics.jsonl")));
    all.push_back(tensorboard_log(folder_.file("tensorboard")));
    all.push_back([this](const Event& event) {
      const auto* saved = std::get_if<Saved>(&event);
      if (saved != nullptr && !saved->is_best) folder_.replace_earlier();
    });
    return all;
  }

  // What the configuration leaves to the validation data, decided by the trained model's answers
  // there. A run that was stopped after training and goes on decides the same again.
  std::vector<ChosenOption> choose(Prepared& prepared, const Pipeline& pipeline,
                                   const RunData& data) {
    std::vector<ChosenOption> chosen;
    if (!prepared.task->open_options().empty() && prepared.dataset.has("validation"))
      chosen = prepared.task->choose_options(validate(pipeline, prepared.dataset, data).report);
    for (const ChosenOption& one : chosen) log_info("{}", one.text());
    for (const std::string& name : prepared.task->open_options())
      log_info("{} keeps its usual value: there is no validation data that can decide it", name);
    return chosen;
  }

  Evaluation validate(const Pipeline& pipeline, Dataset& dataset, const RunData& data) {
    dataset.refuse_changed("validation");
    return pipeline.evaluate(data.tested.at("validation").all(), {.max_tokens = max_tokens()},
                             nullptr);
  }

  int64_t max_tokens() const { return config_.train.per_device_eval_batch_tokens; }

  Tested tested(const Pipeline& pipeline, Dataset& dataset, const std::string& split,
                const KeptSplit& rows) {
    dataset.refuse_changed(split);
    Tested tested = test(pipeline, rows.all(), max_tokens(), folder_.file("predictions.jsonl"));
    tested.summary.split = split;
    return tested;
  }

  // What the run knows beside what its test does.
  void describe(Dataset& dataset, const TrainResult& training, Tested& tested) {
    RunSummary& summary = tested.summary;
    summary.title = run_name(folder_.path());
    summary.model = config_.model;
    summary.command = options_.command;
    summary.data = dataset.audits();
    summary.leaks = dataset.leaks();
    summary.curves = read_curves(folder_.file("metrics.jsonl"));
    summary.config = config_.resolved;
    const Json of_test = std::move(summary.timing);
    summary.timing = {{"tokens_per_second", training.tokens_per_second},
                      {"train_seconds", training.seconds},
                      {"steps", training.steps},
                      {"best_step", training.best_step},
                      {"test_seconds", of_test.at("test_seconds")},
                      {"test_tokens_per_second", of_test.at("tokens_per_second")},
                      {"peak_memory_bytes", of_test.at("peak_memory_bytes")}};
  }

  const RunConfig& config_;
  const RunOptions& options_;
  const std::vector<Listener>& listeners_;
  RunFolder folder_;
};

}  // namespace

RunResult fine_tune(const RunConfig& config, const RunOptions& options,
                    const std::vector<Listener>& listeners) {
  return Run(config, options, listeners).run();
}

}  // namespace hone
