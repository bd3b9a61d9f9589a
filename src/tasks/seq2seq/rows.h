// What a row becomes: the tokens of a source, and those that a decoder reads and predicts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/seq2seq/options.h"

namespace hone::seq2seq {

// Numbers of the target's tokens; -1: there is none.
struct SpecialTokens {
  int64_t start = -1;       // the first that the decoder reads
  int64_t end = -1;         // ends a target
  int64_t source_end = -1;  // ends a source that stands with its language
  int64_t source_language = -1, target_language = -1;
  bool language_is_last = false;

  // What the decoder reads first.
  int64_t first() const { return language_is_last ? target_language : start; }

  Json json() const;
  static SpecialTokens from(const Json& json);
};

// Where rows are read, and what with.
struct Reading {
  const Options& options;
  const Tokenizer &source, &target;
  const SpecialTokens& tokens;
  int64_t source_room, target_room;  // tokens, special ones included
};

// Streams: the source; what the decoder reads: the first token, then the target's but for the last.
// The target's tokens are in the column kNextToken. What does not fit loses its end. Error(kData)
// at record.where() for a text without a token.
Sample learned_sample(const Record& record, const Reading& reading, bool* truncated);
// The same without targets: the second stream is the token that the answer goes on from.
Sample prompt_sample(const Record& record, const Reading& reading, bool* truncated);

// Error(kData) for a row that cannot be learned from.
void check_row(const Record& record, const Options& options);
// What is read: the field's text, or a list of its sentences with blanks between.
std::string source_text(const Record& record, const Options& options);
// The sentences of such a list, without blank ones; of a text none.
std::vector<std::string> source_sentences(const Record& record, const Options& options);
// The gold texts of a row, at least one.
std::vector<std::string> references_of(const Record& record, const Options& options);

}  // namespace hone::seq2seq
