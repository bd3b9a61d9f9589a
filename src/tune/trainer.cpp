#include "tune/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <map>

#include "models/kernels/gpu/launcher.h"
#include "models/kernels/kept_memory.h"
#include "models/layers/state_cache.h"
#include "tune/arriving_numbers.h"
#include "tune/batch_loader.h"
#include "tune/best_tracker.h"
#include "tune/buckets.h"
#include "tune/checkpoint.h"
#include "tune/machine.h"
#include "tune/not_finite.h"
#include "tune/optim/adamw_gpu.h"
#include "tune/replays.h"
#include "tune/run_identity.h"
#include "tune/run_progress.h"
#include "tune/step_parts.h"

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

Timeline make_timeline(const TrainerInputs& inputs, const TrainOptions& options) {
  if (inputs.train->size() == 0)
    throw Error(ErrorKind::kData, "there is no training sample left to train on");
  return Timeline(inputs.train->lengths(),
                  plan_options(options, *inputs.train, want_pairs(inputs.regularisers)),
                  options.num_train_epochs, options.max_steps);
}

// Puts the network on its device. What "auto" chose once holds for the whole run: another precision
// would end it in other weights.
Machine prepare(Network& network, const TrainOptions& options,
                const std::optional<Checkpoint>& resumed) {
  const int64_t threads = use_threads(options.threads);
  const at::Device device = resolve_device(options.device);
  const bool goes_on = options.precision == "auto" && resumed;
  const Precision precision = resolve_precision(
      goes_on ? resumed->state.at("precision").get<std::string>() : options.precision, device);
  if (options.cuda_graphs && !device.is_cuda())
    throw Error(ErrorKind::kUsage, "cuda_graphs is for a GPU: the CPU has no launches to record");
  place_for_training(network, options, device, precision);
  return {threads, device.str(), precision_name(precision)};
}

// Of the micro-batches of a step.
struct StepSums {
  double loss = 0, count = 0;
  int64_t tokens = 0;
  std::vector<int64_t> indices;
  std::map<std::string, double> numbers;
  at::Tensor numbers_there;  // StepNumbers, where passes leave their losses on a GPU

  void add(const MicroBatch& micro, const PassResult& result) {
    if (result.loss_there.defined()) numbers_there[0].add_(result.loss_there);
    loss += result.loss;
    count += result.count;
    tokens += micro.tokens;
    indices.insert(indices.end(), micro.indices.begin(), micro.indices.end());
    for (const auto& [name, sum] : result.numbers) numbers[name] += sum;
  }

  Numbers numbers_per(double targets) const {
    Numbers means;
    for (const auto& [name, sum] : numbers) means.emplace_back(name, sum / targets);
    return means;
  }
};

class Trainer {
 public:
  Trainer(const TrainerInputs& inputs, const TrainOptions& options,
          const std::vector<Listener>& listeners);
  ~Trainer() {
    clear_gradients(parts_.parameters());  // of a step that failed
    pipeline_.network().backbone().keep_lower(nullptr, 0);
  }
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  TrainResult run();

 private:
  void begin();
  void resume();
  void cache_frozen();
  void check_criterion() const;
  void require_room() const;
  void warn_of_missing_kernels() const;
  void prepare_replays();
  BatchLoader::Prepare make_prepare() const;

  void train_step(BatchLoader& batches);
  StepSums run_passes(BatchLoader& batches);
  PassResult run_pass(const MicroBatch& micro);
  void step_there(const StepSums& sums, Stepped told, const Clock& clock);
  void begin_next_step() const;
  void tell_arrived(bool all);
  [[noreturn]] void refuse(int64_t steps_done, std::vector<int64_t> indices,
                           const NotFinite& failure);
  double clip_factor(double norm) const;
  void tell_step(Stepped stepped);

  bool is_due(const std::string& strategy, int64_t every, int64_t step) const;
  bool evaluate_if_due();
  void end_steps();
  Metric score_of(const Report& report, double loss) const;
  bool saves_after(int64_t step) const;
  void save(bool is_best);
  bool stop_is_requested() const {
    return inputs_.stop_requested != nullptr && inputs_.stop_requested->load();
  }
  TrainResult finish(bool interrupted);
  void load_best();

  void emit(const Event& event) const {
    for (const Listener& listener : listeners_) listener(event);
  }
  std::function<void(const std::string&)> warn() const {
    return [this](const std::string& message) { emit(Warned{progress_.step, message}); };
  }

  const TrainerInputs& inputs_;
  const TrainOptions& options_;
  const std::vector<Listener>& listeners_;
  Pipeline& pipeline_;
  RunProgress progress_;
  CheckpointFolder checkpoints_;
  std::optional<Checkpoint> resumed_;  // until it is taken over
  Machine machine_;
  Timeline timeline_;
  Criterion criterion_;
  RunIdentity identity_;
  std::function<double(int64_t)> schedule_;
  StepParts parts_;
  int64_t cached_layers_ = 0;

  // Steps on a GPU whose numbers have not come yet, in their order.
  struct Waiting {
    Stepped told;
    double count;
    std::vector<int64_t> indices;
  };
  std::deque<Waiting> waiting_;
  ArrivingNumbers arriving_;
  at::Tensor numbers_there_;
  std::unique_ptr<Replays> replays_;  // where passes are recorded
};

Trainer::Trainer(const TrainerInputs& inputs, const TrainOptions& options,
                 const std::vector<Listener>& listeners)
    : inputs_(inputs),
      options_(options),
      listeners_(listeners),
      pipeline_(*inputs.pipeline),
      checkpoints_(inputs.output_dir + "/checkpoints"),
      resumed_(inputs.resume ? std::optional(checkpoints_.load_last(warn())) : std::nullopt),
      machine_(prepare(pipeline_.network(), options, resumed_)),
      timeline_(make_timeline(inputs, options)),
      criterion_(criterion_named(options.metric_for_best_model)),
      identity_(inputs, options, criterion_.metric, machine_),
      schedule_(make_schedule(schedule_options(options, timeline_.steps()))),
      parts_(pipeline_, options, inputs.regularisers, timeline_.steps()) {
  progress_.best = BestTracker(options.early_stopping_patience, options.early_stopping_threshold);
}

TrainResult Trainer::run() {
  begin();
  std::optional<OwnStream> stream;
  if (replays_) stream.emplace(pipeline_.network().device());
  BatchLoader batches(*inputs_.train, timeline_, static_cast<uint64_t>(options_.seed),
                      progress_.step, pipeline_.task(), make_prepare());
  if (evaluate_if_due()) {  // a run that was interrupted between a step and its evaluation
    save(/*is_best=*/false);
    if (stop_is_requested()) return finish(/*interrupted=*/true);
  } else if (progress_.step > 0 && stop_is_requested()) {  // that evaluation was interrupted
    return finish(/*interrupted=*/true);
  }
  while (progress_.step < timeline_.steps() && !progress_.stopped_early) {
    train_step(batches);
    if (!stop_is_requested()) evaluate_if_due();
    if (stop_is_requested()) {
      save(/*is_best=*/false);
      return finish(/*interrupted=*/true);
    }
    if (saves_after(progress_.step)) save(/*is_best=*/false);
  }
  return finish(/*interrupted=*/false);
}

// What the loader's thread does to each batch.
BatchLoader::Prepare Trainer::make_prepare() const {
  return [this](Batch batch) {
    return pipeline_.network().stage(replays_ ? in_bucket(std::move(batch)) : std::move(batch));
  };
}

// The whole of training, for every task. A loss is a sum and a count, divided once: the gradient
// depends on the step's samples alone, not on how they were split into micro-batches.
void Trainer::train_step(BatchLoader& batches) {
  const Clock clock;
  const StepSums sums = run_passes(batches);
  const double count = std::max(sums.count, 1.0);  // windows without a target teach nothing
  parts_.regularisers.before_step(count);
  Stepped told{
      .step = progress_.step + 1,
      .learning_rate = options_.learning_rate * progress_.rate_factor * schedule_(progress_.step),
      .tokens = sums.tokens,
      .samples = static_cast<int64_t>(sums.indices.size()),
      .numbers = sums.numbers_per(count)};
  if (parts_.pass_there) return step_there(sums, std::move(told), clock);
  told.loss = sums.loss / count;
  told.gradient_norm = gradient_norm(parts_.parameters()) / count;
  if (!std::isfinite(told.gradient_norm))
    refuse(progress_.step, sums.indices, {"gradient", /*is_gradient=*/true});
  const double scale = clip_factor(told.gradient_norm) / count;
  parts_.optimizer->step(told.learning_rate, scale);
  ++progress_.step;
  parts_.regularisers.after_step({progress_.step, scale});
  clear_gradients(parts_.parameters());
  told.seconds = clock.seconds();
  tell_step(std::move(told));
}

StepSums Trainer::run_passes(BatchLoader& batches) {
  StepSums sums;
  if (parts_.pass_there) {
    if (!numbers_there_.defined())
      numbers_there_ = make_step_numbers(parts_.parameters().front().value.options());
    numbers_there_[0].zero_();
    sums.numbers_there = numbers_there_;
  }
  while (const auto micro = batches.next()) sums.add(*micro, run_pass(*micro));
  return sums;
}

// Forward and backward.
PassResult Trainer::run_pass(const MicroBatch& micro) {
  try {
    if (replays_) return replays_->run(micro.batch);
    const Pass& pass = parts_.pass_there ? parts_.pass_there : parts_.pass;
    return pass(pipeline_.network().place(micro.batch));
  } catch (const NotFinite& failure) {
    refuse(progress_.step, micro.indices, failure);
  }
}

// The rest of a step, asked for and not waited for.
void Trainer::step_there(const StepSums& sums, Stepped told, const Clock& clock) {
  const double count = std::max(sums.count, 1.0);
  parts_.optimizer->step_there(told.learning_rate,
                               {count, options_.max_grad_norm, sums.numbers_there});
  ++progress_.step;
  arriving_.send(sums.numbers_there);
  begin_next_step();
  told.seconds = clock.seconds();
  waiting_.push_back({std::move(told), count, sums.indices});
  tell_arrived(/*all=*/false);
}

void Trainer::begin_next_step() const {
  replays_ ? replays_->zero_gradients() : clear_gradients(parts_.parameters());
}

// A failed step and those after it have moved nothing: its samples are tried on the weights that it
// had.
void Trainer::tell_arrived(bool all) {
  constexpr size_t kMostWaiting = 4;  // steps asked for ahead of the one that is told
  while (!waiting_.empty()) {
    const Clock clock;
    const auto numbers = arriving_.receive(all || waiting_.size() > kMostWaiting);
    if (!numbers) return;
    Waiting step = std::move(waiting_.front());
    waiting_.pop_front();
    if (numbers->is_failed)
      refuse(
          step.told.step - 1, step.indices,
          std::isfinite(numbers->loss) ? NotFinite{"gradient", /*is_gradient=*/true} : NotFinite{});
    step.told.loss = numbers->loss / step.count;
    step.told.gradient_norm = numbers->norm / step.count;
    step.told.seconds += clock.seconds();
    tell_step(std::move(step.told));
  }
}

void Trainer::refuse(int64_t steps_done, std::vector<int64_t> indices, const NotFinite& failure) {
  refuse_not_finite(
      parts_.pass, pipeline_.network(), parts_.parameters(), *inputs_.train, inputs_.where_of,
      {steps_done, static_cast<uint64_t>(options_.seed), std::move(indices), failure});
}

// torch.nn.utils.clip_grad_norm_'s factor.
double Trainer::clip_factor(double norm) const {
  return options_.max_grad_norm > 0 ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
}

void Trainer::tell_step(Stepped stepped) {
  progress_.seconds += stepped.seconds;
  progress_.tokens += stepped.tokens;
  StepStatistics& statistics = progress_.statistics;
  statistics.add(stepped.loss, stepped.gradient_norm, stepped.numbers);
  stepped.total_steps = timeline_.steps();
  stepped.epoch = timeline_.epoch_after(stepped.step);
  stepped.loss_z = statistics.loss_z();
  stepped.norm_z = statistics.norm_z();
  stepped.mean_loss = statistics.mean_loss();
  stepped.numbers = statistics.mean_numbers();
  stepped.is_logged =
      stepped.step % options_.logging_steps == 0 || stepped.step == timeline_.steps();
  if (stepped.is_logged) statistics.begin_window();
  emit(stepped);
}

// ---- evaluations and checkpoints

// The last step counts with either strategy.
bool Trainer::is_due(const std::string& strategy, int64_t every, int64_t step) const {
  if (strategy == "no" || step == 0) return false;
  if (step == timeline_.steps()) return true;
  return strategy == "steps" ? step % every == 0 : timeline_.ends_epoch(step);
}

// The memory of gradients makes room for the bf16 copies that an evaluation has again.
void Trainer::end_steps() {
  if (options_.recompute) kernels::release_kept_memory();
  pipeline_.network().eval();
}

bool Trainer::evaluate_if_due() {
  const int64_t step = progress_.step;
  const bool is_asked_for =
      inputs_.evaluate && is_due(options_.eval_strategy, options_.eval_steps, step);
  if (!is_asked_for || progress_.evaluated_step == step) return false;
  tell_arrived(/*all=*/true);
  const Clock clock;
  parts_.optimizer->flush();  // whoever evaluates may read more than looked-up rows
  refuse_diverged(parts_.parameters(), step);
  end_steps();
  const Regularisers::Evaluated weights(parts_.regularisers);
  std::optional<std::pair<Report, double>> evaluated = inputs_.evaluate();
  pipeline_.network().train();
  if (!evaluated) return false;  // it is due again when the run goes on
  auto& [report, loss] = *evaluated;
  const bool is_best = progress_.best.add(step, score_of(report, loss));
  progress_.evaluated_step = step;
  if (options_.lr_scheduler_type == kReduceOnPlateau)
    progress_.wait_on_plateau(is_best, options_.lr_plateau_factor, options_.lr_plateau_patience);
  progress_.stopped_early = progress_.best.is_exhausted() && step < timeline_.steps();
  emit(Evaluated{step, timeline_.epoch_after(step), loss, clock.seconds(), std::move(report),
                 is_best});
  if (is_best && (options_.load_best_model_at_end || options_.save_strategy != "no"))
    save(/*is_best=*/true);
  return true;
}

Metric Trainer::score_of(const Report& report, double loss) const {
  Metric score = criterion_.of(report, loss);
  if (std::isfinite(score.value) && std::isfinite(loss)) return score;
  warn()(
      fmt::format("the evaluation after step {} has the score {} and the loss {}: it does not "
                  "count as an improvement",
                  progress_.step, score.value, loss));
  score.value = std::numeric_limits<double>::quiet_NaN();
  return score;
}

bool Trainer::saves_after(int64_t step) const {
  return is_due(options_.save_strategy, options_.save_steps, step) ||
         (progress_.stopped_early && options_.save_strategy != "no");
}

// The best weights, saved after an evaluation's flush, will be read as a model; the last ones only
// by a run that goes on, with rows that wait as the optimizer's state says.
void Trainer::save(bool is_best) {
  tell_arrived(/*all=*/true);
  refuse_diverged(parts_.parameters(), progress_.step);
  Json state = progress_.state();
  state["total_steps"] = timeline_.steps();
  state["epoch"] = timeline_.epoch_after(progress_.step);
  state.update(identity_.json());
  const Checkpoint checkpoint{state, trained_weights_of(pipeline_.network()),
                              is_best ? StateDict{} : parts_.optimizer->state(),
                              is_best ? StateDict{} : parts_.regularisers.state()};
  emit(Saved{progress_.step,
             is_best ? checkpoints_.save_best(checkpoint) : checkpoints_.save_last(checkpoint),
             is_best});
}

// ---- beginning and end

void Trainer::begin() {
  if (inputs_.resume) resume();
  if (!progress_.best.best_score()) check_criterion();  // also where a signal ended it before
  require_room();
  cache_frozen();
  if (inputs_.begin) inputs_.begin();
  if (!inputs_.resume) checkpoints_.refuse_existing();
  warn_of_missing_kernels();
  prepare_replays();
  pipeline_.network().train();
  clear_gradients(parts_.parameters());
  std::vector<std::string> regularisers;
  for (const ChosenRegulariser& one : inputs_.regularisers) regularisers.push_back(one.name);
  emit(Started{.step = progress_.step,
               .total_steps = timeline_.steps(),
               .epochs = timeline_.epochs(),
               .samples = inputs_.train->size(),
               .parameters = count_weights(pipeline_.network()).trained,
               .all_parameters = count_weights(pipeline_.network()).all,
               .precision = machine_.precision,
               .threads = machine_.threads,
               .device = machine_.device,
               .frozen = parts_.frozen,
               .regularisers = std::move(regularisers),
               .cached_layers = cached_layers_});
}

// What the frozen layers at the bottom give of a text is the same in every epoch, where they drop
// nothing.
void Trainer::cache_frozen() {
  if (options_.cache_frozen == 0) return;
  Backbone& backbone = pipeline_.network().backbone();
  const std::optional<FrozenLayers> frozen = backbone.frozen_layers();
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorKind::kUsage, "train.cache_frozen: " + what);
  };
  if (!frozen || !pipeline_.device().is_cpu())
    refuse(fmt::format("not for models of the family {} on {}", backbone.config().model_type,
                       pipeline_.device().str()));
  if (frozen->layers == 0)
    refuse(
        "the lowest layer is trained, or something is that comes before it: there is nothing to "
        "keep");
  if (frozen->dropout > 0)
    refuse(
        fmt::format("the {} lowest layers are frozen, but drop values with a probability of up "
                    "to {}, others in each epoch; set model.dropout to 0",
                    frozen->layers, frozen->dropout));
  backbone.keep_lower(std::make_shared<StateCache>(
                          inputs_.output_dir, static_cast<int64_t>(options_.cache_frozen * 1e9)),
                      frozen->layers);
  cached_layers_ = frozen->layers;
}

void Trainer::warn_of_missing_kernels() const {
  const std::string why = kernels::gpu::missing_kernels(pipeline_.network().device());
  if (!why.empty())
    warn()(fmt::format("hone's GPU kernels cannot be had, so steps take several times as long: {}",
                       why));
}

void Trainer::prepare_replays() {
  if (!options_.cuda_graphs) return;
  const Network& network = pipeline_.network();
  std::string why = missing_recordings(network.device());
  if (why.empty())
    why = cannot_replay(pipeline_.task(), !parts_.regularisers.is_empty(),
                        parts_.pass_there != nullptr, options_.recompute);
  if (!why.empty())
    return warn()(fmt::format("cuda_graphs: passes are run launch by launch: {}", why));
  replays_ = std::make_unique<Replays>(Replays::Inputs{parts_.pass_there, pipeline_.task(), network,
                                                       parts_.parameters(),
                                                       recordings_on(network.device()), warn()});
}

// What a run that goes on has written already is replaced, not added to.
void Trainer::require_room() const {
  const WeightCount weights = count_weights(pipeline_.network());
  const int64_t there = inputs_.resume ? bytes_below(checkpoints_.path()) : 0,
                needed = disk_needed(weights.trained, weights.all, parts_.state_bytes(),
                                     options_.save_strategy != "no");
  require_disk(inputs_.output_dir, std::max<int64_t>(0, needed - there),
               "this run's checkpoints and model");
}

void Trainer::resume() {
  const std::string last = checkpoints_.path() + "/last";
  identity_.compare_with(resumed_->state, Where{last}, warn());
  load_weights(pipeline_.network(), resumed_->weights, last + "/model.safetensors");
  parts_.optimizer->load_state(resumed_->optimizer);
  parts_.regularisers.load_state(resumed_->regularisers);
  progress_.load_state(resumed_->state);
  resumed_.reset();
}

// A metric that no report has would show only at the first evaluation, perhaps hours away: one that
// is asked for by name is looked for now.
void Trainer::check_criterion() const {
  const bool is_known = options_.metric_for_best_model.empty() || criterion_.metric == "loss";
  if (is_known || !inputs_.evaluate || options_.eval_strategy == "no") return;
  if (const auto evaluated = inputs_.evaluate()) criterion_.of(evaluated->first, evaluated->second);
}

TrainResult Trainer::finish(bool interrupted) {
  tell_arrived(/*all=*/true);
  parts_.optimizer->flush();
  end_steps();
  refuse_diverged(parts_.parameters(), progress_.step);
  if (!interrupted) {
    parts_.regularisers.begin_evaluation();
    load_best();
  }
  return {.steps = progress_.step,
          .best_step = progress_.best.best_step(),
          .best_score = progress_.best.best_score().value_or(0),
          .seconds = progress_.seconds,
          .tokens_per_second = progress_.tokens_per_second(),
          .interrupted = interrupted,
          .stopped_early = progress_.stopped_early,
          .precision = machine_.precision};
}

void Trainer::load_best() {
  const int64_t best_step = progress_.best.best_step();
  if (!options_.load_best_model_at_end || !progress_.best.best_score() ||
      best_step == progress_.step)
    return;
  if (const auto best = checkpoints_.load_best_of(best_step, warn()))
    load_weights(pipeline_.network(), best->weights,
                 checkpoints_.path() + "/best/model.safetensors");
}

}  // namespace

TrainResult train(const TrainerInputs& inputs, const TrainOptions& options,
                  const std::vector<Listener>& listeners) {
  TrainResult result = Trainer(inputs, options, listeners).run();
  kernels::release_kept_memory();  // of gradients
  return result;
}

}  // namespace hone
