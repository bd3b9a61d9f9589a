#include "tasks/loss_weights.h"

#include <fmt/format.h>

#include <cmath>

namespace hone {

void read_loss_weights(Config& section,
                       std::initializer_list<std::pair<const char*, double*>> weights) {
  for (const auto& [key, weight] : weights) {
    *weight = section.get(key, *weight);
    if (!(*weight > 0) || std::isinf(*weight))
      throw section.error(key,
                          fmt::format("\"{}\" is {}; it must be more than 0: a head that nothing "
                                      "teaches would answer all the same",
                                      key, *weight));
  }
}

}  // namespace hone
