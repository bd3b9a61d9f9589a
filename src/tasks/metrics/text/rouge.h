// ROUGE (Lin 2004), equal to rouge-score's.
#pragma once

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

// F scores of ROUGE-1, 2, L and Lsum; of several references each takes the best. A set's is the
// mean over its rows. Lsum compares line by line.
std::unique_ptr<TextMetric> make_rouge(const TextOptions& options);

// The words of ROUGE: runs of a to z and 0 to 9 (rouge-score's rule), or runs of letters, marks and
// digits of any script where Chinese and Japanese characters stand alone. In lower case.
std::vector<std::u32string> rouge_words(std::u32string_view lower, RougeWords rule);

}  // namespace hone::metrics
