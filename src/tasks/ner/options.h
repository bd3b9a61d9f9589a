// What the `task` section of named-entity recognition may say.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace hone::ner {

constexpr const char* kTaskName = "ner";

struct Options {
  std::string tokens = "tokens";  // field of the tokens, a list of strings
  std::string tags = "tags";      // field of their tags
  std::string text = "text";      // field of the text, where a record has no tokens
  std::string entities =
      "entities";  // and of its entities: [{"start", "end", "label"}], characters of the text
  int64_t stride =
      -1;  // pieces that neighbouring windows of a long text share; -1: a quarter of max_seq_length
  std::string scoring = "default";  // default | strict: seqeval's modes, strict with IOB2
  std::string unknown_labels =
      "error";  // error | count: a gold type that training did not have is scored as missed
  int64_t max_seq_length = 0;  // tokens of a window, with special ones

  static Options read(Config& section, int64_t max_seq_length);
  Json json() const;
  static Options from_json(const Json& json);
};

}  // namespace hone::ner
