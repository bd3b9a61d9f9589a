// Small charts as inline SVG: no script, no outside link. Colours come from the page's CSS classes,
// so light and dark both work.
#pragma once

#include <string>
#include <vector>

#include "tasks/sections.h"

namespace hone::svg {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (x, y), x ascending
};

// Charts fill their place's width; their text is drawn for a place of 340 pixels or more. A line
// chart with round tick values on both axes. Lines of one chart share the y axis; non-finite
// points are left out. `y_low`, `y_high` (where low < high) fix the range.
std::string line_chart(const std::vector<Line>& lines, const std::string& x_label, double y_low = 0,
                       double y_high = 0);

// Bars of y, each over its range of x, with the diagonal on which y is x; bars are as opaque as
// they hold samples.
std::string bar_chart(const Curve& curve);

// Gold rows, predicted columns; shade by the share of the row. Each cell has a title "gold ->
// predicted: n". As large as it needs to be read: it may be wider than its place.
std::string heat_map(const std::vector<std::string>& labels,
                     const std::vector<std::vector<int64_t>>& counts);

// Its cells, shaded by their share of the largest count. Each has a title "row, column: n".
std::string grid(const Grid& counts);

// An upright axis for each key, a line through them for each trial; the names and the ends of each
// scale above and below the lines, words beside their axis and over them. The best line is thick,
// has dots, and its values beside them. It fills its place's width, from what its names ask for on.
std::string parallel_lines(const ParallelLines& picture);

// Round values that cover [low, high] in about `count` steps of 1, 2 or 5 times a power of ten
// (Heckbert 1990, "Nice numbers for graph labels").
std::vector<double> nice_ticks(double low, double high, int count);

}  // namespace hone::svg
