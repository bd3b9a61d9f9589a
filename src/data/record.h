// A row of the user's data with the place it came from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"

namespace hone {

struct Record {
  Json fields;  // an object; text fields are strings, token and tag columns arrays of strings
  std::shared_ptr<const std::string> file;
  int64_t line = 0;    // of the row's first line, from 1
  int64_t column = 0;  // of its first byte, where a line may hold several rows (json); else 0

  Where where() const { return {file ? *file : std::string(), line, column}; }
};

}  // namespace hone
