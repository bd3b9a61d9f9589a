#include "run/ranks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <tuple>
#include <vector>

#include "models/adapters/adalora.h"
#include "tasks/peft.h"

namespace hone {
namespace {

// A module's name around the number of its layer: "bert.encoder.layer.3.output.dense".
struct LayerPlace {
  std::string layer = "–", matrix;

  explicit LayerPlace(const std::string& module) : matrix(module) {
    for (size_t dot = module.find('.'); dot != std::string::npos; dot = module.find('.', dot + 1)) {
      const size_t end = std::min(module.find('.', dot + 1), module.size());
      const std::string part = module.substr(dot + 1, end - dot - 1);
      const bool is_number =
          !part.empty() && std::all_of(part.begin(), part.end(),
                                       [](unsigned char c) { return std::isdigit(c) != 0; });
      if (!is_number || end == module.size()) continue;
      layer = part, matrix = module.substr(end + 1);
    }
  }
};

size_t place_in(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

}  // namespace

std::optional<Section> ranks_section(const Network& network) {
  Grid grid{.note = "ranks that each layer's matrices kept; none: taken away"};
  std::vector<std::tuple<size_t, size_t, int64_t>> cells;
  for (const auto& [module, adapter] : adapters_of(network)) {
    const auto* ranked = dynamic_cast<const AdaLora*>(adapter.get());
    if (ranked == nullptr) continue;
    const LayerPlace place(module);
    const size_t column = place_in(grid.columns, place.layer),
                 row = place_in(grid.rows, place.matrix);
    cells.emplace_back(row, column, ranked->left().sum().item<int64_t>());
  }
  if (cells.empty()) return std::nullopt;
  grid.counts.assign(grid.rows.size(), std::vector<int64_t>(grid.columns.size(), -1));
  for (const auto& [row, column, ranks] : cells) grid.counts[row][column] = ranks;
  return Section{"ranks", "ranks of the adapters", std::move(grid)};
}

}  // namespace hone
