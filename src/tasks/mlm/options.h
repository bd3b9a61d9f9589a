// Options of the masked-language-model task.
#pragma once

#include <string>

#include "tasks/options.h"

namespace hone::mlm {

constexpr const char* kTaskName = "mlm";

struct Options {
  std::string text = "text";      // field of the text
  double mlm_probability = 0.15;  // share of the words that are guessed
  bool whole_words = true;        // a word's pieces are guessed together, or each by itself
  int64_t top_k = 5;              // tokens that a result offers for a mask of the text's own
  int64_t max_seq_length = 0;     // tokens of a sample, with special ones

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("text", o.text);
  visit("mlm_probability", o.mlm_probability);
  visit("whole_words", o.whole_words);
  visit("top_k", o.top_k);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::mlm
