// SentencePiece's precompiled normaliser table ("precompiled_charsmap"): texts of a few characters
// and what each becomes, as a double array in the layout of darts-clone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/tokenizer/normalized_text.h"

namespace hone {

class Charsmap {
 public:
  // Error(kModel) at `where` for a table that is cut short or points outside of itself.
  Charsmap(std::string_view bytes, const Where& where);

  // What the shortest key that `text` begins with becomes; nothing where there is none.
  std::optional<std::string_view> find(std::string_view text) const;

  // As the reference does it: a grapheme of less than six bytes whole, by the shortest key that it
  // begins with (what follows the key is dropped), else character by character. Where what the text
  // begins with is removed, offsets after it are early by as much, as there.
  void apply(NormalizedText& text) const;
  // As SentencePiece itself does it: at each place the longest key, whatever graphemes there are.
  void apply_longest(NormalizedText& text) const;

 private:
  std::vector<uint32_t> units_;
  std::string texts_;  // each ended by a zero byte

  struct Key {
    size_t size;  // bytes
    std::string_view becomes;
  };
  std::optional<Key> longest_key(std::string_view text) const;
  uint32_t child(uint32_t base, unsigned char byte) const;
  void check(const Where& where) const;
};

}  // namespace hone
