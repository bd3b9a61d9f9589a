// What cleaning took out of a text. The text as it was read is kept, and places in the cleaned text
// are found again in it: whatever points into a text (entities, answers) counts in the text that
// the user has.
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

  const std::string& as_read() const { return as_read_; }
  // Where bytes [start, end) of the cleaned text stand in the text as read, as whole characters;
  // what was cut next to them is left out.
  Span as_read(Span cleaned) const;

 private:
  struct Cut {
    size_t kept_before, end;  // bytes of the cleaned text before it; where it ends as read
  };
  size_t place(size_t cleaned) const;

  std::string as_read_;
  std::vector<Cut> cuts_;
  size_t gone_ = 0;
};

}  // namespace hone
