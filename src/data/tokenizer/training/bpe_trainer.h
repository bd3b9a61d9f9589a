// Byte-pair encoding learned from words (Sennrich et al. 2016): the pair of neighbours that stands
// in the corpus most often becomes a token, until there are enough. WordPiece's vocabulary is
// learned so too, with "##" before what continues a word. The result is that of the reference's
// BpeTrainer, and depends on the words alone, not on their order or on threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/training/word_counts.h"

namespace hone {

struct BpeTrainerOptions {
  int64_t vocab_size = 30'000;
  int64_t min_frequency = 0;                // of a pair that becomes a token
  std::vector<std::string> special_tokens;  // the first ids
  std::optional<int64_t> limit_alphabet;    // the most frequent characters only
  std::u32string initial_alphabet;          // characters that are tokens whatever the corpus has
  std::string continuing_subword_prefix, end_of_word_suffix;
  std::optional<int64_t> max_token_length;  // in characters
};

struct TrainedBpe {
  std::vector<std::string> tokens;  // by id
  Bpe::Merges merges;
};

// Error(kUsage) where vocab_size has no room for the special tokens and the alphabet.
TrainedBpe train_bpe(const WordCounts& words, const BpeTrainerOptions& options);

}  // namespace hone
