// The report as one page that opens anywhere: no script, no outside link, inline SVG, light and
// dark, phone width.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/report.h"
#include "tasks/svg.h"

namespace hone {
namespace {

using svg::escape;

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1d2430;--soft:#667085;--rule:#e4e7ec;--accent:#2f6fdb;--good:#2a9d6f;--bad:#d1495b;
--s0:#2f6fdb;--s1:#e07a1f;--s2:#2a9d6f;--s3:#a251c9;--s4:#d1495b;--s5:#0f8b9d}
@media(prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1a202a;--ink:#e6e9ef;--soft:#98a2b3;--rule:#2b3340;--accent:#7aa7f7;--good:#5cc79b;--bad:#ef7d8c;
--s0:#7aa7f7;--s1:#f2a65a;--s2:#5cc79b;--s3:#c792ea;--s4:#ef7d8c;--s5:#4cc3d5}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:980px;margin:0 auto;padding:28px 18px 60px}h1{font-size:1.5rem;margin:0 0 2px}h2{font-size:1.1rem;margin:34px 0 10px}
.soft{color:var(--soft)}.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px;margin:12px 0}
.score{font-size:3rem;font-weight:650;letter-spacing:-.02em;line-height:1.1}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}
.cards .card{margin:0;padding:10px 14px}.cards b{font-size:1.25rem;display:block;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}th{font-weight:600;color:var(--soft);text-align:right;padding:5px 8px;border-bottom:1px solid var(--rule)}
td{text-align:right;padding:4px 8px;border-bottom:1px solid var(--rule)}th:first-child,td:first-child{text-align:left;overflow-wrap:break-word;min-width:8.5em}tr.sum td{color:var(--soft)}
.left td,.left th{text-align:left;vertical-align:top;overflow-wrap:anywhere}.scroll{overflow-x:auto}svg{width:100%;height:auto;display:block}.scroll svg{max-width:none}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px}.two .card{margin:0}
.tick{fill:var(--soft);font-size:11px}.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2}.diagonal{stroke:var(--soft);stroke-dasharray:5 4}
.bar{fill:var(--accent)}.right{fill:var(--good)}.wrong{fill:var(--bad)}.on{fill:#fff;font-weight:600}.frame{fill:none;stroke:var(--rule)}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)}.s5{stroke:var(--s5)}
.dot{stroke:none}.dot.s0,.swatch.s0{fill:var(--s0);background:var(--s0)}.dot.s1,.swatch.s1{fill:var(--s1);background:var(--s1)}.dot.s2,.swatch.s2{fill:var(--s2);background:var(--s2)}
.dot.s3,.swatch.s3{fill:var(--s3);background:var(--s3)}.dot.s4,.swatch.s4{fill:var(--s4);background:var(--s4)}.dot.s5,.swatch.s5{fill:var(--s5);background:var(--s5)}
.legend{margin:4px 0 0;font-size:.85rem;color:var(--soft)}.legend span{margin-right:14px}.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}
.meter{display:inline-block;height:8px;border-radius:4px;background:var(--accent);vertical-align:middle}.warn{border-left:4px solid var(--bad)}
.card p:first-child{margin-top:0}
@media(max-width:600px){main{padding:18px 10px 40px}.card{padding:10px}.wide{display:none}td,th{padding:4px 5px}table{font-size:.84rem}}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}pre{overflow-x:auto;margin:0}.gold{color:var(--good)}.pred{color:var(--bad)}
details summary{cursor:pointer;font-weight:600}
)";

std::string card(const std::string& body, const char* extra = "") {
  return fmt::format("<div class='card {}'>{}</div>", extra, body);
}

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<section><h2>{}</h2>{}</section>", escape(title), body);
}

std::string interval_text(const Report& report, const std::string& metric) {
  const auto found = report.intervals.find(metric);
  return found == report.intervals.end()
             ? ""
             : fmt::format("95 % interval {:.4f} to {:.4f}", found->second.low, found->second.high);
}

std::string head_line(const Report& report, const RunSummary& run) {
  return fmt::format(
      "<h1>{}</h1><p class='soft'>{} · {}</p><div class='card'><div class='soft'>test {}</div><div "
      "class='score'>{:.4f}</div>"
      "<div class='soft'>{}{}{} rows</div></div>",
      escape(run.title), escape(report.task), escape(run.model), escape(report.metric),
      report.score, interval_text(report, report.metric),
      report.intervals.count(report.metric) ? " · " : "", report.n);
}

std::string metric_cards(const Report& report) {
  std::string cards;
  for (const auto& [name, value] : report.metrics) {
    cards +=
        fmt::format("<div class='card' title='{}'><span class='soft'>{}</span><b>{:.4f}</b></div>",
                    interval_text(report, name), escape(name), value);
  }
  return cards.empty() ? "" : "<div class='cards'>" + cards + "</div>";
}

std::string class_row(const ClassRow& row, bool is_average) {
  return fmt::format(
      "<tr{}><td>{}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td><td class='wide' "
      "style='width:22%;text-align:left'><span class='meter' "
      "style='width:{:.0f}%'></span></td><td>{}</td></tr>",
      is_average ? " class='sum'" : "", escape(row.label), row.precision, row.recall, row.f1,
      100 * row.f1, row.support);
}

std::string class_rows(const Report& report) {
  if (report.per_class.empty()) return "";
  std::string rows;
  for (const ClassRow& row : report.per_class) rows += class_row(row, false);
  for (const ClassRow& row : report.averages) rows += class_row(row, true);
  return card(
      "<div class='scroll'><table><tr><th></th><th>precision</th><th>recall</th><th>F1</th><th "
      "class='wide'></th><th>support</th></tr>" +
      rows + "</table></div>");
}

// The off-diagonal cells with the most rows: what a reader looks for first in a large matrix.
std::string top_confusions(const Confusion& confusion) {
  std::vector<std::tuple<int64_t, size_t, size_t>> cells;
  for (size_t i = 0; i < confusion.labels.size(); ++i) {
    for (size_t j = 0; j < confusion.labels.size(); ++j) {
      if (i != j && confusion.counts[i][j] > 0) cells.emplace_back(-confusion.counts[i][j], i, j);
    }
  }
  if (cells.empty()) return "";
  std::sort(cells.begin(), cells.end());
  cells.resize(std::min<size_t>(cells.size(), 10));
  std::string rows;
  for (const auto& [count, i, j] : cells) {
    rows += fmt::format("<tr><td>{} → {}</td><td>{}</td></tr>", escape(confusion.labels[i]),
                        escape(confusion.labels[j]), -count);
  }
  return card("<table><tr><th>gold → predicted, most frequent</th><th>rows</th></tr>" + rows +
              "</table>");
}

std::string confusion_section(const Report& report) {
  if (!report.confusion || report.confusion->labels.empty()) return "";
  return card("<p class='soft'>rows: gold, columns: predicted; shade: share of the row</p>" +
              svg::heat_map(report.confusion->labels, report.confusion->counts)) +
         top_confusions(*report.confusion);
}

std::string calibration_section(const Report& report) {
  if (report.reliability.empty()) return "";
  std::vector<svg::ReliabilityBar> bars;
  for (const ReliabilityBin& bin : report.reliability)
    bars.push_back({bin.confidence, bin.accuracy, bin.count});
  return "<div class='two'>" + card(svg::reliability_chart(bars)) +
         card(
             "<p>Bars below the dashed line: the model is surer than it is right. Darker bars hold "
             "more predictions.</p>") +
         "</div>";
}

std::string curves_section(const RunSummary& run) {
  std::string out;
  for (const auto& [name, points] : run.curves) {
    svg::Line line{name, {}};
    for (const RunSummary::Point& point : points)
      line.points.emplace_back(static_cast<double>(point.step), point.value);
    const std::string chart = svg::line_chart({line}, "step");
    if (!chart.empty()) out += card(chart);
  }
  return out.empty() ? "" : "<div class='two'>" + out + "</div>";
}

std::string mistakes_section(const Report& report) {
  if (report.mistakes.empty()) return "";
  std::string rows;
  for (const Mistake& mistake : report.mistakes) {
    rows += fmt::format(
        "<tr><td><code>{}</code></td><td>{}</td><td><span class='gold'>{}</span> → <span "
        "class='pred'>{}</span></td><td>{:.3f}</td></tr>",
        escape(mistake.where.str()), escape(mistake.text), escape(mistake.gold),
        escape(mistake.predicted), mistake.confidence);
  }
  return card(
      "<div class='scroll'><table class='left'><tr><th>where</th><th>text</th><th>gold → "
      "predicted</th><th>confidence</th></tr>" +
      rows + "</table></div>");
}

std::string leaks_card(const RunSummary& run) {
  std::string out;
  for (const Leak& leak : run.leaks) {
    if (leak.exact + leak.near == 0) continue;
    std::string places;
    for (const auto& [here, there] : leak.examples)
      places += fmt::format("<br><code>{}</code> = <code>{}</code>", escape(here.str()),
                            escape(there.str()));
    out += card(fmt::format("<b>{} texts of {} also stand in {}</b> ({} more "
                            "nearly).<details><summary>places</summary>{}</details>",
                            leak.exact, escape(leak.split), escape(leak.other), leak.near, places),
                "warn");
  }
  return out;
}

std::string data_section(const RunSummary& run) {
  std::string rows, details;
  for (const auto& [name, audit] : run.data) {
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                        escape(name), audit.rows, audit.used, audit.dropped, audit.truncated);
    for (const auto& [reason, count] : audit.reasons)
      details +=
          fmt::format("<tr><td>{}: {}</td><td>{}</td></tr>", escape(name), escape(reason), count);
    for (const BadRow& bad : audit.examples)
      details += fmt::format("<tr><td><code>{}</code> {}</td><td></td></tr>",
                             escape(bad.where.str()), escape(bad.reason));
  }
  if (rows.empty()) return leaks_card(run);
  std::string out = card(
      "<table><tr><th>split</th><th>rows</th><th>used</th><th>dropped</th><th>truncated</th></tr>" +
      rows + "</table>");
  if (!details.empty())
    out += card("<details><summary>dropped and repaired rows</summary><table class='left'>" +
                details + "</table></details>");
  return leaks_card(run) + out;
}

std::string facts_table(const Json& facts) {
  if (!facts.is_object() || facts.empty()) return "";
  std::string rows;
  for (const auto& [key, value] : facts.items()) {
    const std::string shown = value.is_string()         ? value.get<std::string>()
                              : value.is_number_float() ? fmt::format("{:.6g}", value.get<double>())
                                                        : value.dump();
    rows += fmt::format("<tr><td>{}</td><td>{}</td></tr>", escape(key), escape(shown));
  }
  return card("<table>" + rows + "</table>");
}

std::string run_section(const RunSummary& run) {
  std::string out =
      "<div class='two'>" + facts_table(run.timing) + facts_table(run.environment) + "</div>";
  if (!run.command.empty()) out += card("<pre>" + escape(run.command) + "</pre>");
  if (!run.config.empty())
    out += card("<details><summary>configuration in force</summary><pre>" + escape(run.config) +
                "</pre></details>");
  return out;
}

}  // namespace

std::string report_html(const Report& report, const RunSummary& run) {
  std::string out = fmt::format(
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width,initial-scale=1'>"
      "<title>{}: {} {:.4f}</title><style>{}</style></head><body><main>",
      escape(run.title), escape(report.metric), report.score, kStyle);
  out += head_line(report, run) + metric_cards(report);
  out += section("Classes", class_rows(report));
  out += section("Confusion", confusion_section(report));
  out += section("Calibration", calibration_section(report));
  out += section("Learning curves", curves_section(run));
  out += section("Most confident mistakes", mistakes_section(report));
  out += section("Data", data_section(run));
  out += section("Run", run_section(run));
  return out + "</main></body></html>\n";
}

}  // namespace hone
