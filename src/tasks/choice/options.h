// What the `task` section of multiple choice may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/options.h"

namespace hone::choice {

constexpr const char* kTaskName = "choice";

// How data write which choice is right. kAuto becomes one of the others with the training data.
enum class AnswerAs { kAuto, kNumber, kLetter, kText };
const std::vector<std::string>& option_names(AnswerAs);

struct Options {
  std::string context = "context";    // field of the text that the question is about; "": none
  std::string question = "question";  // field of the question; "": none
  // The field of the choices, or several fields that are one choice each.
  std::vector<std::string> choices = {"choices"};
  std::string answer = "answer";  // field of the right one, also in results
  AnswerAs answer_as = AnswerAs::kAuto;
  int64_t answers_from = 0;    // the number of the first choice
  std::string blank;           // the mark in context or question that choices fill; "": none
  int64_t max_seq_length = 0;  // tokens of a choice with its texts, with special ones

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("context", o.context);
  visit("question", o.question);
  visit("choices", o.choices);
  visit("answer", o.answer);
  visit("answer_as", o.answer_as);
  visit("answers_from", o.answers_from);
  visit("blank", o.blank);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::choice
