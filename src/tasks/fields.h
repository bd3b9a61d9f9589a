// Reading a task's fields from records and results: every complaint names the row.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

const Json* find_field(const Record& record,
                       const std::string& name);  // nullptr where absent or null
const Json& need_field(const Record& record,
                       const std::string& name);  // Error(kData) with the fields that are there
const std::string& need_text(const Record& record, const std::string& name);  // a string
// The same before cleaning: what offsets in records and results count in.
const std::string& need_text_as_read(const Record& record, const std::string& name);
// The pieces of a text; their offsets count in the text as it was read.
Encoding encode_field(const Record& record, const std::string& name, const Tokenizer& tokenizer);
std::vector<std::string> need_strings(const Record& record,
                                      const std::string& name);  // a list of strings

// A finite number, also one written as text; else nothing.
std::optional<double> as_number(const Json& value);

// A field of a result that is scored against `gold`; Error(kData) at the gold record's place.
const Json& need_result(const Record& gold, const Json& result, const std::string& name);

Error field_error(const Record& record, const std::string& name,
                  const std::string& what);  // `"name" …`

std::string shortened(std::string_view text,
                      size_t code_points);  // with "…" where cut; line breaks become spaces
std::string dump(const Json& value, size_t bytes = 80);  // for messages: compact, cut
Json number(float value);          // the shortest decimal that reads back as the same float
double probability(double value);  // rounded to 6 decimals, as results hold it

}  // namespace hone
