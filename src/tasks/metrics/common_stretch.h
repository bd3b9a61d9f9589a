// The longest stretch that two texts have in common.
#pragma once

#include <cstdint>
#include <span>

namespace hone::metrics {

// Its tokens: of token numbers that stand in a row in both. Time grows with the sum of both
// lengths, memory with the shorter one (a suffix automaton: Blumer et al. 1985).
int64_t longest_common_stretch(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace hone::metrics
