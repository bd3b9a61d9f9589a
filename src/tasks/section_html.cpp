#include "tasks/section_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <tuple>

#include "base/console.h"
#include "tasks/html.h"
#include "tasks/human.h"
#include "tasks/svg.h"

namespace hone {
namespace {

using html::card;
using html::escape;
using html::fold;
using html::scroller;

constexpr size_t kRowsShown = 20;      // of a table; more are folded
constexpr size_t kExtremes = 8;        // of the worst and of the largest rows then
constexpr size_t kMatrixShown = 30;    // labels of a matrix; of more, the most confused
constexpr size_t kExamplesShown = 20;  // more are folded

std::string head_cell(const std::string& title) {
  return "<th scope='col'>" + escape(title) + "</th>";
}

std::string number_cell(double value, bool is_count) {
  if (!std::isfinite(value)) return "<td>–</td>";
  return is_count ? "<td>" + human_count(static_cast<int64_t>(value)) + "</td>"
                  : fmt::format("<td>{:.4f}</td>", value);
}

// Tables.

std::string table_row(const ScoreTable& table, const ScoreTable::Row& row) {
  std::string out = "<tr><td>" + html::name(row.label) + "</td>";
  for (size_t i = 0; i < std::min(table.columns.size(), row.values.size()); ++i) {
    if (table.columns[i].title.empty()) continue;
    out += number_cell(row.values[i], table.columns[i].is_count);
    if (i == table.main)
      out += fmt::format(
          "<td class='wide'><span class='meter' style='width:{:.0f}%'></span></td>",
          std::isfinite(row.values[i]) ? 100 * std::clamp(row.values[i], 0.0, 1.0) : 0.0);
  }
  return out + "</tr>";
}

std::string table_html(const std::string& label, const ScoreTable& table,
                       const std::vector<ScoreTable::Row>& rows,
                       const std::vector<ScoreTable::Row>& averages) {
  std::string head = head_cell(table.one), body, foot;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].title.empty()) continue;
    head += head_cell(table.columns[i].title);
    if (i == table.main) head += "<td class='wide plain'></td>";
  }
  for (const ScoreTable::Row& row : rows) body += table_row(table, row);
  for (const ScoreTable::Row& row : averages) foot += table_row(table, row);
  return scroller(label, "<table class='" + std::string(rows.size() > 1 ? "sortable " : "") +
                             "stack'><thead><tr>" + head + "</tr></thead><tbody>" + body +
                             "</tbody><tfoot>" + foot + "</tfoot></table>");
}

// What is no number ranks last.
double rank(const ScoreTable& table, const ScoreTable::Row& row) {
  const double value = row.value(table.main);
  return std::isfinite(value) ? value : -std::numeric_limits<double>::infinity();
}

// The first few rows by an order: enough to see where the work is.
template <typename Less>
std::string extreme_rows(const char* title, const ScoreTable& table, Less less) {
  std::vector<ScoreTable::Row> rows;
  std::copy_if(table.rows.begin(), table.rows.end(), std::back_inserter(rows),
               [&](const ScoreTable::Row& row) { return row.value(table.size) > 0; });
  std::stable_sort(rows.begin(), rows.end(), less);
  if (rows.size() > kExtremes) rows.resize(kExtremes);
  std::string body;
  for (const ScoreTable::Row& row : rows) {
    body += "<tr><td class='flow'>" + html::name(row.label) + "</td>" +
            number_cell(row.value(table.main), false) + number_cell(row.value(table.size), true) +
            "</tr>";
  }
  return card(
      fmt::format("<h3>{}</h3><table><thead><tr>{}{}{}</tr></thead><tbody>{}</tbody></table>",
                  title, head_cell(table.one), head_cell(table.columns[table.main].title),
                  head_cell(table.columns[table.size].title), body));
}

std::string html_of(const ScoreTable& table, const ShortPaths&) {
  if (table.rows.empty()) return "";
  const std::string label = "scores by " + table.one;
  if (table.rows.size() <= kRowsShown)
    return card(table_html(label, table, table.rows, table.averages));
  const auto larger = [&](const ScoreTable::Row& a, const ScoreTable::Row& b) {
    return a.value(table.size) > b.value(table.size);
  };
  const auto worse = [&](const ScoreTable::Row& a, const ScoreTable::Row& b) {
    const double x = rank(table, a), y = rank(table, b);
    return x != y ? x < y : larger(a, b);
  };
  return "<div class='two'>" + extreme_rows("Worst", table, worse) +
         extreme_rows("Largest", table, larger) + "</div>" +
         card(table_html("averages", table, {}, table.averages) +
              fold(fmt::format("show all {} {}", table.rows.size(), escape(table.many)),
                   table_html(label, table, table.rows, {})));
}

// Matrices.

// The off-diagonal cells that hold most: what a reader looks for first in a large matrix.
std::string top_confusions(const Matrix& matrix) {
  std::vector<std::tuple<int64_t, size_t, size_t>> cells;
  for (size_t i = 0; i < matrix.labels.size(); ++i) {
    for (size_t j = 0; j < matrix.labels.size(); ++j) {
      if (i != j && matrix.counts[i][j] > 0) cells.emplace_back(-matrix.counts[i][j], i, j);
    }
  }
  if (cells.empty()) return "";
  std::sort(cells.begin(), cells.end());
  cells.resize(std::min<size_t>(cells.size(), 10));
  std::string rows;
  for (const auto& [count, i, j] : cells) {
    rows += fmt::format("<tr><td class='flow'>{} → {}</td><td>{}</td></tr>",
                        html::name(matrix.labels[i]), html::name(matrix.labels[j]),
                        human_count(-count));
  }
  return card("<h3>Most frequent</h3><table><thead><tr>" +
                  head_cell(matrix.row + " → " + matrix.column) + head_cell("rows") +
                  "</tr></thead><tbody>" + rows + "</tbody></table>",
              "fill");
}

// The labels that are confused most often, in their order.
Matrix most_confused(const Matrix& matrix) {
  std::vector<int64_t> wrong(matrix.labels.size());
  for (size_t i = 0; i < wrong.size(); ++i) {
    for (size_t j = 0; j < wrong.size(); ++j) {
      if (i != j) wrong[i] += matrix.counts[i][j], wrong[j] += matrix.counts[i][j];
    }
  }
  std::vector<size_t> kept(wrong.size());
  std::iota(kept.begin(), kept.end(), 0);
  std::stable_sort(kept.begin(), kept.end(),
                   [&](size_t a, size_t b) { return wrong[a] > wrong[b]; });
  kept.resize(std::min(kept.size(), kMatrixShown / 2));
  std::sort(kept.begin(), kept.end());
  Matrix part;
  for (const size_t i : kept) {
    part.labels.push_back(matrix.labels[i]);
    part.counts.emplace_back();
    for (const size_t j : kept) part.counts.back().push_back(matrix.counts[i][j]);
  }
  return part;
}

std::string heat_map(const char* label, const Matrix& matrix) {
  return scroller(label, svg::heat_map(matrix.labels, matrix.counts));
}

std::string html_of(const Matrix& all, const ShortPaths&) {
  if (all.labels.empty()) return "";
  std::string body =
      fmt::format("<p class='soft'>rows: {}, columns: {}; shade: share of the row</p>",
                  escape(all.row), escape(all.column));
  if (all.labels.size() > kMatrixShown) {
    const Matrix part = most_confused(all);
    body += fmt::format("<p class='soft'>the {} most confused of {} {}</p>", part.labels.size(),
                        all.labels.size(), escape(all.many)) +
            heat_map("confusion matrix", part) +
            fold(fmt::format("show all {} {}", all.labels.size(), escape(all.many)),
                 heat_map("whole confusion matrix", all));
  } else {
    body += heat_map("confusion matrix", all);
  }
  return "<div class='beside'>" + card(body) + top_confusions(all) + "</div>";
}

std::string html_of(const Grid& grid, const ShortPaths&) {
  if (grid.rows.empty()) return "";
  return card("<p class='soft'>" + escape(grid.note) + "</p>" +
              scroller("counts by row and column", svg::grid(grid)));
}

std::string html_of(const Curve& curve, const ShortPaths&) {
  if (curve.bins.empty()) return "";
  std::string rows;
  for (const Curve::Bin& bin : curve.bins) {
    rows += fmt::format("<tr><td>{:.3f}</td><td>{:.3f}</td><td>{}</td></tr>", bin.x, bin.y,
                        human_count(bin.count));
  }
  return "<div class='two'>" + card(svg::bar_chart(curve)) +
         card("<p>" + escape(curve.note) + "</p><table><thead><tr>" + head_cell(curve.x) +
              head_cell(curve.y) + head_cell(curve.counted) + "</tr></thead><tbody>" + rows +
              "</tbody></table>") +
         "</div>";
}

std::string html_of(const LineChart& chart, const ShortPaths&) {
  std::vector<svg::Line> lines;
  for (const LineChart::Line& line : chart.lines) lines.push_back({line.name, line.points});
  return card("<p class='soft'>" + escape(chart.note) + "</p>" +
              svg::line_chart(lines, chart.x, chart.y_low, chart.y_high));
}

std::string html_of(const ParallelLines& picture, const ShortPaths&) {
  return card("<p class='soft'>" + escape(picture.note) + "</p>" +
              scroller("values by axis", svg::parallel_lines(picture)));
}

std::string plain_head(const PlainTable& table) {
  std::string head;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const bool is_text = std::any_of(table.rows.begin(), table.rows.end(),
                                     [&](const auto& row) { return row[i].is_string(); });
    head += "<th scope='col'" + std::string(is_text ? " class='flow'>" : ">") +
            escape(table.columns[i].heading) + "</th>";
  }
  return head;
}

std::string html_of(const PlainTable& table, const ShortPaths&) {
  constexpr size_t kMostStacked = 5;  // columns; more of them scroll on a narrow screen
  if (table.rows.empty()) return "";
  std::string body;
  for (const std::vector<Json>& row : table.rows) {
    body += "<tr>";
    for (const Json& cell : row)
      body += cell.is_string() ? "<td class='flow'>" + html::name(shown_cell(cell)) + "</td>"
                               : "<td>" + shown_cell(cell) + "</td>";
    body += "</tr>";
  }
  const std::string note =
      table.note.empty() ? "" : "<p class='soft'>" + escape(table.note) + "</p>";
  const std::string kind = table.columns.size() <= kMostStacked ? " class='stack'" : "";
  return card(scroller("table", "<table" + kind + "><thead><tr>" + plain_head(table) +
                                    "</tr></thead><tbody>" + body + "</tbody></table>") +
              note);
}

// Examples.

std::string example_item(const Example& example, const Examples& all, const ShortPaths& files) {
  std::string note = "<code>" + html::name(files.place(example.where)) + "</code>";
  if (example.confidence > 0)
    note += fmt::format(" · {} <span class='number'>{:.3f}</span>", escape(all.measure),
                        example.confidence);
  return fmt::format(
      "<li>{}<div class='verdict'><span class='gold'>{}</span> → <span class='pred'>{}</span>"
      "<small>{}</small></div></li>",
      html::text(example.text), html::name(example.gold), html::name(example.predicted), note);
}

std::string html_of(const Examples& examples, const ShortPaths& files) {
  if (examples.items.empty()) return "";
  std::string first, rest;
  for (size_t i = 0; i < examples.items.size(); ++i)
    (i < kExamplesShown ? first : rest) += example_item(examples.items[i], examples, files);
  std::string out =
      "<p class='soft'>" + escape(examples.legend) + "</p><ol class='examples'>" + first + "</ol>";
  if (!rest.empty())
    out += fold(fmt::format("{} more", examples.items.size() - kExamplesShown),
                "<ol class='examples'>" + rest + "</ol>");
  return card(out);
}

// Generated texts.

// What cannot be seen is written out; lines stay lines.
std::string visible(std::string_view text) {
  std::string out;
  for (size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    if (begin > 0) out += '\n';
    out += console::printable(text.substr(begin, end - begin));
  }
  return escape(out);
}

// A text of its own direction, with its lines. One of more lines than a reader wants to pass
// scrolls by itself, with the keyboard too.
std::string lines_html(const std::string& escaped, const std::string& text, const char* classes) {
  constexpr size_t kTallText = 600;  // bytes
  constexpr int64_t kTallLines = 12;
  const bool is_tall =
      text.size() > kTallText || std::count(text.begin(), text.end(), '\n') > kTallLines;
  return fmt::format("<div class='lines {}{}' dir='auto'{}>{}</div>", classes,
                     is_tall ? " tall" : "",
                     is_tall ? " tabindex='0' role='region' aria-label='text'" : "", escaped);
}

// What only one of two texts has is marked: with the element that is read out as such.
std::string marked_text(const std::vector<TextPart>& parts, const char* element) {
  std::string out;
  for (const TextPart& part : parts)
    out += part.is_shared ? visible(part.text)
                          : fmt::format("<{0}>{1}</{0}>", element, visible(part.text));
  return out.empty() ? "<span class='soft'>(empty)</span>" : lines_html(out, whole(parts), "text");
}

std::string side_html(const std::string& title, int64_t length, const std::string& text) {
  return fmt::format("<div class='side'><small class='soft'>{} · {} {}</small>{}</div>", title,
                     human_count(length), length == 1 ? "character" : "characters", text);
}

std::string generated_item(const GeneratedText& one, const GeneratedTexts& all,
                           const ShortPaths& files) {
  const std::string note =
      fmt::format("<small class='soft'><code>{}</code> · {} <span class='number'>{}</span></small>",
                  html::name(files.place(one.where)), escape(all.measure), human_score(one.score));
  const std::string source = one.source.empty() ? ""
                                                : "<p class='source lines soft' dir='auto'>" +
                                                      visible(one.source) + "</p>";
  const std::string title = one.references == 1
                                ? "reference"
                                : "nearest of " + human_count(one.references) + " references";
  return "<li>" + note + source + "<div class='sides'>" +
         side_html(title, one.reference_length, marked_text(one.reference, "del")) +
         side_html("predicted", one.predicted_length, marked_text(one.predicted, "ins")) +
         "</div></li>";
}

std::string html_of(const GeneratedTexts& texts, const ShortPaths& files) {
  if (texts.items.empty()) return "";
  std::string first, rest;
  for (size_t i = 0; i < texts.items.size(); ++i)
    (i < kExamplesShown ? first : rest) += generated_item(texts.items[i], texts, files);
  std::string out =
      "<p class='soft'>The worst first. Marked: <del>missing</del> in what was predicted, and "
      "<ins>only</ins> there.</p><ol class='generated'>" +
      first + "</ol>";
  if (!rest.empty())
    out += fold(fmt::format("{} more", texts.items.size() - kExamplesShown),
                "<ol class='generated'>" + rest + "</ol>");
  return card(out);
}

}  // namespace

std::string section_html(const Section& section, const ShortPaths& files) {
  std::string title = section.title;
  if (!title.empty()) title[0] = static_cast<char>(std::toupper(title[0]));
  return html::section(
      title,
      std::visit([&](const auto& content) { return html_of(content, files); }, section.content));
}

}  // namespace hone
