// What the `task` section of named-entity recognition may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/class_balance.h"
#include "tasks/options.h"

namespace hone::ner {

constexpr const char* kTaskName = "ner";

struct Options {
  std::string tokens = "tokens";  // field of the tokens, a list of strings; "": there is none
  std::string tags = "tags";      // field of their tags
  std::string text = "text";      // field of the text, where a record has no tokens
  std::string entities =
      "entities";  // and of its entities: [{"start", "end", "label"}], characters of the text
  int64_t stride =
      -1;  // pieces that neighbouring windows of a long text share; -1: a quarter of max_seq_length
  std::string scoring = "default";  // default | strict: seqeval's modes, strict with IOB2
  std::string unknown_labels =
      "error";       // error | count: a gold type that training did not have is scored as missed
  bool crf = false;  // tags are scored as chains, by a linear-chain CRF
  ClassBalance balance;        // of tags of different number; not of a chain's
  int64_t max_seq_length = 0;  // tokens of a window, with special ones

  bool may_overlap = false;  // entities of a text; said by a task, not by its section

  static Options read(Config& section, int64_t max_seq_length);
};
void check_stride(const Options& options, Config& section);

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("tokens", o.tokens);
  visit("tags", o.tags);
  visit("text", o.text);
  visit("entities", o.entities);
  visit("stride", o.stride);
  visit("scoring", o.scoring, Choices{"default", "strict"});
  visit("unknown_labels", o.unknown_labels, Choices{"error", "count"});
  visit("crf", o.crf);
  for_each_balance_option(o.balance, visit);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::ner
