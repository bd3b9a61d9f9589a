#include "tasks/several/scorer.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/metrics/bootstrap.h"

namespace hone::several {
namespace {

constexpr double kLow = 0.025, kHigh = 0.975;  // of a 95 % interval

std::string prefix_of(const std::string& part) { return part + "."; }

// Of numbers that were resampled apart, as often: the mean of the first draws, of the second, …
std::optional<Interval> mean_interval(const std::vector<const Metric*>& metrics) {
  const auto draws = [](const Metric* m) {
    return m->interval ? m->interval->draws.size() : size_t{0};
  };
  const size_t count = draws(metrics.front());
  const bool fits = std::all_of(metrics.begin(), metrics.end(),
                                [&](const Metric* m) { return draws(m) == count; });
  if (count == 0 || !fits) return std::nullopt;
  Interval mean{0, 0, std::vector<double>(count)};
  for (const Metric* metric : metrics) {
    for (size_t i = 0; i < count; ++i)
      mean.draws[i] += metric->interval->draws[i] / static_cast<double>(metrics.size());
  }
  mean.low = metrics::percentile(mean.draws, kLow);
  mean.high = metrics::percentile(mean.draws, kHigh);
  return mean;
}

// The mean of the main metrics of the tasks that have rows.
Metric mean_of(const std::vector<const Metric*>& metrics) {
  Metric mean{kMean};
  double baseline = 0;
  bool has_baseline = true;
  for (const Metric* metric : metrics) {
    mean.value += metric->value / static_cast<double>(metrics.size());
    baseline += metric->baseline.value_or(0) / static_cast<double>(metrics.size());
    has_baseline = has_baseline && metric->baseline;
  }
  mean.interval = mean_interval(metrics);
  if (has_baseline) mean.baseline = baseline;
  return mean;
}

// A mean of numbers of which some should be small and others large says nothing, and neither does
// one that leaves a task out: the loss judges then.
bool has_mean(const std::vector<Report>& reports) {
  return std::all_of(reports.begin(), reports.end(), [](const Report& report) {
    const Metric* main = report.main();
    return !report.metric.empty() && (main == nullptr || main->greater_is_better);
  });
}

class SeveralScorer : public Scorer {
 public:
  explicit SeveralScorer(std::vector<TaskPart> parts) : parts_(std::move(parts)) {
    for (const TaskPart& part : parts_) scorers_.push_back(part.task->make_scorer());
    rows_.resize(scorers_.size());
  }

  void check(const Record& gold) const override { scorers_[place_of(gold, parts_)]->check(gold); }

  void add(const Record& gold, const Json& result) override {
    const size_t place = place_of(gold, parts_);
    scorers_[place]->add(gold, result);
    ++rows_[place];
  }

  Report report() const override {
    std::vector<Report> reports;
    for (const auto& scorer : scorers_) reports.push_back(scorer->report());
    Report all;
    all.task = kTaskName;
    if (has_mean(reports)) all.metric = kMean;
    add_mean(reports, all);
    for (size_t i = 0; i < reports.size(); ++i) add_part(std::move(reports[i]), i, all);
    return all;
  }

 private:
  void add_mean(const std::vector<Report>& reports, Report& all) const {
    std::vector<const Metric*> metrics;
    for (size_t i = 0; i < reports.size(); ++i) {
      if (rows_[i] > 0 && reports[i].main() != nullptr) metrics.push_back(reports[i].main());
    }
    if (all.metric.empty() || metrics.empty()) return;
    all.metrics.push_back(mean_of(metrics));
    all.score = all.metrics.back().value;
  }

  void add_part(Report report, size_t place, Report& all) const {
    const std::string& name = parts_[place].name;
    if (rows_[place] == 0) {
      all.found.push_back(
          {fmt::format("no row is of task {}: nothing here says how good it is", name), {}, {}});
      return;
    }
    all.n += report.n;
    all.add_part(std::move(report), prefix_of(name), "task " + name);
  }

  std::vector<TaskPart> parts_;
  std::vector<std::unique_ptr<Scorer>> scorers_;  // of each task
  std::vector<int64_t> rows_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(std::vector<TaskPart> parts) {
  return std::make_unique<SeveralScorer>(std::move(parts));
}

Report metrics_of(const Report& all, const std::string& part) {
  Report own;
  for (Metric metric : all.metrics) {
    if (!metric.name.starts_with(prefix_of(part))) continue;
    metric.name.erase(0, prefix_of(part).size());
    own.metrics.push_back(std::move(metric));
  }
  return own;
}

}  // namespace hone::several
