// Names that are compared whatever their case.
#pragma once

#include <cctype>
#include <string>

namespace hone {

// A to Z as a to z; other bytes, those of UTF-8 among them, as they are.
inline std::string small_letters(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace hone
