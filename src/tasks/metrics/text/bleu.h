// BLEU (Papineni et al. 2002), equal to sacrebleu's.
#pragma once

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

// Numbers of a row: words of the text, words of the reference nearest in length, then n-grams in
// common and n-grams of the text of orders 1 to 4. A row's score stops at the longest order that
// the text has (sacrebleu's effective order); that of a set does not.
std::unique_ptr<TextMetric> make_bleu(const TextOptions& options);

}  // namespace hone::metrics
