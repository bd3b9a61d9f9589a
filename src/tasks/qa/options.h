// What the `task` section of extractive question answering may say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tasks/options.h"

namespace hone::qa {

constexpr const char* kTaskName = "qa";

// Whose rules say how alike two answers are.
enum class Scoring { kSquad, kCmrc };
const std::vector<std::string>& option_names(Scoring scoring);

struct Options {
  std::string question = "question";  // field of the question
  std::string context = "context";    // field of the text that holds the answer
  std::string answers = "answers";    // field of the answers (qa/gold.h)
  std::string no_answer;  // an answer of this text says that there is none; "": none does
  int64_t stride = -1;    // pieces that neighbouring windows share; -1: a quarter of max_seq_length
  int64_t max_question_length = 64;  // pieces; what is longer is cut
  int64_t max_answer_length = 30;    // pieces of a predicted answer
  int64_t n_best = 20;               // candidates that a result lists
  // There is no answer where that is more likely than the best one by more than this, as a
  // difference of logits. Nothing: what gives the best F1 on validation data; until then 0.
  std::optional<double> no_answer_threshold;
  Scoring scoring = Scoring::kSquad;
  int64_t max_seq_length = 0;  // tokens of a window, with special ones

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("question", o.question);
  visit("context", o.context);
  visit("answers", o.answers);
  visit("no_answer", o.no_answer);
  visit("stride", o.stride);
  visit("max_question_length", o.max_question_length);
  visit("max_answer_length", o.max_answer_length);
  visit("n_best", o.n_best);
  visit("no_answer_threshold", o.no_answer_threshold);
  visit("scoring", o.scoring);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::qa
