// Places in a text as other programs count them: characters, UTF-16 units (JavaScript, Java),
// bytes, or characters with a CR LF as one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

enum class TextUnit { kCharacters, kOneForCrLf, kUtf16, kBytes };

// Units to bytes and back, for one text, which must outlive it. It takes a few bytes for each 256
// of the text's units, so that a text of the longest row stays cheap.
class TextUnits {
 public:
  TextUnits(std::string_view text, TextUnit unit);
  int64_t count() const { return count_; }
  // Where a unit begins; of one inside a character, where that begins. REQUIRES: 0 <= unit <=
  // count().
  size_t byte(int64_t unit) const;
  int64_t unit_at(size_t byte) const;  // of the character that begins at `byte`; count() at the end

 private:
  struct Place {
    int64_t unit;
    size_t byte;
  };
  Place after(Place place) const;  // behind one more character

  std::string_view text_;
  TextUnit unit_;
  std::vector<Place> places_;  // of every 256th character
  int64_t count_ = 0;
};

// The beginning of a text, for messages: at most 60 characters, with "…" where it is cut.
std::string shown_text(std::string_view text);

}  // namespace hone
