#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "base/file.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "data/files.h"
#include "run/environment.h"
#include "run/prepare.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "tune/console.h"
#include "tune/machine.h"
#include "tune/metrics_log.h"
#include "tune/tensorboard.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class TrainCommand {
 public:
  TrainCommand(RunConfig config, const CLI::App& arguments)
      : config_(std::move(config)),
        command_(command_line(arguments)),
        resume_(flag_of(arguments, "--resume")),
        as_json_(flag_of(arguments, "--json")),
        changes_config_(!list_of(arguments, "KEY=VALUE").empty()),
        folder_(locked_folder(config_)),
        stop_(catch_stop_signals()) {}

  int run() {
    resume_ = folder_.open(resume_, config_.overwrite, config_.train);
    use_threads(config_.train.threads);
    resolve_device(config_.train.device);  // one that is not there is told before hours of reading
    Prepared prepared = prepare(config_);
    refuse_inputs_in_run(folder_.path(), {prepared.model_folder});
    const TrainingData data = encode_data(config_, prepared);
    const auto pipeline =
        Pipeline::create(prepared.model_folder, prepared.tokenizer, prepared.task,
                         static_cast<uint64_t>(config_.train.seed), config_.data.clean);
    const TrainResult result = fine_tune(*pipeline, prepared.dataset, data);
    if (result.interrupted) {
      log_info("interrupted after step {}, everything is saved; to go on: hone train {} --resume",
               result.steps, console::shell_quoted(folder_.config()));
      return stop_exit_code();
    }
    folder_.save_model(*pipeline);
    test(*pipeline, prepared.dataset, result);
    folder_.finish();
    return 0;
  }

 private:
  // What the run reads must not lie where it writes; that is looked at before anything is touched.
  static RunFolder locked_folder(const RunConfig& config) {
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

  // Whether the run was started by the configuration that one in this folder left.
  static bool is_own_config(const RunConfig& config) {
    std::error_code not_there;
    return std::filesystem::equivalent(config.path, RunFolder::config_in(config.output_dir),
                                       not_there);
  }

  void begin() {
    // As the user wrote it, comments and all, where it is the folder's own and stands as it is.
    folder_.begin(is_own_config(config_) && !changes_config_ ? "" : config_.resolved);
  }

  TrainResult fine_tune(Pipeline& pipeline, Dataset& dataset, const TrainingData& data) {
    TrainerInputs inputs;
    inputs.pipeline = &pipeline;
    inputs.train = &data.samples;
    inputs.where_of = [&](int64_t record) { return data.places.at(static_cast<size_t>(record)); };
    if (dataset.has("validation")) {
      inputs.evaluate = [&] {
        const auto stream = dataset.open("validation");
        Evaluation evaluation =
            pipeline.evaluate([&] { return stream->next(); }, predict_options(), nullptr);
        return std::pair(std::move(evaluation.report), evaluation.loss);
      };
    }
    inputs.train_rows = data.train_rows;
    inputs.validation_rows = data.validation_rows;
    inputs.output_dir = folder_.path();
    inputs.resume = resume_;
    inputs.begin = [this] { begin(); };
    inputs.stop_requested = &stop_;
    const Listener replace_earlier = [this](const Event& event) {
      const auto* saved = std::get_if<Saved>(&event);
      if (saved != nullptr && !saved->is_best) folder_.replace_earlier();
    };
    return hone::train(inputs, config_.train,
                       {console_log(), metrics_log(folder_.file("metrics.jsonl")),
                        tensorboard_log(folder_.file("tensorboard")), replace_earlier});
  }

  PredictOptions predict_options() const {
    PredictOptions options;
    options.max_tokens = config_.train.per_device_eval_batch_tokens;
    return options;
  }

  // The report is on test data; where there is none, on validation data, and says so.
  void test(Pipeline& pipeline, Dataset& dataset, const TrainResult& result) {
    const std::string split = dataset.has("test") ? "test" : "validation";
    if (!dataset.has(split)) {
      log_warn(
          "there is neither test nor validation data, so there is no report; the model is in {}",
          folder_.file("model"));
      return;
    }
    if (split != "test")
      log_warn(
          "there is no test data: the report is on validation data, which chose the model, and is "
          "too good");
    const auto start = Clock::now();
    const auto stream = dataset.open(split);
    PredictionFile predictions(folder_.file("predictions.jsonl"), pipeline.task());
    const Evaluation evaluation = pipeline.evaluate(
        [&] { return stream->next(); }, predict_options(),
        [&](const Record& record, const Json& result) { predictions.add(record, result); });
    predictions.commit();
    const double seconds = seconds_since(start);
    RunSummary summary = describe(dataset, split, pipeline);
    summary.environment["precision"] = result.precision;
    summary.timing = {{"tokens_per_second", result.tokens_per_second},
                      {"train_seconds", result.seconds},
                      {"steps", result.steps},
                      {"best_step", result.best_step},
                      {"test_seconds", seconds},
                      {"test_tokens_per_second",
                       static_cast<double>(evaluation.tokens) / std::max(seconds, 1e-9)},
                      {"peak_memory_bytes", peak_memory_bytes()}};
    write_reports(folder_.path(), evaluation.report, summary);
    print_report(evaluation.report, summary, as_json_, "in report.json");
    if (!as_json_)
      std::cout << "\nmodel   " << folder_.file("model") << "\nreport  "
                << folder_.file("report.html") << '\n';
  }

  RunSummary describe(Dataset& dataset, const std::string& split, Pipeline& pipeline) {
    RunSummary summary;
    summary.title = run_name(folder_.path());
    summary.split = split;
    summary.model = config_.model;
    summary.command = command_;
    summary.data = dataset.audits();
    summary.leaks = dataset.leaks();
    summary.curves = read_curves(folder_.file("metrics.jsonl"));
    summary.environment = environment_json(pipeline.network().device());
    summary.environment["threads"] = at::get_num_threads();
    summary.config = config_.resolved;
    return summary;
  }

  RunConfig config_;
  std::string command_;
  bool resume_, as_json_, changes_config_;
  RunFolder folder_;
  std::atomic<bool>& stop_;
};

}  // namespace

int run_train(const CLI::App& arguments) {
  RunConfig config = RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  config.overwrite |= flag_of(arguments, "--overwrite");
  return TrainCommand(std::move(config), arguments).run();
}

}  // namespace hone
