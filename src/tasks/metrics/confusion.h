// Confusions of any number of labels: counted where there are some, shown as a table of bounded
// size, its rows gold and its columns predicted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tasks/report.h"

namespace hone::metrics {

using ConfusionCells = std::map<std::pair<int64_t, int64_t>, int64_t>;  // (gold, predicted) -> n

constexpr size_t kTableLabels = 1000;
constexpr const char* kOtherLabels = "(other labels)";

// A table of all labels, in their order. Of more than kTableLabels it has those that are most often
// part of a mistake, and one row and column for all others together. Cells hold indices of labels.
Matrix confusion_table(const std::vector<std::string>& labels, const ConfusionCells& cells);

}  // namespace hone::metrics
