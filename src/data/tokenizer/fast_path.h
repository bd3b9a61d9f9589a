// A fast path over one text, which may find that the text is not for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "data/tokenizer/tokenizer.h"

namespace hone {

// What `run` adds to `out`, and the number of the next word. False where the text is not for it:
// `out` and `word` are then as they were.
template <typename Run>
bool run_or_undo(Run&& run, int32_t& word, Encoding& out) {
  const size_t before = out.ids.size();
  if (!run.run()) {
    out.ids.resize(before);
    out.offsets.resize(before);
    out.words.resize(before);
    return false;
  }
  word = run.word();
  return true;
}

}  // namespace hone
