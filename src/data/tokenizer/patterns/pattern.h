// Regular expressions of tokenizer files ("Split", "Replace"), matched in one pass that never goes
// back: a deterministic automaton over classes of characters, built whole when the file is loaded.
// What a match is follows Oniguruma, the reference's engine: the first alternative that fits, as
// long (or, with ?, as short) as its quantifiers let it be. syntax.h says what is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "data/tokenizer/code_point_table.h"
#include "data/tokenizer/json_node.h"

namespace hone {

class Pattern {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  // Of the string `node`. Error(kModel) there for what is wrong, not supported, or needs an
  // automaton out of all proportion.
  explicit Pattern(const JsonNode& node);

  // Where the match that begins at byte `at` ends; kNone where none begins there. Each character is
  // read once, and no further than is needed to know. Thread-safe.
  size_t match(std::string_view text, size_t at) const;

 private:
  // steps_[state + class]: the next state, and in the lowest bit whether a match ends before this
  // character. A state is the place of its first step, doubled; 0 is where nothing can follow. The
  // last class is the end of the text.
  std::vector<uint32_t> steps_;
  uint32_t start_ = 0, end_of_text_ = 0;
  std::array<uint8_t, 128> ascii_{};
  std::shared_ptr<const CodePointTable<uint8_t>> classes_;
};

inline size_t Pattern::match(std::string_view text, size_t at) const {
  size_t end = kNone;
  uint32_t state = start_;
  while (at < text.size()) {
    const size_t before = at;
    const auto byte = static_cast<unsigned char>(text[at]);
    const uint32_t kind =
        byte < 0x80 ? (++at, ascii_[byte]) : (*classes_)[next_code_point(text, at)];
    const uint32_t step = steps_[(state >> 1) + kind];
    if (step & 1) end = before;
    state = step & ~1U;
    if (state == 0) return end;
  }
  return (steps_[(state >> 1) + end_of_text_] & 1) != 0 ? at : end;
}

}  // namespace hone
