// A unigram language model learned from words (Kudo 2018, "Subword regularization: improving neural
// network translation models with multiple subword candidates"): all frequent parts of words to
// begin with, their probabilities by expectation and maximisation, and rounds in which those go
// whose loss costs least. The steps are those of the reference's UnigramTrainer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/training/word_counts.h"

namespace hone {

struct UnigramTrainerOptions {
  int64_t vocab_size = 8'000;
  std::vector<std::string> special_tokens;  // the first ids
  std::string unk_token = "<unk>";          // one of them
  std::u32string initial_alphabet;          // characters that are pieces whatever the corpus has
  int64_t max_piece_length = 16;            // in characters
  double shrinking_factor = 0.75;           // pieces that a round leaves
  int64_t n_sub_iterations = 2;             // of expectation and maximisation, a round
};

struct TrainedUnigram {
  std::vector<std::pair<std::string, double>> pieces;  // by id, with the logarithm of probability
  int32_t unk_id;
};

// Error(kUsage) where vocab_size has no room for the special tokens and all characters.
TrainedUnigram train_unigram(const WordCounts& words, const UnigramTrainerOptions& options);

}  // namespace hone
