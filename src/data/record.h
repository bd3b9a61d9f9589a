// A row of the user's data with the place it came from.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "data/text_edits.h"

namespace hone {

struct Record {
  Json fields;  // an object; text fields are strings, token and tag columns arrays of strings
  std::shared_ptr<const std::string> file;
  int64_t line = 0;    // of the row's first line, from 1
  int64_t column = 0;  // of its first byte, where a line may hold several rows (json); else 0

  // What cleaning did to text fields, by name. Fields that point into a text are left as they are:
  // their offsets, and those of results, count in the text as it was read.
  std::map<std::string, TextEdits> edits = {};

  bool is_repaired = false;  // by its reader, which names it; it is counted where it is encoded

  Where where() const { return {file ? *file : std::string(), line, column}; }
};

}  // namespace hone
