// Several adapters of one base model as one plain model: what each changes of the model's weights
// is put together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hone {

struct AdapterShare {
  std::string folder;
  double weight = 1;
};

// By the names and rules of peft.utils.merge_utils, on the whole change of a weight, so that ranks,
// targets and methods may differ.
struct Combination {
  // linear: the weighted sum. ties: of each change the `density` largest numbers, of these the ones
  // whose sign is that of their sum, their weighted mean (Yadav et al. 2023,
  // https://arxiv.org/abs/2306.01708). dare_linear, dare_ties: of each change a random share
  // `density`, divided by it, then as linear or as ties (Yu et al. 2023,
  // https://arxiv.org/abs/2311.03099).
  std::string name = "linear";
  double density = 0.5;
  uint64_t seed = 42;
};

// Writes the model into the new folder `out`, with the task that all of them were trained for; what
// is trained in full (the head) becomes its weighted mean. Folders are hone's own. Error(kUsage)
// where `out` is there already, where an adapter cannot be merged, or the tasks or labels differ;
// Error(kModel) for adapters of different base models.
void combine_adapters(const std::vector<AdapterShare>& shares, const Combination& combination,
                      const std::string& out);

}  // namespace hone
