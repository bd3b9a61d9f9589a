// Where a network's adapters have kept their ranks (AdaLoRA).
#pragma once

#include <optional>

#include "tasks/network.h"
#include "tasks/sections.h"

namespace hone {

// Ranks left by matrix and layer; nothing where no adapter's ranks move.
std::optional<Section> ranks_section(const Network& network);

}  // namespace hone
