#include "data/tokenizer/training/word_counts.h"

#include <fmt/format.h>

#include "base/error.h"

namespace hone {

void WordCounts::add(std::string_view word, int64_t count) {
  if (const int32_t known = words_.find(word); known != Vocabulary::kNone) {
    counts_[known] += count;
    return;
  }
  if (std::ssize(counts_) >= Vocabulary::kMostIds)
    throw Error(ErrorKind::kData,
                fmt::format("more than {} different words; is the pre-tokenizer the right one for "
                            "these texts?",
                            Vocabulary::kMostIds));
  words_.set(word, static_cast<int32_t>(counts_.size()));
  counts_.push_back(count);
}

}  // namespace hone
