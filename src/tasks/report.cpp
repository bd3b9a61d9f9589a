#include "tasks/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/console.h"

namespace hone {
namespace {

constexpr size_t kNamesPrinted = 10, kComparisonsPrinted = 3;

Json baseline_json(const Report& report) {
  Json values = Json::object();
  for (const Metric& metric : report.metrics) {
    if (metric.baseline) values[metric.name] = finite(*metric.baseline);
  }
  return {{"name", report.baseline}, {"metrics", values}};
}

// Sections have keys of their own: none may hide another value.
void put(Json& out, const std::string& key, Json value) {
  if (out.contains(key))
    throw Error(ErrorKind::kInternal,
                fmt::format("the report has the key \"{}\" twice; a section must have one of its "
                            "own",
                            key));
  out[key] = std::move(value);
}

// NaN is how a task says that its rows cannot tell.
std::string number_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "–";
}

std::string metric_line(const Metric& metric, size_t width) {
  std::string text = fmt::format("{:<{}}  {}", metric.name, width, number_text(metric.value));
  if (metric.interval && std::isfinite(metric.interval->low))
    text += fmt::format("  [{:.4f}, {:.4f}]", metric.interval->low, metric.interval->high);
  if (metric.baseline) text += fmt::format("  baseline {:.4f}", *metric.baseline);
  return text + "\n";
}

std::string metric_lines(const Report& report) {
  size_t width = 0;
  bool has_intervals = false;
  for (const Metric& metric : report.metrics) {
    width = std::max(width, metric.name.size());
    has_intervals = has_intervals || metric.interval;
  }
  std::string text;
  for (const Metric& metric : report.metrics) text += metric_line(metric, width);
  if (has_intervals) text += "(in brackets: 95 % intervals, bootstrap over records)\n";
  return report.baseline.empty()
             ? text
             : text + fmt::format("(baseline: {})\n", console::printable(report.baseline));
}

// The tables, or the examples. A table of scores is told from another by its title.
template <typename Kind>
std::string sections_text(const Report& report, const std::string& rest) {
  const auto is_of_kind = [](const Section& section) {
    return std::holds_alternative<Kind>(section.content);
  };
  const bool needs_titles =
      std::is_same_v<Kind, ScoreTable> &&
      std::count_if(report.sections.begin(), report.sections.end(), is_of_kind) > 1;
  std::string text;
  for (const Section& section : report.sections) {
    if (!is_of_kind(section)) continue;
    if (needs_titles) text += console::printable(section.title) + "\n";
    text += section_text(section, rest);
  }
  return text;
}

std::string names_text(const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const size_t shown = std::min(kNamesPrinted, names.size());
  std::string text = fmt::format(
      ": {}", fmt::join(names.begin(), names.begin() + static_cast<int64_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::string comparison_lines(const Comparison& c) {
  std::string places = fmt::format("    {} and {}", c.here.str(), c.there.str());
  if (!c.note.empty()) places += fmt::format(" ({})", c.note);
  std::string text = console::printable(places) + "\n";
  if (!c.text.empty()) text += fmt::format("      {}\n", console::printable(c.text));
  if (!c.other_text.empty() && c.other_text != c.text)
    text += fmt::format("      {}\n", console::printable(c.other_text));
  return text;
}

std::string finding_lines(const Report& report, const RunSummary& run) {
  std::string text;
  for (const Finding& finding : findings(report, run)) {
    text +=
        console::printable(fmt::format("! {}{}", finding.text, names_text(finding.names))) + "\n";
    for (size_t i = 0; i < std::min(kComparisonsPrinted, finding.examples.size()); ++i)
      text += comparison_lines(finding.examples[i]);
  }
  return text.empty() ? "" : text + "\n";
}

}  // namespace

void Report::add(const std::vector<MetricName>& names, const std::vector<double>& values,
                 const std::vector<Interval>& ranges, const std::vector<double>& baselines) {
  for (size_t i = 0; i < names.size(); ++i) {
    Metric added{names[i].name, values[i], names[i].greater_is_better, {}, {}};
    if (i < ranges.size()) added.interval = ranges[i];
    if (i < baselines.size()) added.baseline = baselines[i];
    if (added.name == metric) score = added.value;
    metrics.push_back(std::move(added));
  }
}

namespace {

// Puts a prefix before all keys that a section has in report.json.
void prefix_keys(const std::string& prefix, Section& section) {
  const auto put_before = [&](std::string& key) {
    if (!key.empty()) key.insert(0, prefix);
  };
  put_before(section.key);
  if (auto* table = std::get_if<ScoreTable>(&section.content)) put_before(table->averages_key);
  if (auto* examples = std::get_if<Examples>(&section.content)) put_before(examples->measure_key);
  if (auto* texts = std::get_if<GeneratedTexts>(&section.content)) put_before(texts->measure_key);
}

}  // namespace

void Report::add_part(Report part, const std::string& prefix, const std::string& heading) {
  for (Metric& added : part.metrics) {
    added.name.insert(0, prefix);
    if (added.name == metric) score = added.value;
    metrics.push_back(std::move(added));
  }
  for (Section& section : part.sections) {
    prefix_keys(prefix, section);
    section.title = heading + ": " + section.title;
    sections.push_back(std::move(section));
  }
  for (Finding& finding : part.found) {
    finding.text = heading + ": " + finding.text;
    found.push_back(std::move(finding));
  }
  if (!part.baseline.empty())
    baseline += fmt::format("{}{}: {}", baseline.empty() ? "" : "; ", heading, part.baseline);
}

namespace {

// The metric that other programs' users mean: "val_loss", "acc", "f1_macro".
std::string meant_metric(std::string name, const std::vector<std::string>& known) {
  const auto is_known = [&] { return std::find(known.begin(), known.end(), name) != known.end(); };
  for (const std::string prefix : {"eval_", "val_", "validation_", "test_", "dev_"}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  if (name == "acc") name = "accuracy";
  const size_t bar = name.find('_');
  if (!is_known() && bar != std::string::npos)
    name = name.substr(bar + 1) + "_" + name.substr(0, bar);
  return is_known() ? fmt::format("; did you mean \"{}\"?", name) : did_you_mean(name, known);
}

}  // namespace

const Metric* Report::main() const {
  const auto found = std::find_if(metrics.begin(), metrics.end(),
                                  [&](const Metric& m) { return m.name == metric; });
  return found == metrics.end() ? nullptr : &*found;
}

const Metric& Report::named(const std::string& metric_name) const {
  std::vector<std::string> known = {"loss"};
  for (const Metric& m : metrics) {
    if (m.name == metric_name) return m;
    known.push_back(m.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown metric \"{}\"{}; task {} reports: {}.", metric_name,
                          meant_metric(metric_name, known), task, fmt::join(known, ", ")));
}

Json Report::json() const {
  Json values = Json::object(), ranges = Json::object(), less = Json::array();
  for (const Metric& m : metrics) {
    values[m.name] = finite(m.value);
    if (!m.greater_is_better) less.push_back(m.name);
    if (m.interval) ranges[m.name] = {finite(m.interval->low), finite(m.interval->high)};
  }
  Json out = {
      {"task", task}, {"metric", metric},  {"score", main() == nullptr ? Json() : finite(score)},
      {"n", n},       {"metrics", values}, {"intervals", ranges}};
  if (!less.empty()) out["less_is_better"] = std::move(less);
  if (!baseline.empty()) out["baseline"] = baseline_json(*this);
  for (const Section& section : sections) {
    for (auto& [key, value] : section_json(section)) put(out, key, std::move(value));
  }
  return out;
}

std::string run_name(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  std::string name;
  for (const std::filesystem::path& part : path) {
    if (!part.empty() && part != "model" && part != "/") name = part.string();
  }
  return name.empty() ? folder : name;
}

Json ChosenOption::json() const {
  return {{"option", option},
          {"value", finite(value)},
          {"metric", metric},
          {"score", finite(score)},
          {"usual", finite(usual)}};
}

std::string ChosenOption::text() const {
  return fmt::format(
      "{} {} was chosen on the validation data, where it gives {} {:.4f} ({:.4f} "
      "before)",
      option, value, metric, score, usual);
}

std::string report_text(const Report& report, const RunSummary& run, const std::string& rest) {
  std::string chosen;
  for (const ChosenOption& one : run.chosen) chosen += fmt::format("({})\n", one.text());
  return finding_lines(report, run) + sections_text<ScoreTable>(report, rest) +
         metric_lines(report) + chosen + sections_text<PlainTable>(report, rest) +
         sections_text<Examples>(report, rest) + sections_text<GeneratedTexts>(report, rest);
}

Json report_json(const Report& report, const RunSummary& run) {
  Json out = report.json();
  Json splits = Json::object(), curves = Json::object(), found = Json::array(),
       leaks = Json::array(), chosen = Json::array();
  for (const auto& [name, audit] : run.data) splits[name] = audit.json();
  for (const auto& [name, points] : run.curves) {
    Json& list = curves[name] = Json::array();
    for (const RunSummary::Point& p : points)
      list.push_back({{"step", p.step}, {"epoch", p.epoch}, {"value", finite(p.value)}});
  }
  for (const Finding& finding : findings(report, run)) found.push_back(finding.json());
  for (const Leak& leak : run.leaks) leaks.push_back(leak.json());
  for (const ChosenOption& one : run.chosen) chosen.push_back(one.json());
  put(out, "findings", std::move(found));
  put(out, "title", run.title);
  put(out, "split", run.split);
  put(out, "model", run.model);
  put(out, "command", run.command);
  put(out, "data", std::move(splits));
  put(out, "leaks", std::move(leaks));
  put(out, "chosen", std::move(chosen));
  put(out, "curves", std::move(curves));
  put(out, "timing", run.timing);
  put(out, "environment", run.environment);
  return out;
}

}  // namespace hone
