// The words of a corpus, each once, and how often it stands there: all that a trainer sees.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/tokenizer/vocabulary.h"

namespace hone {

class WordCounts {
 public:
  // Error(kData) where there are more different words than Vocabulary can tell apart.
  void add(std::string_view word, int64_t count = 1);

  size_t size() const { return counts_.size(); }  // different words, in the order they were met
  std::string_view word(size_t i) const { return words_.token(static_cast<int32_t>(i)); }
  int64_t count(size_t i) const { return counts_[i]; }

 private:
  Vocabulary words_;
  std::vector<int64_t> counts_;
};

}  // namespace hone
