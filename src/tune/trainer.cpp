#include "tune/trainer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/random.h"
#include "tune/batch_loader.h"
#include "tune/best_tracker.h"
#include "tune/checkpoint.h"
#include "tune/estimate.h"
#include "tune/machine.h"
#include "tune/not_finite.h"
#include "tune/parameters.h"
#include "tune/step_statistics.h"
#include "tune/train_options.h"

namespace hone {
namespace {

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Where a run stands: what a checkpoint keeps beside weights and moments. There is no generator to
// save: randomness is a function of (seed, step, sample).
struct Progress {
  int64_t step = 0;            // optimizer steps done
  int64_t evaluated_step = 0;  // after which the last evaluation was made
  bool stopped_early = false;
  double seconds = 0;  // spent on steps
  int64_t tokens = 0;
  BestTracker best;
  StepStatistics statistics;
};

// What must not change between a run and its continuation, since it decides which samples form a
// step.
Json data_identity(const std::vector<int32_t>& lengths, const TrainOptions& options) {
  uint64_t hash = lengths.size();
  for (int32_t length : lengths) hash = mix(hash, static_cast<uint64_t>(length));
  return {{"samples", lengths.size()},
          {"lengths", fmt::format("{:016x}", hash)},
          {"seed", options.seed},
          {"per_device_train_batch_size", options.per_device_train_batch_size},
          {"max_tokens_per_batch", options.max_tokens_per_batch},
          {"gradient_accumulation_steps", options.gradient_accumulation_steps},
          {"group_by_length", options.group_by_length}};
}

LossOptions loss_options(const TrainOptions& o) {
  return {.label_smoothing = o.label_smoothing_factor};
}

AdamWOptions adamw_options(const TrainOptions& o) {
  return {o.adam_beta1, o.adam_beta2, o.adam_epsilon, o.weight_decay, /*lazy_rows=*/true};
}

Timeline make_timeline(const TrainerInputs& inputs, const TrainOptions& options) {
  if (inputs.train->size() == 0)
    throw Error(ErrorKind::kData, "there is no training sample left to train on");
  return Timeline(inputs.train->lengths(), plan_options(options), options.num_train_epochs,
                  options.max_steps);
}

class Trainer {
 public:
  Trainer(const TrainerInputs& inputs, const TrainOptions& options,
          const std::vector<Listener>& listeners)
      : inputs_(inputs),
        options_(options),
        listeners_(listeners),
        pipeline_(*inputs.pipeline),
        checkpoints_(inputs.output_dir + "/checkpoints"),
        resumed_(load_resumed()),
        threads_(use_threads(options.threads)),
        device_(resolve_device(options.device)),
        precision_(choose_precision()),
        timeline_(make_timeline(inputs, options)),
        base_model_(weights_fingerprint(weights_of(pipeline_.network()))),
        schedule_(make_schedule(schedule_options(options, timeline_.steps()))),
        criterion_(criterion_named(options.metric_for_best_model)),
        parameters_(prepare_parameters()),
        optimizer_(parameters_, adamw_options(options)) {
    progress_.best = BestTracker(options.early_stopping_patience, options.early_stopping_threshold);
  }

  TrainResult run();

 private:
  std::optional<Checkpoint> load_resumed() const;
  Precision choose_precision() const;
  std::vector<AdamWParameter> prepare_parameters();
  void begin();
  void refuse_old_checkpoints() const;
  void check_criterion();
  int64_t disk_still_needed(int64_t trained) const;
  void resume();
  Json begun_with() const;
  void compare_with(const Json& saved) const;
  void compare_origin(const Json& before) const;
  void compare_plan(const Json& saved) const;
  void compare_model(const Json& before) const;
  void warn_of_changes(const Json& saved) const;
  [[noreturn]] void refuse_change(const std::string& change) const;

  void train_step(BatchLoader& batches);
  double clip_factor(double norm) const;
  void tell_step(double loss, double norm, double seconds, int64_t tokens, int64_t samples);

  bool evaluates_after(int64_t step) const {
    return inputs_.evaluate && is_due(options_.eval_strategy, options_.eval_steps, step);
  }
  bool saves_after(int64_t step) const {
    return is_due(options_.save_strategy, options_.save_steps, step);
  }
  bool is_due(const std::string& strategy, int64_t every, int64_t step) const;
  bool evaluate_if_due();
  void save(bool is_best);
  Json state() const;
  bool stop_is_requested() const {
    return inputs_.stop_requested != nullptr && inputs_.stop_requested->load();
  }

  TrainResult finish(bool interrupted);
  std::optional<Checkpoint> read_best() const;
  void load_best();

  void emit(const Event& event) const {
    for (const Listener& listener : listeners_) listener(event);
  }
  void warn(const std::string& message) const { emit(Warned{progress_.step, message}); }

  const TrainerInputs& inputs_;
  const TrainOptions& options_;
  const std::vector<Listener>& listeners_;
  Pipeline& pipeline_;
  CheckpointFolder checkpoints_;
  std::optional<Checkpoint> resumed_;  // until it is taken over
  int64_t threads_;
  at::Device device_;
  Precision precision_;
  Timeline timeline_;
  std::string base_model_;  // a fingerprint of the weights that the run starts from
  std::function<double(int64_t)> schedule_;
  Criterion criterion_;
  std::vector<AdamWParameter> parameters_;
  AdamW optimizer_;
  Progress progress_;
};

TrainResult Trainer::run() {
  begin();
  BatchLoader batches(*inputs_.train, timeline_, static_cast<uint64_t>(options_.seed),
                      progress_.step, pipeline_.task().has_step_loss());
  if (evaluate_if_due()) {  // a run that was interrupted between a step and its evaluation
    save(/*is_best=*/false);
    if (stop_is_requested()) return finish(/*interrupted=*/true);
  }
  while (progress_.step < timeline_.steps() && !progress_.stopped_early) {
    train_step(batches);
    if (!stop_is_requested()) evaluate_if_due();
    if (stop_is_requested()) {
      save(/*is_best=*/false);
      return finish(/*interrupted=*/true);
    }
    if (saves_after(progress_.step) || (progress_.stopped_early && options_.save_strategy != "no"))
      save(/*is_best=*/false);
  }
  return finish(/*interrupted=*/false);
}

// The whole of training, for every task. A loss is a sum and a count, divided once: the gradient
// depends on the step's samples alone, not on how they were split into micro-batches.
void Trainer::train_step(BatchLoader& batches) {
  const Clock clock;
  double sum = 0, count = 0;
  int64_t tokens = 0;
  std::vector<int64_t> indices;
  while (const auto micro = batches.next()) {
    const Loss loss = pipeline_.task().forward_loss(
        pipeline_.network(), pipeline_.network().place(micro->batch), loss_options(options_));
    const double value = loss.sum.item<double>();
    if (!std::isfinite(value)) {
      refuse_not_finite(pipeline_, parameters_, *inputs_.train, inputs_.where_of,
                        {progress_.step, static_cast<uint64_t>(options_.seed), micro->indices});
    }
    loss.sum.backward();
    sum += value;
    count += loss.count;
    tokens += micro->tokens;
    indices.insert(indices.end(), micro->indices.begin(), micro->indices.end());
  }
  count = std::max(count, 1.0);  // a step of windows without a target teaches nothing
  const double norm = gradient_norm(parameters_) / count;
  if (!std::isfinite(norm)) {
    refuse_not_finite(
        pipeline_, parameters_, *inputs_.train, inputs_.where_of,
        {progress_.step, static_cast<uint64_t>(options_.seed), indices, /*is_gradient=*/true});
  }
  optimizer_.step(options_.learning_rate * schedule_(progress_.step), clip_factor(norm) / count);
  clear_gradients(parameters_);
  ++progress_.step;
  tell_step(sum / count, norm, clock.seconds(), tokens, static_cast<int64_t>(indices.size()));
}

// torch.nn.utils.clip_grad_norm_'s factor.
double Trainer::clip_factor(double norm) const {
  return options_.max_grad_norm > 0 ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
}

void Trainer::tell_step(double loss, double norm, double seconds, int64_t tokens, int64_t samples) {
  progress_.seconds += seconds;
  progress_.tokens += tokens;
  StepStatistics& statistics = progress_.statistics;
  statistics.add(loss, norm);
  Stepped stepped;
  stepped.step = progress_.step;
  stepped.total_steps = timeline_.steps();
  stepped.epoch = timeline_.epoch_after(progress_.step);
  stepped.loss = loss;
  stepped.gradient_norm = norm;
  stepped.learning_rate = options_.learning_rate * schedule_(progress_.step - 1);
  stepped.seconds = seconds;
  stepped.tokens = tokens;
  stepped.samples = samples;
  stepped.loss_z = statistics.loss_z();
  stepped.norm_z = statistics.norm_z();
  stepped.mean_loss = statistics.mean_loss();
  stepped.is_logged =
      progress_.step % options_.logging_steps == 0 || progress_.step == timeline_.steps();
  if (stepped.is_logged) statistics.begin_window();
  emit(stepped);
}

// The last step counts with either strategy.
bool Trainer::is_due(const std::string& strategy, int64_t every, int64_t step) const {
  if (strategy == "no" || step == 0) return false;
  if (step == timeline_.steps()) return true;
  return strategy == "steps" ? step % every == 0 : timeline_.ends_epoch(step);
}

bool Trainer::evaluate_if_due() {
  const int64_t step = progress_.step;
  if (!evaluates_after(step) || progress_.evaluated_step == step) return false;
  const Clock clock;
  optimizer_.flush();  // whoever evaluates may read more than looked-up rows
  refuse_diverged(parameters_, step);
  pipeline_.network().eval();
  auto [report, loss] = inputs_.evaluate();
  pipeline_.network().train();
  Metric score = criterion_.of(report, loss);
  if (!std::isfinite(score.value) || !std::isfinite(loss)) {
    warn(
        fmt::format("the evaluation after step {} has the score {} and the loss {}: it does not "
                    "count as an improvement",
                    step, score.value, loss));
    score.value = std::numeric_limits<double>::quiet_NaN();
  }
  const bool is_best = progress_.best.add(step, score);
  progress_.evaluated_step = step;
  progress_.stopped_early = progress_.best.is_exhausted() && step < timeline_.steps();
  emit(Evaluated{step, timeline_.epoch_after(step), loss, clock.seconds(), std::move(report),
                 is_best});
  if (is_best && (options_.load_best_model_at_end || options_.save_strategy != "no"))
    save(/*is_best=*/true);
  return true;
}

// The best weights, saved after an evaluation's flush, will be read as a model; the last ones only
// by a run that goes on, with rows that wait as the optimizer's state says.
void Trainer::save(bool is_best) {
  refuse_diverged(parameters_, progress_.step);
  const Checkpoint checkpoint{state(), weights_of(pipeline_.network()),
                              is_best ? StateDict{} : optimizer_.state()};
  emit(Saved{progress_.step,
             is_best ? checkpoints_.save_best(checkpoint) : checkpoints_.save_last(checkpoint),
             is_best});
}

Json Trainer::state() const {
  return {{"step", progress_.step},
          {"total_steps", timeline_.steps()},
          {"epoch", timeline_.epoch_after(progress_.step)},
          {"evaluated_step", progress_.evaluated_step},
          {"stopped_early", progress_.stopped_early},
          {"seconds", progress_.seconds},
          {"tokens", progress_.tokens},
          {"metric", criterion_.metric},
          {"best", progress_.best.state()},
          {"statistics", progress_.statistics.state()},
          {"precision", precision_name(precision_)},
          {"device", device_.str()},
          {"threads", threads_},
          {"data", data_identity(inputs_.train->lengths(), options_)},
          {"begun_with", begun_with()},
          {"options", options_json(options_)}};
}

std::optional<Checkpoint> Trainer::load_resumed() const {
  if (!inputs_.resume) return std::nullopt;
  return checkpoints_.load_last([this](const std::string& message) { emit(Warned{0, message}); });
}

// What "auto" chose once holds for the whole run: another choice would end it in other weights.
Precision Trainer::choose_precision() const {
  if (options_.precision == "auto" && resumed_)
    return resolve_precision(resumed_->state.at("precision").get<std::string>(), device_);
  return resolve_precision(options_.precision, device_);
}

std::vector<AdamWParameter> Trainer::prepare_parameters() {
  pipeline_.network().move_to(device_);
  pipeline_.network().set_precision(precision_);
  pipeline_.network().set_recompute(options_.recompute);
  return trainable_parameters(pipeline_.network());
}

void Trainer::begin() {
  const int64_t trained = count_parameters(pipeline_.network());
  if (inputs_.resume) {
    resume();
  } else {
    check_criterion();
  }
  require_disk(inputs_.output_dir, disk_still_needed(trained), "this run's checkpoints and model");
  if (inputs_.begin) inputs_.begin();
  if (!inputs_.resume) refuse_old_checkpoints();
  pipeline_.network().train();
  clear_gradients(parameters_);
  Started started;
  started.step = progress_.step;
  started.total_steps = timeline_.steps();
  started.epochs = timeline_.epochs();
  started.samples = inputs_.train->size();
  started.parameters = trained;
  started.precision = precision_name(precision_);
  started.threads = threads_;
  started.device = device_.str();
  emit(started);
}

// What a run that goes on has written already is replaced, not added to.
int64_t Trainer::disk_still_needed(int64_t trained) const {
  const int64_t needed = disk_needed(trained, options_.save_strategy != "no");
  if (!inputs_.resume) return needed;
  return std::max<int64_t>(0, needed - bytes_below(checkpoints_.path()));
}

// A new run must not mix with the checkpoints of another.
void Trainer::refuse_old_checkpoints() const {
  if (!std::filesystem::exists(checkpoints_.path())) return;
  throw Error(ErrorKind::kUsage, Where{checkpoints_.path()},
              "holds the checkpoints of another run; continue it with --resume, or replace it with "
              "--overwrite");
}

// A metric that no report has would show only at the first evaluation, perhaps hours away: one that
// is asked for by name is looked for now.
void Trainer::check_criterion() {
  const bool is_known = options_.metric_for_best_model.empty() || criterion_.metric == "loss";
  if (is_known || !inputs_.evaluate || options_.eval_strategy == "no") return;
  const auto [report, loss] = inputs_.evaluate();
  criterion_.of(report, loss);
}

void Trainer::resume() {
  const Json& saved = resumed_->state;
  compare_with(saved);
  load_weights(pipeline_.network(), resumed_->weights,
               checkpoints_.path() + "/last/model.safetensors");
  optimizer_.load_state(resumed_->optimizer);
  progress_.step = saved.at("step").get<int64_t>();
  progress_.evaluated_step = saved.at("evaluated_step").get<int64_t>();
  progress_.seconds = saved.at("seconds").get<double>();
  progress_.tokens = saved.at("tokens").get<int64_t>();
  progress_.best.load_state(saved.at("best"));
  // A run that is given more patience goes on.
  progress_.stopped_early = saved.at("stopped_early").get<bool>() && progress_.best.is_exhausted();
  progress_.statistics.load_state(saved.at("statistics"));
  resumed_.reset();
}

Json Trainer::begun_with() const {
  return {{"task", pipeline_.info().name},
          {"state", pipeline_.task().state()},
          {"model", base_model_},
          {"config", pipeline_.config().raw},
          {"train", inputs_.train_rows.json()},
          {"validation", inputs_.validation_rows.json()}};
}

void Trainer::refuse_change(const std::string& change) const {
  throw Error(ErrorKind::kUsage, Where{checkpoints_.path() + "/last"},
              fmt::format("this run cannot go on: {}. Set it back, or begin anew with --overwrite",
                          change));
}

// A change of what the run is made of, or of what forms a step, is refused; a change of anything
// else is the user's right, but then the result is not the uninterrupted run's.
void Trainer::compare_with(const Json& saved) const {
  if (saved.contains("begun_with")) {
    compare_origin(saved["begun_with"]);
  } else {
    warn(
        "the checkpoint was made by an earlier version, which kept no fingerprints: whether "
        "labels, rows or the model changed since is not known");
  }
  compare_plan(saved);
  if (saved.contains("begun_with")) compare_model(saved["begun_with"]);
  warn_of_changes(saved);
}

void Trainer::compare_origin(const Json& before) const {
  if (before.at("task") != pipeline_.info().name)
    refuse_change(fmt::format("its task was {}, now it is \"{}\"", before.at("task").dump(),
                              pipeline_.info().name));
  const auto changes = task_differences(before.at("state"), pipeline_.task().state());
  if (!changes.empty())
    refuse_change(fmt::format("the task changed: {}", fmt::join(changes, "; ")));
  for (const auto& [name, rows] : {std::pair("train", &inputs_.train_rows),
                                   std::pair("validation", &inputs_.validation_rows)}) {
    const std::string difference = rows->difference(before.at(name));
    if (!difference.empty())
      refuse_change(fmt::format("the {} data changed: {} (its text, its label or the tokenizer)",
                                name, difference));
  }
}

// After the plan: the seed, which that compares, decides on the weights of a fresh head.
void Trainer::compare_model(const Json& before) const {
  const Json& config = pipeline_.config().raw;
  const auto changes = task_differences(before.value("config", config), config);
  if (!changes.empty())
    refuse_change(fmt::format("the model's config.json changed: {}", fmt::join(changes, "; ")));
  if (before.at("model") != base_model_)
    refuse_change("the base model changed: its weights are not those that the run began with");
}

void Trainer::compare_plan(const Json& saved) const {
  const Json data = data_identity(inputs_.train->lengths(), options_);
  for (const auto& [key, value] : data.items()) {
    const Json before = saved.at("data").value(key, Json());
    if (before == value) continue;
    refuse_change(key == "lengths"
                      ? "the training rows have other lengths than before"
                      : fmt::format("it was made with {} {}, now it is {}: the place in the data "
                                    "would be another one",
                                    key, before.dump(), value.dump()));
  }
  if (saved.at("metric") != criterion_.metric)
    refuse_change(fmt::format(
        "its best was chosen by {}, now it would be by \"{}\"; the two cannot be compared",
        saved.at("metric").dump(), criterion_.metric));
}

void Trainer::warn_of_changes(const Json& saved) const {
  const auto warn_of_change = [&](const std::string& key, const Json& before, const Json& now) {
    if (before != now)
      warn(fmt::format(
          "{} was {} before and is {} now: the run will not equal the one without interruption",
          key, before.dump(), now.dump()));
  };
  const Json options = options_json(options_);
  for (const auto& [key, value] : options.items()) {
    if (key != "precision" && key != "device" && key != "threads" &&
        !saved.at("data").contains(key))
      warn_of_change(key, saved.at("options").value(key, Json()), value);
  }
  warn_of_change("precision", saved.at("precision"), precision_name(precision_));
  warn_of_change("device", saved.value("device", "cpu"), device_.str());
  warn_of_change("threads", saved.at("threads"), threads_);
}

TrainResult Trainer::finish(bool interrupted) {
  optimizer_.flush();
  pipeline_.network().eval();
  refuse_diverged(parameters_, progress_.step);
  if (!interrupted) load_best();
  TrainResult result;
  result.steps = progress_.step;
  result.best_step = progress_.best.best_step();
  result.best_score = progress_.best.best_score().value_or(0);
  result.seconds = progress_.seconds;
  result.tokens_per_second =
      progress_.seconds > 0 ? static_cast<double>(progress_.tokens) / progress_.seconds : 0;
  result.interrupted = interrupted;
  result.stopped_early = progress_.stopped_early;
  result.precision = precision_name(precision_);
  return result;
}

// A run whose `last` is good can end, whatever became of `best`.
std::optional<Checkpoint> Trainer::read_best() const {
  std::string why;
  try {
    Checkpoint best = checkpoints_.load_best([this](const std::string& message) { warn(message); });
    if (best.state.at("step") == progress_.best.best_step()) return best;
    why = fmt::format("the best checkpoint is of step {}", best.state["step"].dump());
  } catch (const Error& error) {
    why = error.what();
  }
  warn(fmt::format("{}; the last weights are kept, not the best, which were those of step {}", why,
                   progress_.best.best_step()));
  return std::nullopt;
}

void Trainer::load_best() {
  if (!options_.load_best_model_at_end || !progress_.best.best_score() ||
      progress_.best.best_step() == progress_.step)
    return;
  if (const std::optional<Checkpoint> best = read_best())
    load_weights(pipeline_.network(), best->weights,
                 checkpoints_.path() + "/best/model.safetensors");
}

}  // namespace

TrainResult train(const TrainerInputs& inputs, const TrainOptions& options,
                  const std::vector<Listener>& listeners) {
  return Trainer(inputs, options, listeners).run();
}

}  // namespace hone
