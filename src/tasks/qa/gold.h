// What a record of question answering says: answers, and where they stand in their text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "tasks/qa/options.h"

namespace hone::qa {

struct Answer {
  std::string text;
  std::optional<int64_t> start;  // characters of the context as it was read; nothing: not said
};

// The answers of a record or result; empty where there is none. They may be written as
//
//   {"text": ["…", …], "answer_start": [0, …]}      as Hugging Face's data sets have them
//   [{"text": "…", "answer_start": 0}, …]           as SQuAD's files have them
//   ["…", …]  or  "…"                               without places; "" is no answer
//
// Error(kData) for anything else, and for an answer without text in a list.
std::vector<Answer> answers_of(const Json& value, const Record& record, const Options& options);
std::vector<Answer> answers_of(const Record& record, const Options& options);

struct Located {
  std::optional<Span> bytes;  // of the context; nothing where it cannot be told
  std::string repair;         // what is wrong with the answer; "" where nothing is
};
// At its own place, or where it says a wrong one or none, at the only place where its text stands.
Located locate(const Answer& answer, const std::string& context);

// The first answer that can be told, and what is said of those that are not where they say they
// are.
Located locate_first(const std::vector<Answer>& answers, const std::string& context);

}  // namespace hone::qa
