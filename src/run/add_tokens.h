// A run's base model with pieces for characters that its vocabulary lacks.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "run/run_config.h"

namespace hone {

// What was added.
struct AddedTokens {
  std::string folder;                                   // "": nothing was
  std::vector<std::pair<std::string, int64_t>> pieces;  // each with how often it lacked
  int64_t unknown_before = 0, unknown_after = 0;        // unknown tokens of the training texts

  Json json() const;
  std::string text() const;
};

// Writes the configuration's base model into the new folder `out`, its tokenizer with a piece for
// each character that lacks `least` times or more in the training texts. The row of a piece in the
// table of words is the mean of the rows of what its character was cut into before: so the model
// begins by seeing what it saw. Nothing is written where no piece is that frequent. Error(kUsage)
// for a tokenizer of another kind than WordPiece and Unigram, for models with a source, adapters,
// models that hone trained, and where `out` is there already.
AddedTokens add_tokens(const RunConfig& config, const std::string& out, int64_t least);

}  // namespace hone
