// What a reader should know before believing a score: leaks, a score no better than one without a
// model, what the task found. Text, JSON and page show them first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/report.h"

namespace hone {
namespace {

constexpr double kManyUnknown = 0.01;  // share of unknown tokens from which on it is told

std::vector<Finding> of_split(const RunSummary& run) {
  if (run.split != "validation") return {};
  return {{fmt::format("these are scores on {} data, which chose the model: they are too good; "
                       "give data.test to know how good it is",
                       run.split),
           {},
           {}}};
}

std::string counted_leak(const Leak& leak) {
  const int64_t told = leak.exact > 0 ? leak.exact : leak.near;
  const std::string text = fmt::format(
      "{} {} of {} {}{} in {} too", told, told == 1 ? "text" : "texts", leak.split,
      told == 1 ? "stands" : "stand", leak.exact > 0 ? "" : " nearly the same", leak.other);
  const bool has_both = leak.exact > 0 && leak.near > 0;
  return text +
         (leak.relabelled > 0 ? fmt::format(", {} with other labels", leak.relabelled) : "") +
         (has_both ? fmt::format(", {} more nearly so", leak.near) : "");
}

std::vector<Finding> of_leaks(const RunSummary& run) {
  std::vector<Finding> found;
  for (const Leak& leak : run.leaks) {
    if (leak.exact + leak.near == 0) continue;
    Finding finding{counted_leak(leak) + ": scores are too good", {}, {}};
    for (const LeakExample& e : leak.examples) {
      finding.examples.push_back(
          {e.here, e.there, e.text, e.other_text,
           e.similarity < 1 ? fmt::format("{:.0f} % alike", 100 * e.similarity) : "equal"});
    }
    found.push_back(std::move(finding));
  }
  return found;
}

std::vector<Finding> of_unknown_tokens(const RunSummary& run) {
  std::vector<Finding> found;
  for (const auto& [split, audit] : run.data) {
    if (audit.unknown_share() < kManyUnknown) continue;
    found.push_back({fmt::format("{:.1f} % of the tokens of {} are unknown to the model, which "
                                 "cannot tell them apart",
                                 100 * audit.unknown_share(), split),
                     {},
                     {}});
  }
  return found;
}

std::vector<Finding> of_conflicts(const RunSummary& run) {
  std::vector<Finding> found;
  for (const auto& [split, audit] : run.data) {
    if (audit.conflicts.texts == 0) continue;
    Finding finding{
        fmt::format("{} {} of {} {} different labels in {} rows: no answer can be "
                    "right in all of them",
                    audit.conflicts.texts, audit.conflicts.texts == 1 ? "text" : "texts", split,
                    audit.conflicts.texts == 1 ? "has" : "have", audit.conflicts.rows),
        {},
        {}};
    for (const auto& [first, other] : audit.conflicts.examples)
      finding.examples.push_back({first, other, "", "", ""});
    found.push_back(std::move(finding));
  }
  return found;
}

std::vector<Finding> of_score(const Report& report) {
  const Metric* main = report.main();
  if (main == nullptr || report.n == 0) return {};
  if (!std::isfinite(main->value))
    return {{fmt::format("{} cannot be told of these rows", main->name), {}, {}}};
  if (!main->baseline) return {};
  const bool better =
      main->greater_is_better ? main->value > *main->baseline : main->value < *main->baseline;
  if (better) return {};
  return {{fmt::format("{} {:.4f} is no better than {}, which gets {:.4f}", main->name, main->value,
                       report.baseline, *main->baseline),
           {},
           {}}};
}

}  // namespace

Json Finding::json() const {
  Json rows = Json::array();
  for (const Comparison& c : examples) {
    rows.push_back({{"here", c.here.str()},
                    {"there", c.there.str()},
                    {"text", c.text},
                    {"other_text", c.other_text},
                    {"note", c.note}});
  }
  return {{"text", text}, {"names", names}, {"examples", rows}};
}

std::vector<Finding> findings(const Report& report, const RunSummary& run) {
  std::vector<Finding> all;
  for (const std::vector<Finding>& some : {of_split(run), of_leaks(run), of_score(report),
                                           report.found, of_unknown_tokens(run), of_conflicts(run)})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace hone
