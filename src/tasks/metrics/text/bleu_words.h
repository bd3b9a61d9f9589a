// The words that BLEU counts: sacrebleu's tokenizers (Post 2018, "A call for clarity in reporting
// BLEU scores").
#pragma once

#include <string>
#include <string_view>

#include "tasks/metrics/text/text_options.h"

namespace hone::metrics {

// `text` with blanks between its words. REQUIRES: not kAuto.
std::u32string with_blanks(std::u32string_view text, BleuTokenizer tokenizer);

// A character that stands for itself in a text without blanks: Han, kana, bopomofo.
bool is_cjk(char32_t c);

}  // namespace hone::metrics
