#include "tune/find_rate.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "tune/batch_loader.h"
#include "tune/machine.h"
#include "tune/step_parts.h"
#include "tune/timeline.h"

namespace hone {
namespace {

constexpr double kMemory = 0.9;       // of the smoothed loss: about ten steps
constexpr double kTooHigh = 4;        // times the lowest smoothed loss
constexpr int64_t kFirstJudged = 10;  // trials before these are mostly their first ones

double rate_of(const FindRateOptions& search, int64_t step) {
  const double share =
      static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, search.steps - 1));
  return search.lowest * std::pow(search.highest / search.lowest, share);
}

// A moving average without the weight of a start at zero, as Adam's moments have it.
class Smoothed {
 public:
  double add(double value) {
    sum_ = kMemory * sum_ + (1 - kMemory) * value;
    weight_ = kMemory * weight_ + (1 - kMemory);
    return sum_ / weight_;
  }

 private:
  double sum_ = 0, weight_ = 0;
};

// The mean loss of a step, and the step; NaN where a number is none.
double step_at(double rate, BatchLoader& batches, const StepParts& parts, Network& network,
               const TrainOptions& options, int64_t steps_done) {
  double loss = 0, count = 0;
  try {
    while (const auto micro = batches.next()) {
      const PassResult result = parts.pass(network.place(micro->batch));
      loss += result.loss;
      count += result.count;
    }
  } catch (const NotFinite&) {
    return std::nan("");
  }
  count = std::max(count, 1.0);
  parts.regularisers.before_step(count);
  const double norm = gradient_norm(parts.parameters()) / count;
  const double clip =
      options.max_grad_norm > 0 ? std::min(1.0, options.max_grad_norm / (norm + 1e-6)) : 1.0;
  if (!std::isfinite(norm)) return std::nan("");
  parts.optimizer->step(rate, clip / count);
  parts.regularisers.after_step({steps_done + 1, clip / count});
  clear_gradients(parts.parameters());
  return loss / count;
}

void set_up(Pipeline& pipeline, const TrainOptions& options) {
  use_threads(options.threads);
  const at::Device device = resolve_device(options.device);
  place_for_training(pipeline.network(), options, device,
                     resolve_precision(options.precision, device));
  pipeline.network().train();
}

}  // namespace

double FoundRate::advised() const { return std::min(steepest, lowest_loss / 10); }

FoundRate judge_rates(std::vector<RateTrial> trials) {
  FoundRate found;
  found.trials = std::move(trials);
  const auto& all = found.trials;
  const auto first = std::min<size_t>(all.size(), kFirstJudged);
  if (first == all.size()) return found;
  size_t lowest = first;
  for (size_t i = first; i < all.size(); ++i) {
    if (all[i].smoothed < all[lowest].smoothed) lowest = i;
  }
  found.lowest_loss = all[lowest].rate;
  double steepest = 0;
  for (size_t i = first; i <= lowest; ++i) {
    const double slope =
        (all[i].smoothed - all[i - 1].smoothed) / std::log(all[i].rate / all[i - 1].rate);
    if (slope >= steepest) continue;
    steepest = slope;
    found.steepest = all[i].rate;
  }
  return found;
}

FoundRate find_rate(Pipeline& pipeline, const SampleStore& samples, const TrainOptions& options,
                    const std::vector<ChosenRegulariser>& regularisers,
                    const FindRateOptions& search, const std::atomic<bool>* stop_requested) {
  set_up(pipeline, options);
  const Timeline timeline(samples.lengths(),
                          plan_options(options, samples, want_pairs(regularisers)),
                          options.num_train_epochs, search.steps);
  const StepParts parts(pipeline, options, regularisers, search.steps);
  clear_gradients(parts.parameters());
  BatchLoader batches(samples, timeline, static_cast<uint64_t>(options.seed), 0, pipeline.task());
  Progress progress("finding the rate", search.steps, "steps");
  Smoothed smoothed;
  std::vector<RateTrial> trials;
  double lowest = 0;
  bool diverged = false;
  for (int64_t step = 0; step < search.steps && !diverged; ++step) {
    if (stop_requested != nullptr && stop_requested->load()) break;
    const double rate = rate_of(search, step);
    const double loss = step_at(rate, batches, parts, pipeline.network(), options, step);
    diverged = !std::isfinite(loss);
    if (diverged) break;
    trials.push_back({rate, loss, smoothed.add(loss)});
    lowest = step == 0 ? trials.back().smoothed : std::min(lowest, trials.back().smoothed);
    diverged = step >= kFirstJudged && trials.back().smoothed > kTooHigh * lowest;
    progress.advance_to(step + 1, fmt::format("rate {:.2g}, loss {:.4f}", rate, loss));
  }
  clear_gradients(parts.parameters());
  pipeline.network().eval();
  FoundRate found = judge_rates(std::move(trials));
  found.diverged = diverged;
  return found;
}

}  // namespace hone
