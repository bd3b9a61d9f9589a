#include "tasks/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/console.h"
#include "base/utf8.h"
#include "tasks/findings.h"

namespace hone {
namespace {

constexpr size_t kMistakesPrinted = 10, kNamesPrinted = 10, kComparisonsPrinted = 3;

// A number of a report; JSON has no NaN.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json average_json(const ClassRow& row) {
  return {{"label", row.label},
          {"precision", row.precision},
          {"recall", row.recall},
          {"f1", row.f1},
          {"support", row.support}};
}

Json class_json(const ClassRow& row) {
  Json json = average_json(row);
  json["predicted"] = row.predicted;
  return json;
}

Json baseline_json(const Report& report) {
  Json values = Json::object();
  for (const Metric& metric : report.metrics) {
    if (metric.baseline) values[metric.name] = finite(*metric.baseline);
  }
  return {{"name", report.baseline}, {"metrics", values}};
}

Json mistake_json(const Mistake& m) {
  return {{"file", m.where.file}, {"line", m.where.line},     {"text", m.text},
          {"gold", m.gold},       {"predicted", m.predicted}, {"confidence", m.confidence}};
}

template <typename Item, typename Make>
Json list_json(const std::vector<Item>& items, Make make) {
  Json list = Json::array();
  for (const Item& item : items) list.push_back(make(item));
  return list;
}

std::string right_aligned(const std::string& text, size_t width) {
  const size_t length = count_code_points(text);
  return std::string(length < width ? width - length : 0, ' ') + text;
}

// scikit-learn's classification_report with digits=4, to the character. The accuracy row shows one
// number, as there.
std::string class_table(const Report& report) {
  size_t width = std::string_view("weighted avg").size();
  for (const ClassRow& row : report.per_class)
    width = std::max(width, count_code_points(console::printable(row.label)));
  std::string text = fmt::format("{}  {:>9} {:>9} {:>9} {:>9}\n\n", std::string(width, ' '),
                                 "precision", "recall", "f1-score", "support");
  const auto line = [&](const ClassRow& row) {
    text += right_aligned(console::printable(row.label), width);
    if (row.label == "accuracy") {
      text += fmt::format("  {:>9} {:>9} {:>9.4f} {:>9}\n", "", "", row.f1, row.support);
    } else {
      text += fmt::format("  {:>9.4f} {:>9.4f} {:>9.4f} {:>9}\n", row.precision, row.recall, row.f1,
                          row.support);
    }
  };
  for (const ClassRow& row : report.per_class) line(row);
  text += "\n";
  for (const ClassRow& row : report.averages) line(row);
  return text + "\n";
}

std::string metric_line(const Metric& metric, size_t width) {
  std::string text = fmt::format("{:<{}}  {:.4f}", metric.name, width, metric.value);
  if (metric.interval)
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

std::string mistake_lines(const Report& report, const std::string& rest) {
  if (report.mistakes.empty()) return "";
  std::string text = fmt::format("\n{}\n", mistakes_title(report));
  for (size_t i = 0; i < std::min(kMistakesPrinted, report.mistakes.size()); ++i) {
    const Mistake& m = report.mistakes[i];
    const std::string confidence = m.confidence > 0 ? fmt::format(" ({:.3f})", m.confidence)
                                                    : "";  // predictions without scores have none
    text += console::printable(fmt::format("  {}: {}, predicted {}{}: {}", m.where.str(), m.gold,
                                           m.predicted, confidence, m.text)) +
            "\n";
  }
  if (report.mistakes.size() > kMistakesPrinted)
    text += fmt::format("  … {} more {}\n", report.mistakes.size() - kMistakesPrinted, rest);
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

bool greater_is_better(const std::string& metric) {
  static const std::array<const char*, 8> losses = {"loss",
                                                    "mse",
                                                    "rmse",
                                                    "mae",
                                                    "ece",
                                                    "hamming_loss",
                                                    "tokens_without_pieces",
                                                    "unreachable_entities"};
  return std::none_of(losses.begin(), losses.end(),
                      [&](const char* name) { return metric == name; });
}

void Report::add(const std::vector<const char*>& names, const std::vector<double>& values,
                 const std::vector<Interval>& ranges, const std::vector<double>& baselines) {
  for (size_t i = 0; i < names.size(); ++i) {
    Metric added{names[i], values[i], greater_is_better(names[i]), {}, {}};
    if (i < ranges.size()) added.interval = ranges[i];
    if (i < baselines.size()) added.baseline = baselines[i];
    if (added.name == metric) score = added.value;
    metrics.push_back(std::move(added));
  }
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

double Report::value(const std::string& metric_name) const {
  std::vector<std::string> known = {"loss"};
  for (const Metric& m : metrics) {
    if (m.name == metric_name) return m.value;
    known.push_back(m.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown metric \"{}\"{}; task {} reports: {}.", metric_name,
                          meant_metric(metric_name, known), task, fmt::join(known, ", ")));
}

Json Report::json() const {
  Json values = Json::object(), ranges = Json::object();
  for (const Metric& m : metrics) {
    values[m.name] = finite(m.value);
    if (m.interval) ranges[m.name] = {finite(m.interval->low), finite(m.interval->high)};
  }
  Json out = {{"task", task},
              {"metric", metric},
              {"score", finite(score)},
              {"n", n},
              {"metrics", values},
              {"intervals", ranges},
              {"per_class", list_json(per_class, class_json)},
              {"averages", list_json(averages, average_json)}};
  if (!baseline.empty()) out["baseline"] = baseline_json(*this);
  if (confusion) out["confusion"] = {{"labels", confusion->labels}, {"counts", confusion->counts}};
  out["reliability"] = list_json(reliability, [](const ReliabilityBin& bin) -> Json {
    return {{"confidence", bin.confidence},
            {"accuracy", bin.accuracy},
            {"count", bin.count},
            {"low", bin.low},
            {"high", bin.high}};
  });
  out["mistakes"] = list_json(mistakes, mistake_json);
  out["mistake_measure"] = mistake_measure;
  return out;
}

std::string mistakes_title(const Report& report) {
  return report.mistake_measure == "confidence" ? "most confident mistakes"
                                                : "largest " + report.mistake_measure + "s";
}

std::string run_name(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  std::string name;
  for (const std::filesystem::path& part : path) {
    if (!part.empty() && part != "model" && part != "/") name = part.string();
  }
  return name.empty() ? folder : name;
}

std::string report_text(const Report& report, const RunSummary& run, const std::string& rest) {
  return finding_lines(report, run) + (report.per_class.empty() ? "" : class_table(report)) +
         metric_lines(report) + mistake_lines(report, rest);
}

Json report_json(const Report& report, const RunSummary& run) {
  Json out = report.json();
  Json splits = Json::object(), curves = Json::object();
  for (const auto& [name, audit] : run.data) splits[name] = audit.json();
  for (const auto& [name, points] : run.curves) {
    curves[name] = list_json(points, [](const RunSummary::Point& p) -> Json {
      return {{"step", p.step}, {"epoch", p.epoch}, {"value", finite(p.value)}};
    });
  }
  out["findings"] = list_json(findings(report, run), [](const Finding& f) { return f.json(); });
  out["title"] = run.title;
  out["split"] = run.split;
  out["model"] = run.model;
  out["command"] = run.command;
  out["data"] = splits;
  out["leaks"] = list_json(run.leaks, [](const Leak& leak) { return leak.json(); });
  out["curves"] = curves;
  out["timing"] = run.timing;
  out["environment"] = run.environment;
  return out;
}

}  // namespace hone
