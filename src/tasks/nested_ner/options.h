// What the `task` section of nested named-entity recognition may say.
#pragma once

#include <string>

#include "tasks/ner/options.h"

namespace hone::nested_ner {

constexpr const char* kTaskName = "nested_ner";

struct Options {
  Options() {
    spans.tokens.clear();  // tags of tokens cannot overlap: records have texts
    spans.may_overlap = true;
  }
  ner::Options spans;
  int64_t head_size = 64;  // numbers by which two tokens are compared; even
  double threshold = 0.5;  // an entity is given from this score on

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("text", o.spans.text);
  visit("entities", o.spans.entities);
  visit("stride", o.spans.stride);
  visit("unknown_labels", o.spans.unknown_labels, Choices{"error", "count"});
  visit("head_size", o.head_size);
  visit("threshold", o.threshold);
  visit("max_seq_length", o.spans.max_seq_length);
}

}  // namespace hone::nested_ner
