#include "tasks/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/console.h"
#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kMistakesPrinted = 10;

// A number of a report; JSON has no NaN.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json row_json(const ClassRow& row) {
  return {{"label", row.label},
          {"precision", row.precision},
          {"recall", row.recall},
          {"f1", row.f1},
          {"support", row.support}};
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

std::string metric_lines(const Report& report) {
  size_t width = 0;
  for (const auto& [name, value] : report.metrics) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : report.metrics) {
    text += fmt::format("{:<{}}  {:.4f}", name, width, value);
    if (const auto found = report.intervals.find(name); found != report.intervals.end()) {
      text += fmt::format("  [{:.4f}, {:.4f}]", found->second.low, found->second.high);
    }
    text += "\n";
  }
  return text;
}

std::string mistake_lines(const Report& report) {
  if (report.mistakes.empty()) return "";
  const bool by_error = std::any_of(report.metrics.begin(), report.metrics.end(),
                                    [](const auto& metric) { return metric.first == "mse"; });
  std::string text = by_error ? "\nlargest errors\n" : "\nmost confident mistakes\n";
  for (size_t i = 0; i < std::min(kMistakesPrinted, report.mistakes.size()); ++i) {
    const Mistake& m = report.mistakes[i];
    const std::string confidence = m.confidence > 0 ? fmt::format(" ({:.3f})", m.confidence)
                                                    : "";  // predictions without scores have none
    text += console::printable(fmt::format("  {}: {}, predicted {}{}: {}", m.where.str(), m.gold,
                                           m.predicted, confidence, m.text)) +
            "\n";
  }
  if (report.mistakes.size() > kMistakesPrinted)
    text += fmt::format("  … {} more in report.json\n", report.mistakes.size() - kMistakesPrinted);
  return text;
}

}  // namespace

bool greater_is_better(const std::string& metric) {
  static const std::array<const char*, 7> losses = {
      "loss", "mse", "rmse", "mae", "ece", "hamming_loss", "tokens_without_pieces"};
  return std::none_of(losses.begin(), losses.end(),
                      [&](const char* name) { return metric == name; });
}

double Report::value(const std::string& metric_name) const {
  for (const auto& [name, value] : metrics) {
    if (name == metric_name) return value;
  }
  std::vector<std::string> known;
  for (const auto& metric : metrics) known.push_back(metric.first);
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown metric \"{}\"{}; task {} reports: {}.", metric_name,
                          did_you_mean(metric_name, known), task, fmt::join(known, ", ")));
}

Json Report::json() const {
  Json values = Json::object(), ranges = Json::object();
  for (const auto& [name, value] : metrics) values[name] = finite(value);
  for (const auto& [name, interval] : intervals)
    ranges[name] = {finite(interval.low), finite(interval.high)};
  Json out = {{"task", task},
              {"metric", metric},
              {"score", finite(score)},
              {"n", n},
              {"metrics", values},
              {"intervals", ranges},
              {"per_class", list_json(per_class, row_json)},
              {"averages", list_json(averages, row_json)}};
  if (confusion) out["confusion"] = {{"labels", confusion->labels}, {"counts", confusion->counts}};
  out["reliability"] = list_json(reliability, [](const ReliabilityBin& bin) -> Json {
    return {{"confidence", bin.confidence}, {"accuracy", bin.accuracy}, {"count", bin.count}};
  });
  out["mistakes"] = list_json(mistakes, mistake_json);
  return out;
}

std::string report_text(const Report& report) {
  std::string text = report.per_class.empty() ? "" : class_table(report);
  text += metric_lines(report);
  if (!report.intervals.empty()) text += "(in brackets: 95 % intervals, bootstrap over records)\n";
  return text + mistake_lines(report);
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
  out["title"] = run.title;
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
