#include "run/find_lr.h"

#include <fmt/format.h>

#include <cmath>

#include "run/prepare.h"
#include "tune/machine.h"

namespace hone {
namespace {

constexpr double kShownLoss = 1.5;  // times the first one

PlainTable rates_table(const RunConfig& config, const FoundRate& found) {
  PlainTable table{.note =
                       "begin with the lower of two rates: where the loss falls fastest, and a "
                       "tenth of the one where it is lowest",
                   .columns = {{"what", "where"}, {"rate", "rate"}}};
  const auto shown = [](double rate) {
    return rate > 0 ? Json(fmt::format("{:.2e}", rate)) : Json();
  };
  table.rows = {{"to begin with", shown(found.advised())},
                {"the loss falls fastest", shown(found.steepest)},
                {"the loss is lowest", shown(found.lowest_loss)},
                {"the configuration's", shown(config.train.learning_rate)}};
  return table;
}

LineChart rates_chart(const FoundRate& found) {
  LineChart chart{.note = "the loss of each step by the decimal logarithm of its rate: -4 is 1e-4",
                  .x = "log10 of the rate",
                  .lines = {{"loss"}, {"smoothed loss"}}};
  chart.y_high = kShownLoss * found.trials.front().smoothed;  // the end would hide the fall
  for (const RateTrial& trial : found.trials) {
    chart.lines[0].points.emplace_back(std::log10(trial.rate), trial.loss);
    chart.lines[1].points.emplace_back(std::log10(trial.rate), trial.smoothed);
  }
  return chart;
}

void refuse_relative_steps(const RunConfig& config) {
  if (config.train.has_relative_steps())
    throw Error(
        ErrorKind::kUsage, {config.path},
        "train.optim_args.relative_step sets the rate of each step itself: there is none to "
        "find");
}

}  // namespace

FoundRate find_lr(const RunConfig& config, const FindRateOptions& search,
                  const std::atomic<bool>* stop_requested) {
  refuse_relative_steps(config);
  use_threads(config.train.threads);
  resolve_device(config.train.device);
  Prepared prepared = prepare(config);
  const RunData data = encode_data(config, prepared);
  const auto pipeline = begin_pipeline(config, prepared);
  return find_rate(*pipeline, data.train, config.train, config.regularisers, search,
                   stop_requested);
}

Report find_lr_report(const RunConfig& config, const FoundRate& found) {
  Report report;
  report.task = config.make_task(0)->info().name;
  report.n = static_cast<int64_t>(found.trials.size());
  if (found.steepest == 0)
    report.found.push_back(
        {"the loss fell at no rate: are the labels right, is everything frozen?", {}, {}});
  if (!found.diverged)
    report.found.push_back(
        {"the loss never rose to where training breaks: with a higher --highest "
         "the chart would show it",
         {},
         {}});
  report.sections.push_back({"rates", "rates", rates_table(config, found)});
  if (!found.trials.empty())
    report.sections.push_back({"trials", "loss by rate", rates_chart(found)});
  return report;
}

}  // namespace hone
