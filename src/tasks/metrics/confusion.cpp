#include "tasks/metrics/confusion.h"

#include <algorithm>
#include <numeric>

namespace hone::metrics {
namespace {

// The labels that the table shows, in order.
std::vector<size_t> shown_labels(size_t labels, const ConfusionCells& cells) {
  std::vector<size_t> shown(labels);
  std::iota(shown.begin(), shown.end(), size_t{0});
  if (labels <= kTableLabels) return shown;
  std::vector<int64_t> mistakes(labels);
  for (const auto& [cell, count] : cells) {
    if (cell.first == cell.second) continue;
    mistakes[cell.first] += count;
    mistakes[cell.second] += count;
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [&](size_t a, size_t b) { return mistakes[a] > mistakes[b]; });
  shown.resize(kTableLabels - 1);
  std::sort(shown.begin(), shown.end());
  return shown;
}

}  // namespace

Matrix confusion_table(const std::vector<std::string>& labels, const ConfusionCells& cells) {
  const std::vector<size_t> shown = shown_labels(labels.size(), cells);
  Matrix table{.labels = {}, .counts = {}, .row = "gold", .column = "predicted", .many = "classes"};
  std::vector<size_t> place(labels.size(), shown.size());
  for (const size_t label : shown) {
    place[label] = table.labels.size();
    table.labels.push_back(labels[label]);
  }
  if (shown.size() < labels.size()) table.labels.emplace_back(kOtherLabels);
  table.counts.assign(table.labels.size(), std::vector<int64_t>(table.labels.size(), 0));
  for (const auto& [cell, count] : cells)
    table.counts[place[cell.first]][place[cell.second]] += count;
  return table;
}

}  // namespace hone::metrics
