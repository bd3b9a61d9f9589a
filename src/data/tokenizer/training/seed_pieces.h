// What a unigram model begins with: the parts that stand in the words more than once, and all
// characters.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/training/word_counts.h"

namespace hone {

// Characters with how often they stand in the corpus, the most frequent first, then parts of two to
// `most_length` characters with how often they stand in different words, times their length, in
// falling order: at most `most` in all. Of parts that only ever stand in the same longer one, the
// longer one alone (the inner nodes of a suffix tree, as SentencePiece takes them).
std::vector<std::pair<std::string, int64_t>> seed_pieces(const WordCounts& words,
                                                         int64_t most_length, size_t most);

}  // namespace hone
