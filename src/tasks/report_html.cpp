// The report as one page that opens anywhere: no outside link, inline SVG, light and dark, phone
// width, print. It reads the same without its script.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/html.h"
#include "tasks/human.h"
#include "tasks/report.h"
#include "tasks/report_page.h"
#include "tasks/section_html.h"
#include "tasks/short_paths.h"
#include "tasks/svg.h"

namespace hone {
namespace {

using html::card;
using html::escape;
using html::fold;
using html::scroller;
using html::section;

constexpr size_t kComparisonsShown = 3;  // more are folded
constexpr size_t kNamesShown = 12;       // more are folded

// A short form of each file that the page names, and the place of a row by it.
ShortPaths files_named(const std::vector<Finding>& found, const Report& report,
                       const RunSummary& run) {
  std::set<std::string> files;
  const auto add_items = [&](const auto* shown) {
    if (shown == nullptr) return;
    for (const auto& item : shown->items) files.insert(item.where.file);
  };
  for (const Section& section : report.sections) {
    add_items(std::get_if<Examples>(&section.content));
    add_items(std::get_if<GeneratedTexts>(&section.content));
  }
  for (const Finding& finding : found) {
    for (const Comparison& c : finding.examples) files.insert({c.here.file, c.there.file});
  }
  for (const auto& [split, audit] : run.data) {
    for (const BadRow& row : audit.examples) files.insert(row.where.file);
    for (const BadRow& row : audit.repairs) files.insert(row.where.file);
  }
  files.erase("");
  return ShortPaths(files);
}

std::string shown_number(double value) {
  return fmt::format("<span class='number'>{}</span>", human_score(value));
}

// Where a value of 0 to 1, its interval and its baseline lie.
std::string range_bar(const Metric& metric) {
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  if (!metric.interval || !metric.greater_is_better || !is_share(metric.value) ||
      !is_share(metric.interval->low) || !is_share(metric.interval->high))
    return "";
  std::string marks =
      fmt::format("<i style='left:{:.1f}%;width:{:.1f}%'></i><b style='left:{:.1f}%'></b>",
                  100 * metric.interval->low, 100 * (metric.interval->high - metric.interval->low),
                  100 * metric.value);
  if (metric.baseline && is_share(*metric.baseline))
    marks += fmt::format("<u style='left:{:.1f}%'></u>", 100 * *metric.baseline);
  return "<span class='range' aria-hidden='true'>" + marks + "</span>";
}

std::string interval_text(const Metric& metric) {
  if (!metric.interval) return "";
  return fmt::format("{} to {}", shown_number(metric.interval->low),
                     shown_number(metric.interval->high));
}

std::string baseline_text(const Metric& metric) {
  return metric.baseline ? "baseline " + shown_number(*metric.baseline) : "";
}

std::string score_card(const Report& report, const RunSummary& run) {
  const Metric* main = report.main();
  if (main == nullptr) return "";
  std::string out =
      fmt::format("<div class='soft'>{} {}</div><div class='score'>{}</div>", escape(run.split),
                  html::name(report.metric), human_score(report.score));
  std::string note = human_count(report.n) + (report.n == 1 ? " row" : " rows");
  if (main->interval) {
    out += range_bar(*main);
    note = fmt::format("95 % interval {} · {}", interval_text(*main), note);
  }
  out += "<div class='soft'>" + note + "</div>";
  if (main->baseline)
    out += fmt::format("<div class='soft'>baseline ({}): {}</div>", html::name(report.baseline),
                       shown_number(*main->baseline));
  return card(out, "facts");
}

std::string head_line(const Report& report, const RunSummary& run) {
  std::string facts = escape(report.task);
  if (!run.model.empty()) facts += " · " + html::name(run_name(run.model));
  return fmt::format("<h1>{}</h1><p class='soft facts'>{}</p>", escape(run.title), facts) +
         score_card(report, run);
}

std::string metric_card(const Metric& metric) {
  std::string out = fmt::format("<span class='soft'>{}</span><b class='number'>{}</b>",
                                html::name(metric.name), human_score(metric.value)) +
                    range_bar(metric);
  for (const std::string& line : {interval_text(metric), baseline_text(metric),
                                  std::string(metric.greater_is_better ? "" : "less is better")}) {
    if (!line.empty()) out += "<small class='soft'>" + line + "</small>";
  }
  return card(out);
}

std::string metrics_section(const Report& report, const RunSummary& run) {
  std::string cards;
  for (const Metric& metric : report.metrics) cards += metric_card(metric);
  if (cards.empty()) return "";
  const bool has_intervals =
      std::any_of(report.metrics.begin(), report.metrics.end(),
                  [](const Metric& metric) { return metric.interval.has_value(); });
  std::string legend =
      has_intervals ? "In bars and below: 95 % intervals, bootstrap over records." : "";
  if (!report.baseline.empty())
    legend += fmt::format(" Dotted: the baseline ({}).", html::name(report.baseline));
  for (const ChosenOption& one : run.chosen) legend += " " + escape(one.text()) + ".";
  return "<div class='cards'>" + cards + "</div><p class='legend'>" + legend + "</p>";
}

// What stands above the score's details.

std::string names_list(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + html::name(name);
  return out;
}

std::string comparison_item(const Comparison& c, const ShortPaths& files) {
  std::string out = fmt::format("<code>{}</code> and <code>{}</code>",
                                html::name(files.place(c.here)), html::name(files.place(c.there)));
  if (!c.note.empty()) out += " · <span class='soft'>" + escape(c.note) + "</span>";
  if (!c.text.empty()) out += "<p>" + html::text(c.text) + "</p>";
  if (!c.other_text.empty() && c.other_text != c.text)
    out += "<p>" + html::text(c.other_text) + "</p>";
  return "<li>" + out + "</li>";
}

std::string comparisons_list(const std::vector<Comparison>& examples, const ShortPaths& files) {
  std::string first, rest;
  for (size_t i = 0; i < examples.size(); ++i)
    (i < kComparisonsShown ? first : rest) += comparison_item(examples[i], files);
  if (first.empty()) return "";
  const std::string more = "<ul class='pairs'>" + rest + "</ul>";
  return "<ul class='pairs'>" + first + "</ul>" +
         (rest.empty() ? ""
                       : fold(fmt::format("{} more", examples.size() - kComparisonsShown), more));
}

std::string finding_card(const Finding& finding, const ShortPaths& files) {
  std::string out = "<p><b>" + escape(finding.text) + "</b>";
  const bool is_long = finding.names.size() > kNamesShown;
  if (!finding.names.empty() && !is_long) out += ": " + names_list(finding.names);
  out += "</p>";
  if (is_long) out += fold("which", "<p>" + names_list(finding.names) + "</p>");
  return card(out + comparisons_list(finding.examples, files), "warn");
}

// Curves: what belongs together shares a chart; what has one value is a number.

using Points = std::vector<RunSummary::Point>;

svg::Line line_of(const std::string& name, const Points& points) {
  svg::Line line{name, {}};
  for (const RunSummary::Point& point : points) {
    if (std::isfinite(point.value))
      line.points.emplace_back(static_cast<double>(point.step), point.value);
  }
  return line;
}

std::string curve_card(const std::string& title, const std::vector<svg::Line>& lines) {
  return card("<h3>" + html::name(title) + "</h3>" + svg::line_chart(lines, "step"));
}

struct Curves {
  std::string charts, folded;                          // cards
  std::vector<std::pair<std::string, double>> single;  // name and its one value
};

// "loss" and "validation loss" make one chart; the main metric's stands open, the others folded.
Curves curves_of(const RunSummary& run, const std::string& metric) {
  const std::string prefix = "validation ";
  std::map<std::string, std::vector<svg::Line>> groups;
  Curves curves;
  for (const auto& [name, points] : run.curves) {
    const svg::Line line = line_of(name, points);
    if (line.points.size() == 1) curves.single.emplace_back(name, line.points.front().second);
    const bool is_validation = name.starts_with(prefix);
    const std::string base = is_validation ? name.substr(prefix.size()) : name;
    if (line.points.size() > 1)
      groups[is_validation && run.curves.contains(base) ? base : name].push_back(line);
  }
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {  // validation first
    const bool is_open = !group->first.starts_with(prefix) || group->first == prefix + metric;
    (is_open ? curves.charts : curves.folded) += curve_card(group->first, group->second);
  }
  return curves;
}

std::string curves_section(const RunSummary& run, const std::string& metric) {
  const Curves curves = curves_of(run, metric);
  std::string out, values;
  if (!curves.charts.empty()) out += "<div class='two'>" + curves.charts + "</div>";
  for (const auto& [name, value] : curves.single)
    values += fmt::format("<dt>{}</dt><dd class='number'>{}</dd>", html::name(name),
                          human_value(name, value));
  if (!values.empty()) out += card("<dl class='keys'>" + values + "</dl>");
  if (!curves.folded.empty())
    out += fold("other metrics", "<div class='two'>" + curves.folded + "</div>");
  return out;
}

// Data and run.

std::string row_items(const std::vector<BadRow>& bad, const ShortPaths& files) {
  std::string rows;
  for (const BadRow& row : bad)
    rows += fmt::format("<li><code>{}</code> {}</li>", html::name(files.place(row.where)),
                        html::text(row.reason));
  return rows;
}

std::string row_list(const char* title, const std::string& rows) {
  return rows.empty() ? "" : card(fold(title, "<ul class='pairs'>" + rows + "</ul>"));
}

std::string odd_rows(const RunSummary& run, const ShortPaths& files) {
  std::string reasons, dropped, repaired;
  for (const auto& [split, audit] : run.data) {
    for (const auto& [reason, count] : audit.reasons)
      reasons +=
          fmt::format("<li>{}: {} {}</li>", escape(split), human_count(count), escape(reason));
    dropped += row_items(audit.examples, files);
    repaired += row_items(audit.repairs, files);
  }
  return row_list("rows left out", reasons + dropped) +
         row_list("rows used after a repair", repaired);
}

std::string data_table(const RunSummary& run) {
  std::string rows;
  for (const auto& [name, audit] : run.data) {
    rows += fmt::format("<tr><td>{}</td>", html::name(name));
    for (const int64_t count : {audit.rows, audit.used, audit.dropped, audit.truncated})
      rows += fmt::format("<td>{}</td>", human_count(count));
    rows += audit.text_tokens == 0
                ? "<td>–</td></tr>"
                : fmt::format("<td>{:.1f} %</td></tr>", 100 * audit.unknown_share());
  }
  if (rows.empty()) return "";
  return card(scroller(
      "rows by split",
      "<table><thead><tr><th scope='col'>split</th><th scope='col'>rows</th>"
      "<th scope='col'>used</th><th scope='col'>dropped</th>"
      "<th scope='col'>truncated</th><th scope='col'>unknown tokens</th></tr></thead><tbody>" +
          rows + "</tbody></table>"));
}

std::string files_card(const ShortPaths& files) {
  std::string rows;
  for (const auto& [path, name] : files.names()) {
    if (path == name) continue;
    rows += fmt::format("<dt>{}</dt><dd><code>{}</code></dd>", html::name(name), html::name(path));
  }
  return rows.empty() ? "" : card("<h3>Files</h3><dl class='keys'>" + rows + "</dl>");
}

std::string facts_card(const char* title, const Json& facts) {
  if (!facts.is_object() || facts.empty()) return "";
  std::string rows;
  for (const auto& [key, value] : facts.items()) {
    rows += fmt::format("<dt>{}</dt><dd>{}</dd>", escape(human_name(key)),
                        escape(human_value(key, value)));
  }
  return card(fmt::format("<h3>{}</h3><dl class='keys'>{}</dl>", title, rows));
}

std::string run_section(const RunSummary& run) {
  const std::string facts =
      facts_card("Time and memory", run.timing) + facts_card("Machine", run.environment);
  std::string out = facts.empty() ? "" : "<div class='two'>" + facts + "</div>";
  if (!run.model.empty()) out += card("<h3>Model</h3><code>" + html::name(run.model) + "</code>");
  if (!run.command.empty())
    out += card("<h3>Command</h3><code>" + html::name(run.command) + "</code>");
  if (!run.config.empty())
    out += card(fold("configuration in force",
                     scroller("configuration", "<pre>" + escape(run.config) + "</pre>")));
  return out;
}

std::string page_title(const Report& report, const RunSummary& run) {
  if (report.main() == nullptr) return run.title;
  return fmt::format("{}: {} {}", run.title, report.metric, human_score(report.score));
}

bool has_examples(const Section& section) {
  return std::holds_alternative<Examples>(section.content) ||
         std::holds_alternative<GeneratedTexts>(section.content);
}

// The examples, or all other sections.
std::string sections_html(const Report& report, const ShortPaths& files, bool examples) {
  std::string out;
  for (const Section& one : report.sections) {
    if (has_examples(one) == examples) out += section_html(one, files);
  }
  return out;
}

}  // namespace

std::string report_html(const Report& report, const RunSummary& run) {
  const std::vector<Finding> found = findings(report, run);
  const ShortPaths files = files_named(found, report, run);
  std::string out = fmt::format(
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width,initial-scale=1'>"
      "<title>{}</title><style>{}</style></head><body><main>",
      escape(page_title(report, run)), kReportStyle);
  out += head_line(report, run);
  for (const Finding& finding : found) out += finding_card(finding, files);
  out += section("Scores", metrics_section(report, run));
  out += sections_html(report, files, /*examples=*/false);
  out += section("Learning curves", curves_section(run, report.metric));
  out += sections_html(report, files, /*examples=*/true);
  out += section("Data", data_table(run) + odd_rows(run, files) + files_card(files));
  out += section("Run", run_section(run));
  return out + "</main><script>" + kReportScript + "</script></body></html>\n";
}

}  // namespace hone
