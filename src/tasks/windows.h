// A text longer than the model, cut into windows that overlap. Every token is answered for by the
// window where it has most context.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hone {

// Pieces [begin, end) of a text.
struct Window {
  int64_t begin = 0, end = 0;
  bool operator==(const Window&) const = default;
};

Encoding part_of(const Encoding& all, const Window& window);

// Of `pieces` pieces `room`, or all where they are no more, with those of `kept` as near the middle
// as the ends of the text allow. REQUIRES: room holds `kept`.
Window window_around(int64_t pieces, const Window& kept, int64_t room);

// The word of each token of one of the texts (Sequence::texts); -1 for special tokens and those of
// the other text.
std::vector<int32_t> words_of(const Sequence& sequence, int32_t text = 0);

// words[i]: the word that piece i belongs to, never falling. Each window holds at most `room`
// pieces; neighbours share up to `stride` of them; cuts stand between words (within one only where
// it alone is longer than a window). REQUIRES: room > 0.
std::vector<Window> cut_windows(const std::vector<int32_t>& words, int64_t room, int64_t stride);

// Where a word's tag stands: a place in a window; window -1 for a word without pieces.
struct Place {
  int32_t window = -1, piece = -1;
  bool operator==(const Place&) const = default;
};

// windows[w][i]: the word of piece i of window w, -1 where it is of none. For each of `words` words
// its first piece in the window where that piece is farthest from a cut (the ends of the text are
// no cuts), the earlier window where two are equally good.
std::vector<Place> answering_places(const std::vector<std::vector<int32_t>>& windows,
                                    int64_t words);

}  // namespace hone
