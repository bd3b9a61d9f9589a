#include "run/fine_tune.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <utility>

#include "base/log.h"
#include "data/files.h"
#include "run/ranks.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "run/run_inputs.h"
#include "run/stages.h"
#include "run/test_sets.h"
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
  if (!config.adapter.empty()) inputs.push_back(config.adapter);
  if (config.augment && config.augment->translation) {
    for (const auto& model :
         {config.augment->translation->there, config.augment->translation->back})
      if (std::filesystem::exists(model.path)) inputs.push_back(model.path);
  }
  for (const DataOptions& data : config.all_data()) {
    for (const auto& [split, source] : data.sources) {
      for (const SourceFile& file : files_of(source)) inputs.push_back(file.path);
    }
  }
  if (!is_own_config(config)) inputs.push_back(config.path);
  refuse_inputs_in_run(config.output_dir, inputs);
  return RunFolder(config.output_dir, !config.data.tested().empty());
}

// The report is on test data; where there is none, on validation data, and says so.
void tell_what_is_tested(const std::vector<std::string>& splits, const std::string& model) {
  if (splits.empty())
    log_warn("there is neither test nor validation data, so there is no report; the model is in {}",
             model);
  if (splits == std::vector<std::string>{"validation"})
    log_warn(
        "there is no test data: the report is on validation data, which chose the model, and is "
        "too good");
}

// Of the split "tests.NAME": "NAME"; of another its own.
std::string name_of_test(const std::string& split) { return split.substr(split.find('.') + 1); }

// What the task solves for when training has ended.
void fit_head(Pipeline& pipeline, const SampleStore& train) {
  if (!pipeline.task().has_final_fit()) return;
  std::vector<Sample> samples;
  for (int64_t i = 0; i < train.size(); ++i) samples.push_back(train.get(i));
  pipeline.fit_head(samples);
  log_info("the head was fitted to the vectors of {} training texts", samples.size());
}

class Run {
 public:
  // `before`: what the run's stages gave.
  Run(const RunConfig& config, const RunOptions& options, const std::vector<Listener>& listeners,
      std::vector<StageOutcome> before = {})
      : config_(config),
        options_(options),
        listeners_(listeners),
        before_(std::move(before)),
        folder_(locked_folder(config)) {}

  RunResult run() {
    const bool resumes = folder_.open(options_.resume, config_.overwrite, config_.train);
    use_threads(config_.train.threads);
    resolve_device(config_.train.device);  // one that is not there is told before hours of reading
    const Translating translating{
        folder_.file("translations.jsonl"),
        options_.interrupted != nullptr ? options_.interrupted : options_.stop_requested};
    const std::shared_ptr<RunInputs> inputs =
        options_.shared ? options_.shared->of(config_, translating)
                        : std::make_shared<RunInputs>(config_, translating);
    Prepared& prepared = inputs->prepared;
    const RunData& data = inputs->data;
    refuse_inputs_in_run(folder_.path(), {prepared.model_folder});
    RunResult result;
    result.training.interrupted = data.is_interrupted;
    if (data.is_interrupted) return result;
    result.pipeline = begin_pipeline(config_, prepared);
    result.training = train(*result.pipeline, prepared.data, data, resumes);
    if (result.training.interrupted) return result;
    fit_head(*result.pipeline, data.train);
    const auto chosen = choose(prepared, *result.pipeline, data);
    result.training.interrupted = !chosen;
    if (!chosen) return result;
    if (options_.shared && !chosen->empty()) options_.shared->forget(inputs);
    folder_.save_model(*result.pipeline);
    std::optional<Tested> tested =
        test_all(*result.pipeline, prepared.data, data, result.training, *chosen);
    result.training.interrupted = tested && tested->is_interrupted;
    if (result.training.interrupted) return result;
    result.model = folder_.file("model");
    result.test = std::move(tested);
    folder_.finish();
    return result;
  }

 private:
  void begin() {
    // As the user wrote it, comments and all, where it is the folder's own and stands as it is.
    folder_.begin(is_own_config(config_) && !config_.has_overrides ? "" : config_.resolved);
  }

  TrainResult train(Pipeline& pipeline, RunDataset& dataset, const RunData& data, bool resumes) {
    TrainerInputs inputs;
    inputs.pipeline = &pipeline;
    inputs.train = &data.train;
    inputs.where_of = [&](int64_t record) { return data.places.at(static_cast<size_t>(record)); };
    if (dataset.has("validation")) {
      inputs.evaluate = [&]() -> std::optional<std::pair<Report, double>> {
        Evaluation evaluation = validate(pipeline, dataset, data);
        if (evaluation.is_interrupted) return std::nullopt;
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
  // there. A run that was stopped after training and goes on decides the same again. Nothing where
  // it is asked to stop.
  std::optional<std::vector<ChosenOption>> choose(Prepared& prepared, const Pipeline& pipeline,
                                                  const RunData& data) {
    std::vector<ChosenOption> chosen;
    if (!prepared.task->open_options().empty() && prepared.data.has("validation")) {
      const Evaluation evaluation = validate(pipeline, prepared.data, data);
      if (evaluation.is_interrupted) return std::nullopt;
      chosen = prepared.task->choose_options(evaluation.report);
    }
    for (const ChosenOption& one : chosen) log_info("{}", one.text());
    for (const std::string& name : prepared.task->open_options())
      log_info("{} keeps its usual value: there is no validation data that can decide it", name);
    return chosen;
  }

  Evaluation validate(const Pipeline& pipeline, RunDataset& dataset, const RunData& data) {
    dataset.refuse_changed("validation");
    return pipeline.evaluate(data.tested.at("validation").all(), predict_options(pipeline),
                             nullptr);
  }

  PredictOptions predict_options(const Pipeline& pipeline) const {
    PredictOptions options{.max_tokens = max_tokens(pipeline)};
    options.is_stopped = [this] { return is_asked_to_stop(); };
    return options;
  }

  bool is_asked_to_stop() const {
    if (options_.stop_requested == nullptr) return false;
    if (options_.interrupted != nullptr && options_.interrupted->load())
      options_.stop_requested->store(true);
    return options_.stop_requested->load();
  }

  int64_t max_tokens(const Pipeline& pipeline) const {
    const int64_t asked = config_.train.per_device_eval_batch_tokens;
    return asked > 0 ? asked : usual_tokens(pipeline.device());
  }

  // The first test set's report is the run's own; each further one has a folder of its own, and a
  // line in the first one's. Nothing where there is nothing to test on; the interrupted one where
  // it is asked to stop.
  std::optional<Tested> test_all(const Pipeline& pipeline, RunDataset& dataset, const RunData& data,
                                 const TrainResult& training,
                                 const std::vector<ChosenOption>& chosen) {
    const std::vector<std::string> splits = config_.data.tested();
    tell_what_is_tested(splits, folder_.file("model"));
    std::vector<Tested> all;
    for (const std::string& split : splits) {
      const std::string folder =
          all.empty() ? folder_.path() : folder_.file("tests/" + name_of_test(split));
      std::filesystem::create_directories(folder);
      dataset.refuse_changed(split);
      all.push_back(test(pipeline, data.tested.at(split).all(), predict_options(pipeline),
                         folder + "/predictions.jsonl"));
      if (all.back().is_interrupted) return std::move(all.back());
      all.back().summary.split = split;
      describe(dataset, training, all.back());
      all.back().summary.chosen = chosen;
      if (all.size() > 1) write_reports(folder, all.back().report, all.back().summary);
    }
    if (all.empty()) return std::nullopt;
    if (!before_.empty()) add_stages(all.front());
    if (auto ranks = ranks_section(pipeline.network()))
      all.front().report.sections.push_back(std::move(*ranks));
    if (all.size() > 1) all.front().report.sections.push_back(test_sets_section(sets_of(all)));
    write_reports(folder_.path(), all.front().report, all.front().summary);
    return std::move(all.front());
  }

  void add_stages(Tested& tested) const {
    std::vector<StageOutcome> outcomes = before_;
    outcomes.push_back({"(this run)", tested.report.json()});
    outcomes.back().report["split"] = tested.summary.split;
    outcomes.back().report["timing"] = tested.summary.timing;
    tested.report.sections.push_back(stages_section(outcomes));
  }

  static std::vector<TestSet> sets_of(const std::vector<Tested>& all) {
    std::vector<TestSet> sets;
    for (const Tested& one : all) sets.push_back({name_of_test(one.summary.split), &one.report});
    return sets;
  }

  // What the run knows beside what its test does.
  void describe(RunDataset& dataset, const TrainResult& training, Tested& tested) {
    RunSummary& summary = tested.summary;
    summary.title = run_name(folder_.path());
    summary.model = config_.model;
    summary.command = options_.command;
    for (const auto& [split, audit] : dataset.audits()) summary.data[split] = *audit;
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
  const std::vector<StageOutcome> before_;
  RunFolder folder_;
};

}  // namespace

RunResult fine_tune(const RunConfig& config, const RunOptions& options,
                    const std::vector<Listener>& listeners) {
  if (!config.repeats.empty())
    throw Error(ErrorKind::kUsage, {config.path},
                "\"seeds\" and \"folds\" ask for several runs; here is room for one");
  if (config.stages.empty()) return Run(config, options, listeners).run();
  std::vector<StageOutcome> before;
  std::optional<RunResult> interrupted = run_stages(
      config, options,
      [&](const RunConfig& stage, const RunOptions& of_stage) {
        return Run(stage, of_stage, listeners).run();
      },
      before);
  if (interrupted) return std::move(*interrupted);
  RunConfig last = config;
  last.model = config.last_model();
  if (last.peft) last.peft->base = std::filesystem::absolute(last.model).lexically_normal();
  return Run(last, options, listeners, std::move(before)).run();
}

}  // namespace hone
