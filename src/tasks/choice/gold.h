// What a record of multiple choice says: its choices, and which of them is right.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "tasks/choice/options.h"

namespace hone::choice {

// The choices of a record, without white space at their ends. They may be written as
//
//   ["…", …]                                  texts, or numbers
//   [{"text": "…", "label": "A"}, …]          with names that answers go by
//   {"text": ["…", …], "label": ["A", …]}     as Hugging Face's data sets have them
//
// or as columns of their own (Options::choices).
struct Choices {
  std::vector<std::string> texts;
  std::vector<std::string> labels;  // of all, or of none
  std::vector<int64_t> same_as;     // of each, the first of the same text: equal choices are one

  int64_t size() const { return static_cast<int64_t>(texts.size()); }
  std::vector<int64_t> distinct() const;  // the first of each text, in their order
};

// Error(kData) for a record without choices, for an empty one, and for anything else.
Choices choices_of(const Record& record, const Options& options);

// What an answer may mean, by the way of reading it (AnswerAs, without kAuto): a choice.
using Readings = std::array<std::optional<int64_t>, 3>;
// Error(kData) where it is no answer in any of the ways that the options allow.
Readings readings_of(const Json& answer, const Choices& choices, const Record& record,
                     const Options& options);
bool do_agree(const Readings& readings);

// The right choice, the first of its text. Error(kData) where the answer is none, or may be two.
int64_t answer_of(const Json& answer, const Choices& choices, const Record& record,
                  const Options& options);

// A choice as the data write it.
Json answer_json(int64_t choice, const Choices& choices, const Options& options);

}  // namespace hone::choice
