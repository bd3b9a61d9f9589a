#include "tasks/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/console.h"
#include "base/utf8.h"
#include "tasks/fields.h"

namespace hone {
namespace {

constexpr size_t kExamplesPrinted = 10;
constexpr size_t kPrintedText = 200;  // code points of a generated text and of its reference

using Values = std::vector<std::pair<std::string, Json>>;

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

std::string cell_text(const ScoreTable& table, const ScoreTable::Row& row, size_t column) {
  const bool is_count = table.columns[column].is_count;
  if (column >= row.values.size() || (row.is_total && !is_count && column != table.main)) return "";
  const double value = row.values[column];
  if (!std::isfinite(value)) return "–";
  return is_count ? fmt::format("{:.0f}", value) : fmt::format("{:.4f}", value);
}

std::string row_text(const ScoreTable& table, const ScoreTable::Row& row, size_t width) {
  std::string text = right_aligned(console::printable(row.label), width) + " ";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (!table.columns[i].heading.empty()) text += " " + right_aligned(cell_text(table, row, i), 9);
  }
  return text + "\n";
}

// As scikit-learn's classification_report with digits=4, to the character.
std::string text_of(const ScoreTable& table, const std::string&) {
  if (table.rows.empty()) return "";
  size_t width = 0;
  for (const auto* rows : {&table.rows, &table.averages}) {
    for (const ScoreTable::Row& row : *rows)
      width = std::max(width, count_code_points(console::printable(row.label)));
  }
  std::string text = std::string(width, ' ') + " ";
  for (const ScoreTable::Column& column : table.columns) {
    if (!column.heading.empty()) text += " " + right_aligned(column.heading, 9);
  }
  text += "\n\n";
  for (const ScoreTable::Row& row : table.rows) text += row_text(table, row, width);
  if (!table.averages.empty()) text += "\n";
  for (const ScoreTable::Row& row : table.averages) text += row_text(table, row, width);
  return text + "\n";
}

// Texts stand at the left, numbers at the right.
std::string aligned(const std::string& text, size_t width, bool is_left) {
  const size_t length = count_code_points(text);
  const std::string blanks(length < width ? width - length : 0, ' ');
  return is_left ? text + blanks : blanks + text;
}

std::string text_of(const PlainTable& table, const std::string&) {
  if (table.rows.empty()) return "";
  std::vector<std::string> lines(table.rows.size() + 1);
  for (size_t column = 0; column < table.columns.size(); ++column) {
    const bool is_left = table.rows.front()[column].is_string();
    std::vector<std::string> cells = {table.columns[column].heading};
    for (const std::vector<Json>& row : table.rows)
      cells.push_back(console::printable(shown_cell(row[column])));
    size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, count_code_points(cell));
    for (size_t line = 0; line < lines.size(); ++line)
      lines[line] += (column == 0 ? "" : "  ") + aligned(cells[line], width, is_left);
  }
  std::string text;
  for (std::string& line : lines) text += line.erase(line.find_last_not_of(' ') + 1) + "\n";
  return table.note.empty() ? text : text + "(" + table.note + ")\n";
}

std::string text_of(const Matrix&, const std::string&) { return ""; }
std::string text_of(const Grid&, const std::string&) { return ""; }
std::string text_of(const LineChart&, const std::string&) { return ""; }
std::string text_of(const ParallelLines&, const std::string&) { return ""; }
std::string text_of(const Curve&, const std::string&) { return ""; }

std::string more_text(size_t items, const std::string& rest) {
  return items > kExamplesPrinted ? fmt::format("  … {} more {}\n", items - kExamplesPrinted, rest)
                                  : "";
}

std::string text_of(const Examples& examples, const std::string& rest) {
  if (examples.items.empty()) return "";
  const bool is_usual = examples.legend == Examples().legend;
  const char* between = is_usual ? ", predicted " : " → ";
  std::string text = is_usual ? "" : "  (" + examples.legend + ")\n";
  for (size_t i = 0; i < std::min(kExamplesPrinted, examples.items.size()); ++i) {
    const Example& e = examples.items[i];
    const std::string confidence = e.confidence > 0 ? fmt::format(" ({:.3f})", e.confidence)
                                                    : "";  // predictions without scores have none
    text += console::printable(fmt::format("  {}: {}{}{}{}: {}", e.where.str(), e.gold, between,
                                           e.predicted, confidence, e.text)) +
            "\n";
  }
  return text + more_text(examples.items.size(), rest);
}

std::string text_of(const GeneratedTexts& texts, const std::string& rest) {
  std::string text;
  for (size_t i = 0; i < std::min(kExamplesPrinted, texts.items.size()); ++i) {
    const GeneratedText& one = texts.items[i];
    for (const std::string& line :
         {fmt::format("  {}: {} {:.4f}", one.where.str(), texts.measure, one.score),
          "    reference: " + shortened(whole(one.reference), kPrintedText),
          "    predicted: " + shortened(whole(one.predicted), kPrintedText)})
      text += console::printable(line) + "\n";
  }
  return text + more_text(texts.items.size(), rest);
}

Json row_json(const ScoreTable& table, const ScoreTable::Row& row) {
  Json json = {{"label", row.label}};
  for (size_t i = 0; i < std::min(row.values.size(), table.columns.size()); ++i) {
    const bool is_whole = table.columns[i].is_count && std::isfinite(row.values[i]);
    json[table.columns[i].key] =
        is_whole ? Json(static_cast<int64_t>(row.values[i])) : finite(row.values[i]);
  }
  return json;
}

Values values_of(const std::string& key, const ScoreTable& table) {
  const auto rows_json = [&](const std::vector<ScoreTable::Row>& rows) {
    return list_json(rows, [&](const ScoreTable::Row& row) { return row_json(table, row); });
  };
  Values values = {{key, rows_json(table.rows)}};
  if (!table.averages_key.empty())
    values.emplace_back(table.averages_key, rows_json(table.averages));
  return values;
}

Values values_of(const std::string& key, const Matrix& matrix) {
  return {{key, {{"labels", matrix.labels}, {"counts", matrix.counts}}}};
}

Values values_of(const std::string& key, const Grid& grid) {
  Json counts = Json::array();
  for (const std::vector<int64_t>& row : grid.counts)
    counts.push_back(
        list_json(row, [](int64_t count) { return count < 0 ? Json(nullptr) : Json(count); }));
  return {{key, {{"rows", grid.rows}, {"columns", grid.columns}, {"counts", counts}}}};
}

Values values_of(const std::string& key, const Curve& curve) {
  return {{key, list_json(curve.bins, [&](const Curve::Bin& bin) -> Json {
             return {{curve.x, finite(bin.x)},
                     {curve.y, finite(bin.y)},
                     {"count", bin.count},
                     {"low", bin.low},
                     {"high", bin.high}};
           })}};
}

Values values_of(const std::string& key, const LineChart& chart) {
  Json lines = Json::object();
  for (const LineChart::Line& line : chart.lines) {
    Json& points = lines[line.name] = Json::array();
    for (const auto& [x, y] : line.points) points.push_back({finite(x), finite(y)});
  }
  return {{key, Json{{"x", chart.x}, {"lines", lines}}}};
}

Json place_json(const ParallelLines::Axis& axis, double value) {
  return axis.words.empty() ? finite(value) : Json(axis.words.at(static_cast<size_t>(value)));
}

Values values_of(const std::string& key, const ParallelLines& picture) {
  Json axes = Json::array(), lines = Json::object();
  for (const ParallelLines::Axis& axis : picture.axes) axes.push_back(axis.name);
  for (const ParallelLines::Line& line : picture.lines) {
    Json& values = lines[line.name] = Json::array();
    for (size_t i = 0; i < line.values.size(); ++i)
      values.push_back(place_json(picture.axes[i], line.values[i]));
  }
  return {{key, Json{{"axes", axes}, {"lines", lines}}}};
}

Values values_of(const std::string& key, const PlainTable& table) {
  return {{key, list_json(table.rows, [&](const std::vector<Json>& row) {
             Json values = Json::object();
             for (size_t i = 0; i < row.size(); ++i) values[table.columns[i].key] = row[i];
             return values;
           })}};
}

Json example_json(const Example& e) {
  Json json = {{"file", e.where.file}, {"line", e.where.line},     {"text", e.text},
               {"gold", e.gold},       {"predicted", e.predicted}, {"confidence", e.confidence}};
  if (e.where.column > 0) json["column"] = e.where.column;
  return json;
}

Values values_of(const std::string& key, const Examples& examples) {
  return {{key, list_json(examples.items, example_json)}, {examples.measure_key, examples.measure}};
}

Json generated_json(const GeneratedText& one) {
  Json json = {{"file", one.where.file},
               {"line", one.where.line},
               {"source", one.source},
               {"reference", whole(one.reference)},
               {"predicted", whole(one.predicted)},
               {"references", one.references},
               {"reference_characters", one.reference_length},
               {"predicted_characters", one.predicted_length},
               {"score", finite(one.score)}};
  if (one.where.column > 0) json["column"] = one.where.column;
  return json;
}

Values values_of(const std::string& key, const GeneratedTexts& texts) {
  return {{key, list_json(texts.items, generated_json)}, {texts.measure_key, texts.measure}};
}

}  // namespace

std::string shown_cell(const Json& cell) {
  if (cell.is_null()) return "–";
  if (cell.is_string()) return cell.get<std::string>();
  return cell.is_number_float() ? fmt::format("{:.4f}", cell.get<double>()) : cell.dump();
}

std::string whole(const std::vector<TextPart>& parts) {
  std::string text;
  for (const TextPart& part : parts) text += part.text;
  return text;
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string section_text(const Section& section, const std::string& rest) {
  const std::string text =
      std::visit([&](const auto& content) { return text_of(content, rest); }, section.content);
  const bool has_title = !std::holds_alternative<ScoreTable>(section.content) && !text.empty();
  return has_title ? "\n" + console::printable(section.title) + "\n" + text : text;
}

std::vector<std::pair<std::string, Json>> section_json(const Section& section) {
  return std::visit([&](const auto& content) { return values_of(section.key, content); },
                    section.content);
}

}  // namespace hone
