// What a row becomes: tokens, and which of them carry a loss.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/record.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/causal_lm/options.h"
#include "tasks/next_token.h"

namespace hone::causal_lm {

// Where rows are read, and what with.
struct Reading {
  const Options& options;
  const Tokenizer& tokenizer;
  const ChatTemplate* chat_template;  // of conversations
  int64_t end;                        // the token that ends a text or a completion; -1: none
  int64_t room;                       // tokens that fit
};

// The samples of a row that is learned, each at most `room` tokens. A conversation that is too long
// loses its oldest exchanges first, then the beginning of the prompt, at last the end of the
// answer; a text is cut into windows, of which nothing is lost. Sample::repair tells of answers
// that were lost whole. Error(kData) where there is nothing to learn.
std::vector<Sample> learned_samples(const Record& record, const Reading& reading, bool* truncated);

// The one sample, without targets, that the answer goes on from. Too long, it loses its oldest
// exchanges first, then its beginning.
Sample prompt_sample(const Record& record, const Reading& reading, bool* truncated);

// The special token that the last answer of a conversation ends with, but for blanks behind it; -1:
// none.
int64_t end_of_turn(const Record& record, const Reading& reading);

// Whether decoding leaves the token out: it is no text.
bool is_special(int32_t id, const Tokenizer& tokenizer);

// Error(kData) for a row that cannot be learned from.
void check_row(const Record& record, const Options& options);

// What the gold answers of a row are: the last turn of the assistant, or the completions. Empty
// where it has none.
std::vector<std::string> gold_answers(const Record& record, const Options& options);
// What was asked, for people: the last message that is not the assistant's, or the prompt.
std::string question_of(const Record& record, const Options& options);

}  // namespace hone::causal_lm
