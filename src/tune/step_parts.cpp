#include "tune/step_parts.h"

#include <fmt/format.h>

#include "tune/regularise/rank_budget.h"

namespace hone {
namespace {

// Rates that a method of few weights gives some of them; the configuration's own groups come first.
TrainOptions with_rates(TrainOptions options, const Pipeline& pipeline) {
  if (!pipeline.adapted()) return options;
  for (const RateFactor& rate : pipeline.adapted()->rates) {
    ParameterGroup group;
    group.parameters.globs = {rate.weights};
    group.factor = rate.factor;
    options.groups.push_back(std::move(group));
  }
  return options;
}

LossOptions loss_options(const TrainOptions& options) {
  return {.label_smoothing = options.label_smoothing_factor, .trains = true};
}

// A rank that was taken away would be there again, a little, in a mean of the steps before.
void refuse_averages(const std::vector<ChosenRegulariser>& chosen) {
  for (const ChosenRegulariser& one : chosen) {
    if (one.averages)
      throw Error(ErrorKind::kUsage,
                  fmt::format("regularise.{} averages weights over steps, in which AdaLoRA takes "
                              "ranks away: their mean would have more of them than target_r. Leave "
                              "regularise.{} out, or take peft_type: lora",
                              one.name, one.name));
  }
}

// The innermost: what others do after a step is done with what it leaves.
std::vector<ChosenRegulariser> with_rank_budget(const std::vector<ChosenRegulariser>& chosen,
                                                Network& network) {
  std::vector<ChosenRegulariser> all = chosen;
  if (!has_rank_budget(network)) return all;
  refuse_averages(chosen);
  all.insert(all.begin(), rank_budget());
  return all;
}

}  // namespace

StepParts::StepParts(Pipeline& pipeline, const TrainOptions& options,
                     const std::vector<ChosenRegulariser>& chosen, int64_t total_steps)
    : frozen(freeze(pipeline.network(), options)),
      optimizer(optimizers()
                    .named(options.optim)
                    .make(trainable_parameters(pipeline.network(), with_rates(options, pipeline)),
                          options)),
      regularisers(with_rank_budget(chosen, pipeline.network()),
                   {pipeline, *optimizer, total_steps, static_cast<uint64_t>(options.seed),
                    loss_options(options)}),
      pass(regularisers.pass(pipeline.task(), pipeline.network(), loss_options(options))) {
  if (!optimizer->steps_there() || !regularisers.is_empty()) return;
  pass_there = regularisers.pass_there(pipeline.task(), pipeline.network(), loss_options(options));
}

}  // namespace hone
