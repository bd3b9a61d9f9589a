#include "run/sweep_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hone {
namespace {

std::optional<TrialPoint> best_point(const SweepState& state, size_t trial) {
  return state.best(trial, state.points(trial).size());
}

// Best first, those without a score last; else in the order of the sweep.
std::vector<size_t> by_score(const SweepState& state, size_t trials) {
  std::vector<size_t> order(trials);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto of_a = best_point(state, a), of_b = best_point(state, b);
    if (!of_a || !of_b) return of_a && !of_b;
    return state.is_better(of_a->score, of_b->score);
  });
  return order;
}

std::string fate_of(const Sweep& sweep, const SweepState& state, size_t trial,
                    const TrialOutcome& outcome) {
  if (outcome.failure) return std::string("failed: ") + outcome.failure->what();
  if (outcome.out_at > 0)
    return fmt::format("out at {} {:g}", sweep.halving->by_epochs ? "epoch" : "step",
                       outcome.out_at);
  if (outcome.ended) return "ended";
  return state.points(trial).empty() ? "not run" : "not ended";
}

Json shown_value(const Json& value) {
  if (value.is_string() || value.is_null()) return value;
  return value.is_number_float() ? Json(fmt::format("{:g}", value.get<double>()))
                                 : Json(to_text(value));
}

PlainTable trials_table(const Sweep& sweep, const SweepState& state, const SweepResult& result) {
  PlainTable table{.note =
                       "the best first; score: the best evaluation on the validation data, "
                       "which also chose the trial: on other data it will be lower"};
  table.columns = {{"trial", "trial"}};
  for (const SweepKey& key : sweep.keys) table.columns.push_back({key.name, key.name});
  for (const auto& [key, heading] :
       {std::pair("score", "score"), std::pair("step", "at step"), std::pair("epoch", "epoch"),
        std::pair("train_seconds", "train s"), std::pair("fate", "what became of it")})
    table.columns.push_back({key, heading});
  for (const size_t trial : by_score(state, sweep.trials.size())) {
    const TrialOutcome& outcome = result.trials[trial];
    const auto best = best_point(state, trial);
    std::vector<Json>& row = table.rows.emplace_back();
    row.push_back(sweep.trials[trial].name);
    for (const Json& value : sweep.trials[trial].values) row.push_back(shown_value(value));
    const Json timing =
        outcome.report.is_null() ? Json::object() : outcome.report.value("timing", Json::object());
    row.push_back(best ? Json(best->score) : Json());
    row.push_back(best ? Json(best->step) : Json());
    row.push_back(best ? Json(best->epoch) : Json());
    row.push_back(timing.value("train_seconds", Json()));
    row.push_back(fate_of(sweep, state, trial, outcome));
  }
  return table;
}

// An axis of numbers where all values are, else of words in the order in which they come.
ParallelLines::Axis axis_of(const Sweep& sweep, size_t key) {
  ParallelLines::Axis axis{sweep.keys[key].name, sweep.keys[key].is_log};
  const auto is_number = [&](const Trial& trial) { return trial.values[key].is_number(); };
  if (std::all_of(sweep.trials.begin(), sweep.trials.end(), is_number)) return axis;
  for (const Trial& trial : sweep.trials) {
    const std::string word = shown_cell(shown_value(trial.values[key]));
    if (std::find(axis.words.begin(), axis.words.end(), word) == axis.words.end())
      axis.words.push_back(word);
  }
  return axis;
}

double place_on(const ParallelLines::Axis& axis, const Json& value) {
  if (axis.words.empty()) return value.get<double>();
  const std::string word = shown_cell(shown_value(value));
  return static_cast<double>(std::find(axis.words.begin(), axis.words.end(), word) -
                             axis.words.begin());
}

ParallelLines trials_picture(const Sweep& sweep, const SweepState& state,
                             const SweepResult& result) {
  ParallelLines picture{.note =
                            "a line for each trial that has a score, through its values; the "
                            "better, the stronger"};
  for (size_t key = 0; key < sweep.keys.size(); ++key) picture.axes.push_back(axis_of(sweep, key));
  picture.axes.push_back({state.metric(), false});
  std::vector<size_t> order = by_score(state, sweep.trials.size());
  std::erase_if(order, [&](size_t trial) { return !best_point(state, trial); });
  for (size_t rank = order.size(); rank-- > 0;) {  // the best is drawn last, over the others
    const Trial& trial = sweep.trials[order[rank]];
    ParallelLines::Line line{.name = trial.name, .is_best = result.best == order[rank]};
    for (size_t key = 0; key < sweep.keys.size(); ++key)
      line.values.push_back(place_on(picture.axes[key], trial.values[key]));
    line.values.push_back(best_point(state, order[rank])->score);
    line.weight = 1 - static_cast<double>(rank) / static_cast<double>(order.size());
    if (line.is_best)
      picture.note += ". The thick line with dots and numbers is the best one, " + trial.name;
    picture.lines.push_back(std::move(line));
  }
  return picture;
}

// The score of the best trial, and what its run's report says of other data.
void add_scores(const SweepState& state, const SweepResult& result, Report& report) {
  if (!result.best) return;
  report.metric = state.metric();
  report.score = best_point(state, *result.best)->score;
  report.metrics.push_back({report.metric, report.score, state.greater_is_better()});
  const Json& own = result.trials[*result.best].report;
  if (own.is_null()) return;
  const Json read = own.value("data", Json::object()).value("validation", Json::object());
  report.n = read.value("used", int64_t{0});
  if (own.value("split", "") != "test" || !own.at("score").is_number()) return;
  const std::string metric = own.at("metric").get<std::string>();
  Metric test{"test_" + metric, own["score"].get<double>(), is_greater_better(own, metric)};
  const Json interval = own.value("intervals", Json::object()).value(metric, Json());
  if (interval.is_array())
    test.interval = Interval{interval.at(0).get<double>(), interval.at(1).get<double>()};
  report.metrics.push_back(std::move(test));
}

std::vector<Finding> findings_of(const Sweep& sweep, const SweepResult& result) {
  Finding failed{"trials failed; the others are compared", {}, {}};
  for (size_t trial = 0; trial < sweep.trials.size(); ++trial) {
    if (result.trials[trial].failure) failed.names.push_back(sweep.trials[trial].name);
  }
  if (failed.names.empty()) return {};
  failed.text = fmt::format("{} of {} trials failed; the others are compared", failed.names.size(),
                            sweep.trials.size());
  return {failed};
}

}  // namespace

bool is_at(const TrialPoint& point, const Halving& halving, double rung) {
  constexpr double kRounding = 1e-9;  // of epochs, which are quotients
  const double place = halving.by_epochs ? point.epoch : static_cast<double>(point.step);
  return place >= rung - kRounding;
}

size_t points_until(const std::vector<TrialPoint>& points, const Halving* halving, double rung) {
  if (halving == nullptr) return points.size();
  const auto there = std::find_if(points.begin(), points.end(), [&](const TrialPoint& point) {
    return is_at(point, *halving, rung);
  });
  return static_cast<size_t>(there - points.begin()) + (there == points.end() ? 0 : 1);
}

Report sweep_report(const Sweep& sweep, const SweepState& state, const SweepResult& result) {
  Report report;
  report.task = sweep.trials.front().config.make_task(0)->info().name;
  add_scores(state, result, report);
  report.found = findings_of(sweep, result);
  report.sections.push_back({"trials", "trials", trials_table(sweep, state, result)});
  ParallelLines picture = trials_picture(sweep, state, result);
  if (!picture.lines.empty())
    report.sections.push_back({"values", "values and score", std::move(picture)});
  return report;
}

}  // namespace hone
