// What cleaning took out of a text, and words of it that others stand for. The text as it was read
// is kept, and places in the changed text are found again in it: whatever points into a text
// (entities, answers) counts in the text that the user has.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "data/sample.h"

namespace hone {

class TextEdits {
 public:
  explicit TextEdits(std::string as_read) : as_read_(std::move(as_read)) {}

  // Bytes [begin, end) of the text as read are gone. REQUIRES: called in the order of the text.
  void cut(size_t begin, size_t end);

  // What was cut, as `cut` was told.
  std::vector<std::pair<size_t, size_t>> cuts() const;

  // `length` bytes of other text stand in the place of bytes [begin, end) of the cleaned text: a
  // place within them is one in all of what they stand for. REQUIRES: called in the order of the
  // text, after all cuts.
  void replace(size_t begin, size_t end, size_t length);

  const std::string& as_read() const { return as_read_; }
  // Where bytes [start, end) of the changed text stand in the text as read, as whole characters;
  // what was cut next to them is left out.
  Span as_read(Span changed) const;

 private:
  struct Replaced {
    Span here, cleaned;  // bytes of the changed text, and of the cleaned one
  };
  Span cleaned(Span changed) const;
  struct Cut {
    size_t kept_before, end;  // bytes of the cleaned text before it; where it ends as read
  };
  size_t place(size_t cleaned) const;

  std::string as_read_;
  std::vector<Cut> cuts_;
  std::vector<Replaced> replaced_;
  size_t gone_ = 0;
};

}  // namespace hone
