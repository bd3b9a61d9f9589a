#include "tune/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "models/layers/linear.h"
#include "tune/batch_loader.h"
#include "tune/checkpoint.h"
#include "tune/machine.h"
#include "tune/step_parts.h"
#include "tune/timeline.h"
#include "tune/train_options.h"

namespace hone {
namespace {

constexpr int64_t kProgram = int64_t{300} << 20;  // libtorch, tokenizer, data held in memory
constexpr int kProbeSteps = 3;                    // the first of them warms up and is not counted

int64_t total_of(const std::vector<int32_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

int64_t largest_micro_batch(const std::vector<int32_t>& lengths, const PlanOptions& options) {
  int64_t largest = 0;
  const EpochPlan plan(lengths, options, 0);
  for (int64_t step = 0; step < plan.size(); ++step) {
    for (const auto& micro : plan.step(step)) {
      int64_t tokens = 0;
      for (int64_t index : micro) tokens += lengths[index];
      largest = std::max(largest, tokens);
    }
  }
  return largest;
}

// fp32 weights and the bf16 copies, of which recomputing keeps one at a time; gradients of weights
// that are trained. Frozen layers may be kept in fewer bits.
int64_t weight_bytes(const Network& network, Precision precision, bool recomputes) {
  const WeightCount weights = count_weights(network);
  const bool is_bf16 = precision == Precision::kBf16;
  const int64_t width = is_bf16 && !recomputes ? 6 : 4;
  int64_t bytes = weights.all * width + weights.trained * 4, largest = 0;
  for (const auto& module : network.modules(/*include_self=*/false)) {
    const auto* linear = module->as<LinearImpl>();
    if (linear == nullptr) continue;
    if (linear->frozen_weight().is_defined())
      bytes += linear->frozen_weight().bytes() - linear->weight.numel() * width;
    largest = std::max(largest, linear->weight.numel());
  }
  return bytes + (is_bf16 && recomputes ? largest * 2 : 0);
}

// A loss that is no number takes as long as another; the run itself will tell of it.
void run_pass(const Pass& pass, const Batch& batch) {
  try {
    pass(batch);
  } catch (const NotFinite&) {
  }
}

double to_mb(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

std::string duration_text(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

Json Estimate::json() const {
  Json json = {{"parameters", parameters},
               {"steps", steps},
               {"tokens", tokens},
               {"micro_batch_tokens", micro_batch_tokens},
               {"memory_bytes", memory_bytes},
               {"disk_bytes", disk_bytes}};
  json["seconds"] = seconds ? Json(*seconds) : Json();
  if (gpu) json["gpu"] = {{"name", gpu->name}, {"memory_bytes", gpu->memory_bytes}};
  return json;
}

std::string Estimate::text() const {
  std::string text = fmt::format("steps   {} ({} tokens, at most {} in a micro-batch)\n", steps,
                                 tokens, micro_batch_tokens);
  text += fmt::format("memory  about {:.0f} MB ({:.1f}M parameters)\n", to_mb(memory_bytes),
                      static_cast<double>(parameters) / 1e6);
  if (gpu)
    text += fmt::format("gpu     {}{}\n", gpu->str(),
                        memory_bytes > gpu->memory_bytes
                            ? ", too little: a smaller per_device_train_batch_size (with more "
                              "gradient_accumulation_steps) or recompute=true need less"
                            : "");
  text += fmt::format("disk    {:.0f} MB for checkpoints and model\n", to_mb(disk_bytes));
  text += fmt::format("time    {}\n", seconds ? "about " + duration_text(*seconds) +
                                                    " of training, evaluations not counted"
                                              : "not measured: the weights are not here");
  return text;
}

Estimate estimate(Pipeline& pipeline, const std::vector<int32_t>& lengths,
                  const TrainOptions& options, const std::vector<ChosenRegulariser>& regularisers) {
  const Timeline timeline(lengths, plan_options(options), options.num_train_epochs,
                          options.max_steps);
  const StepParts parts(pipeline, options, regularisers, timeline.steps());
  const WeightCount weights = count_weights(pipeline.network());
  const at::Device device = resolve_device(options.device);
  const Precision precision = resolve_precision(options.precision, device);
  Estimate result;
  result.gpu = gpu_of(device);
  result.parameters = weights.trained;
  result.steps = timeline.steps();
  result.tokens = std::llround(timeline.epochs() * static_cast<double>(total_of(lengths)));
  PlanOptions plan = plan_options(options);
  plan.pairs = want_pairs(regularisers);
  result.micro_batch_tokens = largest_micro_batch(lengths, plan);
  result.memory_bytes = kProgram + weight_bytes(pipeline.network(), precision, options.recompute) +
                        parts.state_bytes() + pipeline.network().head().loss_bytes(precision) +
                        parts.regularisers.graphs_kept() * result.micro_batch_tokens *
                            pipeline.config().plan->activation_bytes(precision, options.recompute);
  result.disk_bytes =
      disk_needed(weights.trained, weights.all, parts.state_bytes(), options.save_strategy != "no");
  return result;
}

double measure_seconds_per_token(Pipeline& pipeline, const SampleStore& samples,
                                 const TrainOptions& options,
                                 const std::vector<ChosenRegulariser>& regularisers) {
  use_threads(options.threads);
  const at::Device device = resolve_device(options.device);
  place_for_training(pipeline.network(), options, device,
                     resolve_precision(options.precision, device));
  pipeline.network().train();
  Timeline timeline(samples.lengths(), plan_options(options, samples, want_pairs(regularisers)),
                    options.num_train_epochs, options.max_steps);
  const StepParts parts(pipeline, options, regularisers, timeline.steps());
  const int64_t steps = std::min<int64_t>(kProbeSteps, timeline.steps());
  std::chrono::duration<double> spent{0};
  int64_t tokens = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const auto start = std::chrono::steady_clock::now();
    int64_t step_tokens = 0;
    for (const auto& indices : timeline.micro_batches(step)) {
      const MicroBatch micro =
          make_micro_batch(samples, indices, static_cast<uint64_t>(options.seed), step);
      run_pass(parts.pass, pipeline.network().place(micro.batch));
      step_tokens += micro.tokens;
    }
    parts.regularisers.before_step(/*count=*/1);
    parts.optimizer->step(/*learning_rate=*/0, /*gradient_scale=*/1);
    gradient_norm(parts.parameters());  // which waits for a GPU
    parts.regularisers.after_step({step + 1, /*gradient_scale=*/1});
    clear_gradients(parts.parameters());
    if (step == 0 && steps > 1) continue;
    spent += std::chrono::steady_clock::now() - start;
    tokens += step_tokens;
  }
  pipeline.network().eval();
  return spent.count() / static_cast<double>(std::max<int64_t>(1, tokens));
}

}  // namespace hone
