// The sentences of a source that tell most of a reference: what a summary that only copies
// sentences could be at best.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hone::metrics {

// Which of `sentences` (words by number) are chosen, at most `most`, ascending: one after the other
// that which adds most to the mean of the F1 of words and of pairs of words, of the reference that
// gives the best, as long as one adds anything (greedily, as Nallapati et al. 2017,
// https://arxiv.org/abs/1611.04230). Of equal ones the first.
std::vector<size_t> oracle(const std::vector<std::vector<int32_t>>& sentences,
                           const std::vector<std::vector<int32_t>>& references, int64_t most);

}  // namespace hone::metrics
