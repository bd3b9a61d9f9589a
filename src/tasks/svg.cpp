#include "tasks/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/utf8.h"
#include "tasks/html.h"

namespace hone::svg {
namespace {

using html::escape;

constexpr double kWidth = 340, kHeight = 220, kLeft = 58, kRight = 14, kTop = 10, kBottom = 40;

struct Axis {
  double low, high, from, to;  // values low..high lie at pixels from..to
  double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

Axis widened(double low, double high, double from, double to) {
  if (!(low < high)) {
    const double margin = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= margin;
    high += margin;
  }
  return {low, high, from, to};
}

std::string horizontal_grid(const Axis& y, double left, double right) {
  std::string out;
  for (double tick : nice_ticks(y.low, y.high, 5)) {
    if (tick < y.low - 1e-12 || tick > y.high + 1e-12) continue;
    out += fmt::format("<line class='grid' x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}'/>", left,
                       right, y.at(tick), y.at(tick));
    out += fmt::format("<text class='tick' text-anchor='end' x='{:.1f}' y='{:.1f}'>{:g}</text>",
                       left - 6, y.at(tick) + 4, tick);
  }
  return out;
}

std::string horizontal_ticks(const Axis& x, double baseline) {
  std::string out;
  for (double tick : nice_ticks(x.low, x.high, 4)) {
    if (tick < x.low - 1e-12 || tick > x.high + 1e-12) continue;
    out += fmt::format("<text class='tick' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{:g}</text>",
                       x.at(tick), baseline + 15, tick);
  }
  return out;
}

std::string path_of(const Line& line, const Axis& x, const Axis& y, size_t index) {
  std::string d;
  for (const auto& [px, py] : line.points) {
    if (!std::isfinite(px) || !std::isfinite(py)) continue;
    d += fmt::format("{}{:.1f},{:.1f}", d.empty() ? "M" : "L", x.at(px), y.at(py));
  }
  std::string out = fmt::format("<path class='line s{}' d='{}'/>", index % 6, d);
  if (line.points.size() > 60) return out;
  for (const auto& [px, py] : line.points) {
    if (!std::isfinite(px) || !std::isfinite(py)) continue;
    out += fmt::format(
        "<circle class='dot s{}' cx='{:.1f}' cy='{:.1f}' r='3'><title>{} {:g}: "
        "{:.6g}</title></circle>",
        index % 6, x.at(px), y.at(py), escape(line.name), px, py);
  }
  return out;
}

std::string open_svg(double width, double height, const std::string& label) {
  return fmt::format("<svg class='chart' viewBox='0 0 {:.0f} {:.0f}' role='img' aria-label='{}'>",
                     width, height, escape(label));
}

// Roughly, of text in 12 pixels: Chinese, Japanese and Korean characters are twice as wide.
double text_width(char32_t point) { return point >= 0x1100 ? 12.5 : 6.9; }

double text_width(const std::string& label) {
  double width = 0;
  for (const char32_t point : from_utf8(label)) width += text_width(point);
  return width;
}

// Long labels are cut by characters, never inside one.
std::string fitted(const std::string& label, double width) {
  if (text_width(label) <= width) return label;
  std::u32string kept;
  double used = text_width(U'…');
  for (const char32_t point : from_utf8(label)) {
    if ((used += text_width(point)) > width) break;
    kept += point;
  }
  return to_utf8(kept) + "…";
}

// A count in a cell that has room for few digits.
std::string count_in(double width, int64_t count) {
  const std::string digits = std::to_string(count);
  if (text_width(digits) <= width - 4) return digits;
  const std::string thousands = count < 1000 ? "" : fmt::format("{}k", count / 1000);
  return text_width(thousands) <= width - 2 ? thousands : "";
}

// A confusion matrix in the making: where its cells are and how large.
struct HeatMap {
  double cell, left;

  explicit HeatMap(const std::vector<std::string>& labels) {
    const size_t n = labels.size();
    cell = n <= 4 ? 64 : n <= 14 ? 40 : n <= 30 ? 26 : 15;
    left = 40;
    for (const std::string& label : labels)
      left = std::max(left, std::min(kLongestLabel, text_width(label)) + 10);
  }

  double at(size_t index) const { return left + cell * static_cast<double>(index); }

  std::string names(const std::string& label, size_t index) const {
    const double baseline = at(index) + cell / 2 + 4;
    const std::string shown = escape(fitted(label, left - 10)), full = escape(label);
    return fmt::format(
        "<text class='tick' text-anchor='end' x='{0:.1f}' y='{1:.1f}'>{2}<title>{3}</title></text>"
        "<text class='tick' transform='translate({1:.1f},{0:.1f}) rotate(-90)'>{2}"
        "<title>{3}</title></text>",
        left - 6, baseline, shown, full);
  }

  // Shades stay light enough for the ink of the page in front of them.
  std::string count(size_t row, size_t column, int64_t count, int64_t total,
                    const std::string& title) const {
    const double shade = 0.1 + 0.35 * static_cast<double>(count) / static_cast<double>(total);
    std::string out = fmt::format(
        "<rect class='{}' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
        "style='opacity:{:.3f}'><title>{}</title></rect>",
        row == column ? "right" : "wrong", at(column) + 1, at(row) + 1, cell - 2, cell - 2, shade,
        title);
    if (const std::string text = count_in(cell, count); !text.empty() && cell > 20) {
      out += fmt::format("<text class='cell' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
                         at(column) + cell / 2, at(row) + cell / 2 + 4, text);
    }
    return out;
  }

  static constexpr double kLongestLabel = 150;
};

std::string grid_cell(const Grid& grid, size_t row, size_t column, int64_t most, double x, double y,
                      double cell) {
  const int64_t count = grid.counts[row][column];
  if (count < 0) return "";
  return fmt::format(
      "<rect class='bar' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
      "style='opacity:{:.3f}'><title>{}, {}: {}</title></rect>"
      "<text class='cell' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
      x + 1, y + 1, cell - 2, cell - 2,
      0.05 + 0.4 * static_cast<double>(count) / static_cast<double>(most), escape(grid.rows[row]),
      escape(grid.columns[column]), count, x + cell / 2, y + cell / 2 + 4, count_in(cell, count));
}

// "train.learning_rate" in two lines: the section, and the name.
std::vector<std::string> name_lines(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name};
  return {name.substr(0, dot + 1), name.substr(dot + 1)};
}

// An upright scale of a picture with several. Across, places are shares of the picture's width, so
// that it fills any page with text of one size; upright they are pixels.
class UprightAxis {
 public:
  UprightAxis(const ParallelLines& picture, size_t index) : axis_(picture.axes[index]) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const ParallelLines::Line& line : picture.lines) {
      low = std::min(low, line.values[index]);
      high = std::max(high, line.values[index]);
    }
    if (!axis_.words.empty()) low = 0, high = static_cast<double>(axis_.words.size()) - 1;
    scale_ = widened(scaled(low), scaled(high), kBottom, kTop);
    low_ = low, high_ = high;
    for (const std::string& line : name_lines(axis_.name))
      width_ = std::clamp(text_width(line) + kGap, width_, kWidest);
  }

  double width() const { return width_; }  // pixels that its name asks for
  // `left`: where its column begins; `all`: of the columns together.
  void place(double left, double all) { x_ = 100 * (left + width_ / 2) / all; }
  double x() const { return x_; }  // per cent
  double y(double value) const { return scale_.at(scaled(value)); }

  // `best`: a value to set off; `room`: pixels between it and the next axis.
  std::string drawn(std::optional<double> best, double room) const {
    return fmt::format("<line class='axis' x1='{0:.2f}%' x2='{0:.2f}%' y1='{1:.0f}' y2='{2:.0f}'/>",
                       x_, kTop, kBottom) +
           heading() + (axis_.words.empty() ? ends() : words(best, room)) +
           (best ? mark(*best) : "");
  }

  static constexpr double kTop = 58, kBottom = 248, kHeight = 276;

 private:
  static constexpr double kNarrowest = 100, kWidest = 200, kGap = 16, kLine = 14;

  double scaled(double value) const { return axis_.is_log ? std::log(value) : value; }
  static std::string number_text(double value) { return fmt::format("{:.4g}", value); }

  std::string text(double y, const std::string& label, const char* classes) const {
    return fmt::format("<text class='{}' text-anchor='middle' x='{:.2f}%' y='{:.1f}'>{}</text>",
                       classes, x_, y, label);
  }
  // Over whatever line passes there.
  std::string text_beside(double value, const std::string& label, bool is_strong) const {
    return fmt::format("<text class='tick over{}' x='{:.2f}%' dx='11' y='{:.1f}'>{}</text>",
                       is_strong ? " strong" : "", x_, y(value) + 4, label);
  }
  static std::string cut(const std::string& label, double width) {
    const std::string shown = fitted(label, width);
    return escape(shown) + (shown == label ? "" : "<title>" + escape(label) + "</title>");
  }

  std::string heading() const {
    const std::vector<std::string> lines = name_lines(axis_.name);
    std::string out;
    for (size_t i = 0; i < lines.size(); ++i) {
      const bool is_last = i + 1 == lines.size();
      out += text(is_last ? 2 * kLine : kLine, cut(lines[i], width_ - kGap / 2),
                  is_last ? "tick strong" : "tick");
    }
    return out;
  }

  // Outside of the lines.
  std::string ends() const {
    if (!(low_ < high_)) return "";
    return text(kTop - 13, number_text(high_), "tick") +
           text(kBottom + 20, number_text(low_), "tick");
  }
  std::string words(std::optional<double> best, double room) const {
    std::string out;
    for (size_t i = 0; i < axis_.words.size(); ++i) {
      const auto value = static_cast<double>(i);
      out += text_beside(value, cut(axis_.words[i], room - 2 * kGap), best == value);
    }
    return out;
  }
  std::string mark(double value) const {
    return fmt::format("<circle class='dot s1' cx='{:.2f}%' cy='{:.1f}' r='5.5'/>", x_, y(value)) +
           (axis_.words.empty() ? text_beside(value, number_text(value), true) : "");
  }

  const ParallelLines::Axis& axis_;
  double width_ = kNarrowest, x_ = 0, low_ = 0, high_ = 0;
  Axis scale_{};
};

double width_of(const std::vector<UprightAxis>& axes) {
  double all = 0;
  for (const UprightAxis& axis : axes) all += axis.width();
  return all;
}

std::vector<UprightAxis> upright_axes(const ParallelLines& picture) {
  std::vector<UprightAxis> axes;
  for (size_t i = 0; i < picture.axes.size(); ++i) axes.emplace_back(picture, i);
  const double all = width_of(axes);
  double left = 0;
  for (UprightAxis& axis : axes) {
    axis.place(left, all);
    left += axis.width();
  }
  return axes;
}

std::string trial_line(const ParallelLines::Line& line, const std::vector<UprightAxis>& axes) {
  std::string out = fmt::format("<g class='line {}' style='opacity:{:.2f}'><title>{}</title>",
                                line.is_best ? "best s1" : "s0",
                                line.is_best ? 1 : 0.15 + 0.6 * line.weight, escape(line.name));
  for (size_t i = 0; i + 1 < axes.size(); ++i)
    out +=
        fmt::format("<line x1='{:.2f}%' y1='{:.1f}' x2='{:.2f}%' y2='{:.1f}'/>", axes[i].x(),
                    axes[i].y(line.values[i]), axes[i + 1].x(), axes[i + 1].y(line.values[i + 1]));
  return out + "</g>";
}

}  // namespace

std::string parallel_lines(const ParallelLines& picture) {
  const std::vector<UprightAxis> axes = upright_axes(picture);
  const ParallelLines::Line* best = nullptr;
  std::string out = fmt::format(
      "<svg class='parallel' style='min-width:{:.0f}px' height='{:.0f}' role='img' "
      "aria-label='values of each trial'>",
      width_of(axes), UprightAxis::kHeight);
  for (const ParallelLines::Line& line : picture.lines) {
    out += trial_line(line, axes);
    if (line.is_best) best = &line;
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    const double next = i + 1 < axes.size() ? axes[i + 1].width() : 0;
    out += axes[i].drawn(best == nullptr ? std::nullopt : std::optional(best->values[i]),
                         (axes[i].width() + next) / 2);
  }
  return out + "</svg>";
}

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high)) return {low};
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw))),
               fraction = raw / power;
  const double step = power * (fraction < 1.5 ? 1 : fraction < 3.5 ? 2 : fraction < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::floor(low / step); k * step <= high + step * 0.5; ++k)
    ticks.push_back(k * step == 0 ? 0 : k * step);
  return ticks;
}

std::string line_chart(const std::vector<Line>& lines, const std::string& x_label, double y_low,
                       double y_high) {
  double x0 = std::numeric_limits<double>::infinity(), x1 = -x0, y0 = x0, y1 = -x0;
  for (const Line& line : lines) {
    for (const auto& [px, py] : line.points) {
      if (!std::isfinite(px) || !std::isfinite(py)) continue;
      x0 = std::min(x0, px), x1 = std::max(x1, px), y0 = std::min(y0, py), y1 = std::max(y1, py);
    }
  }
  if (!std::isfinite(x0)) return "";
  if (y_low < y_high) y0 = y_low, y1 = y_high;
  const Axis x = widened(x0, x1, kLeft, kWidth - kRight),
             y = widened(y0, y1, kHeight - kBottom, kTop);
  std::string out = open_svg(kWidth, kHeight, "line chart over " + x_label), legend;
  out += horizontal_grid(y, kLeft, kWidth - kRight) + horizontal_ticks(x, kHeight - kBottom);
  out += fmt::format("<text class='tick' text-anchor='middle' x='{:.0f}' y='{:.0f}'>{}</text>",
                     (kLeft + kWidth) / 2, kHeight - 5, escape(x_label));
  for (size_t i = 0; i < lines.size(); ++i) {
    out += path_of(lines[i], x, y, i);
    legend +=
        fmt::format("<span><i class='swatch s{}'></i>{}</span>", i % 6, escape(lines[i].name));
  }
  return out + "</svg>" + (lines.size() > 1 ? "<p class='legend'>" + legend + "</p>" : "");
}

std::string bar_chart(const Curve& curve) {
  constexpr double size = 320, left = 44, bottom = 40, top = 8;
  const Axis x{0, 1, left, size - 10}, y{0, 1, size - bottom, top};
  int64_t most = 1;
  for (const Curve::Bin& bin : curve.bins) most = std::max(most, bin.count);
  std::string out = open_svg(size, size, curve.y + " over " + curve.x) +
                    horizontal_grid(y, left, size - 10) + horizontal_ticks(x, size - bottom);
  for (const Curve::Bin& bin : curve.bins) {
    if (!std::isfinite(bin.y)) continue;
    out += fmt::format(
        "<rect class='bar' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
        "style='opacity:{:.2f}'><title>{} {:.3f}, {} {:.3f}, {} {}</title></rect>",
        x.at(bin.low) + 1, y.at(bin.y), x.at(bin.high) - x.at(bin.low) - 2, y.at(0) - y.at(bin.y),
        0.25 + 0.75 * std::sqrt(static_cast<double>(bin.count) / static_cast<double>(most)),
        escape(curve.x), bin.x, escape(curve.y), bin.y, bin.count, escape(curve.counted));
  }
  out += fmt::format("<line class='diagonal' x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}'/>",
                     x.at(0), y.at(0), x.at(1), y.at(1));
  return out + fmt::format(
                   "<text class='tick' text-anchor='middle' x='{:.0f}' y='{:.0f}'>{} "
                   "(bars: {})</text></svg>",
                   (left + size) / 2, size - 6, escape(curve.x), escape(curve.y));
}

std::string heat_map(const std::vector<std::string>& labels,
                     const std::vector<std::vector<int64_t>>& counts) {
  const HeatMap map(labels);
  const double inner = map.cell * static_cast<double>(labels.size()), extent = map.left + inner + 2;
  std::string out = fmt::format(
      "<svg width='{0:.0f}' height='{0:.0f}' role='img' aria-label='confusion matrix'>", extent);
  for (size_t i = 0; i < labels.size(); ++i) {
    int64_t total = 0;
    for (const int64_t count : counts[i]) total += count;
    out += map.names(labels[i], i);
    for (size_t j = 0; j < labels.size(); ++j) {
      if (counts[i][j] == 0) continue;
      out +=
          map.count(i, j, counts[i][j], total,
                    fmt::format("{} → {}: {}", escape(labels[i]), escape(labels[j]), counts[i][j]));
    }
  }
  return out +
         fmt::format(
             "<rect class='frame' x='{0:.1f}' y='{0:.1f}' width='{1:.1f}' height='{1:.1f}'/></svg>",
             map.left, inner);
}

std::string grid(const Grid& counts) {
  constexpr double cell = 30, top = 26;
  double left = 40;
  int64_t most = 1;
  for (const std::string& row : counts.rows)
    left = std::max(left, std::min(HeatMap::kLongestLabel, text_width(row)) + 10);
  for (const std::vector<int64_t>& row : counts.counts)
    for (const int64_t count : row) most = std::max(most, count);
  const double width = left + cell * static_cast<double>(counts.columns.size()) + 2,
               height = top + cell * static_cast<double>(counts.rows.size()) + 2;
  std::string out = fmt::format(
      "<svg width='{:.0f}' height='{:.0f}' role='img' aria-label='counts'>", width, height);
  for (size_t j = 0; j < counts.columns.size(); ++j)
    out += fmt::format("<text class='tick' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
                       left + cell * (static_cast<double>(j) + 0.5), top - 8,
                       escape(counts.columns[j]));
  for (size_t i = 0; i < counts.rows.size(); ++i) {
    const double y = top + cell * static_cast<double>(i);
    out += fmt::format(
        "<text class='tick' text-anchor='end' x='{:.1f}' y='{:.1f}'>{}<title>{}</title></text>",
        left - 6, y + cell / 2 + 4, escape(fitted(counts.rows[i], left - 10)),
        escape(counts.rows[i]));
    for (size_t j = 0; j < counts.columns.size(); ++j)
      out += grid_cell(counts, i, j, most, left + cell * static_cast<double>(j), y, cell);
  }
  return out + "</svg>";
}

}  // namespace hone::svg
