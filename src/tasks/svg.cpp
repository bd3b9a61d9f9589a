#include "tasks/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"

namespace hone::svg {
namespace {

constexpr double kWidth = 640, kHeight = 260, kLeft = 56, kRight = 12, kTop = 10, kBottom = 38;

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
  for (double tick : nice_ticks(x.low, x.high, 6)) {
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
  return fmt::format("<svg viewBox='0 0 {:.0f} {:.0f}' role='img' aria-label='{}'>", width, height,
                     escape(label));
}

// Long labels are cut by characters, never inside one.
std::string shortened(const std::string& label, size_t length) {
  const std::u32string points = from_utf8(label);
  return points.size() <= length ? label : to_utf8(points.substr(0, length - 1)) + "…";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
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
  return out + "</svg><p class='legend'>" + legend + "</p>";
}

std::string reliability_chart(const std::vector<ReliabilityBar>& bars) {
  constexpr double size = 320, left = 44, bottom = 36, top = 8;
  const Axis x{0, 1, left, size - 8}, y{0, 1, size - bottom, top};
  int64_t most = 1;
  for (const ReliabilityBar& bar : bars) most = std::max(most, bar.count);
  std::string out = open_svg(size, size, "reliability diagram") +
                    horizontal_grid(y, left, size - 8) + horizontal_ticks(x, size - bottom);
  const double width = (x.to - x.from) / std::max<size_t>(bars.size(), 1);
  for (size_t i = 0; i < bars.size(); ++i) {
    if (bars[i].count == 0) continue;
    out += fmt::format(
        "<rect class='bar' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
        "style='opacity:{:.2f}'><title>confidence {:.3f}, accuracy {:.3f}, "
        "{} predictions</title></rect>",
        x.from + i * width + 1, y.at(bars[i].accuracy), width - 2, y.at(0) - y.at(bars[i].accuracy),
        0.25 + 0.75 * std::sqrt(static_cast<double>(bars[i].count) / most), bars[i].confidence,
        bars[i].accuracy, bars[i].count);
  }
  out += fmt::format("<line class='diagonal' x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}'/>",
                     x.at(0), y.at(0), x.at(1), y.at(1));
  return out + fmt::format(
                   "<text class='tick' text-anchor='middle' x='{:.0f}' y='{:.0f}'>confidence "
                   "(bars: accuracy)</text></svg>",
                   (left + size) / 2, size - 4);
}

std::string heat_map(const std::vector<std::string>& labels,
                     const std::vector<std::vector<int64_t>>& counts) {
  const size_t n = labels.size();
  const double cell = n <= 12   ? 38
                      : n <= 30 ? 24
                                : 12,
               text = n <= 30 ? 11 : 8, left = n <= 30 ? 150 : 110;
  const double extent = left + cell * n + 4;
  std::string out = fmt::format(
      "<div class='scroll'><svg viewBox='0 0 {0:.0f} {0:.0f}' style='width:{0:.0f}px' role='img' "
      "aria-label='confusion matrix'>",
      extent);
  for (size_t i = 0; i < n; ++i) {
    int64_t total = 0;
    for (int64_t count : counts[i]) total += count;
    const std::string name = escape(shortened(labels[i], 22));
    const double middle = left + cell * (i + 0.5);
    out += fmt::format(
        "<text class='tick' font-size='{}' text-anchor='end' x='{:.1f}' y='{:.1f}'>{}</text>", text,
        left - 5, middle + text / 3, name);
    out += fmt::format(
        "<text class='tick' font-size='{0}' text-anchor='start' "
        "transform='translate({1:.1f},{2:.1f}) rotate(-90)'>{3}</text>",
        text, middle + text / 3, left - 5, name);
    for (size_t j = 0; j < n; ++j) {
      const double share = total ? static_cast<double>(counts[i][j]) / total : 0;
      if (counts[i][j] == 0) continue;
      out += fmt::format(
          "<rect class='{}' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
          "style='opacity:{:.3f}'><title>{} → {}: {}</title></rect>",
          i == j ? "right" : "wrong", left + cell * j + 1, left + cell * i + 1, cell - 2, cell - 2,
          0.12 + 0.88 * share, escape(labels[i]), escape(labels[j]), counts[i][j]);
      if (cell >= 24) {
        out += fmt::format(
            "<text class='{}' font-size='{}' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
            share > 0.5 ? "on" : "tick", text, left + cell * (j + 0.5), middle + text / 3,
            counts[i][j]);
      }
    }
  }
  out +=
      fmt::format("<rect class='frame' x='{0:.1f}' y='{0:.1f}' width='{1:.1f}' height='{1:.1f}'/>",
                  left, cell * n);
  return out + "</svg></div>";
}

}  // namespace hone::svg
