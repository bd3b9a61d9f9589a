// Where two texts differ, for people.
#pragma once

#include <string_view>
#include <vector>

#include "tasks/sections.h"

namespace hone::metrics {

struct Differences {
  std::vector<TextPart> a, b;
};

// By words, punctuation marks, and characters of scripts without blanks; no character is cut from
// the marks that belong to it. What is shared is a longest common subsequence. Time grows with the
// product of both lengths: for texts of some thousand characters.
Differences differences(std::string_view a, std::string_view b);

}  // namespace hone::metrics
