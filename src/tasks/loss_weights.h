// Weights of a task's losses, where it has several.
#pragma once

#include <initializer_list>
#include <utility>

#include "base/config.h"

namespace hone {

// Puts what the section says of each key into its place; what it does not name stays. Error(kUsage)
// at the key unless all are more than 0 and finite.
void read_loss_weights(Config& section,
                       std::initializer_list<std::pair<const char*, double*>> weights);

}  // namespace hone
