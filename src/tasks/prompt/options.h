// What the `task` section of prompts may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/options.h"
#include "tasks/prompt/pattern.h"

namespace hone::prompt {

constexpr const char* kTaskName = "prompt";

// What stands for a label in the place of the mask.
struct LabelWords {
  std::string label;
  std::vector<std::string> words;
};

struct Options {
  std::string pattern = "{text} It was {mask}.";
  std::string label = "label";    // field of the label, also in results
  std::vector<LabelWords> words;  // of each label, in the order of the file; scoring needs none
  int64_t max_seq_length = 0;     // tokens with special ones; texts are cut, the pattern never

  static Options read(Config& section, int64_t max_seq_length);
  static Options from_json(const Json& json);
  Json json() const;

  std::vector<std::string> labels() const;
};

// See tasks/options.h. `words` are read and kept by themselves.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("pattern", o.pattern);
  visit("label", o.label);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::prompt
