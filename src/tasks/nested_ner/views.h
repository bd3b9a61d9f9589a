// The windows of a text beside each other, when answers are taken from them: which one answers for
// a stretch of the text.
#pragma once

#include <span>
#include <vector>

#include "tasks/task.h"
#include "tasks/text_places.h"

namespace hone::nested_ner {

class Views {
 public:
  explicit Views(std::span<const Row> rows);

  TokenRange text(size_t window) const { return views_[window].text; }  // in its sample
  // Of tokens [first, last] of a window, counted in the text.
  Span bytes(size_t window, int64_t first, int64_t last) const;
  // Of the windows that hold `bytes` whole, the one where they have most context (the ends of the
  // text are no cuts), of equal ones the first; the number of windows where none does.
  size_t answering(const Span& bytes) const;
  // The tokens of a window that share a byte with `bytes`, counted in the text; none where the
  // window does not hold them whole.
  TokenRange tokens(size_t window, const Span& bytes) const;

 private:
  struct View {
    TokenRange text;
    std::vector<Span> offsets;  // of the text's tokens
    bool is_first, is_last;

    bool holds(const Span& bytes) const;
    int64_t context_of(const Span& bytes) const;
  };
  std::vector<View> views_;
};

}  // namespace hone::nested_ner
