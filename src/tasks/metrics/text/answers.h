// Exact match and F1 over words: how short answers are scored (tasks/metrics/answer_match.h).
#pragma once

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

// By SQuAD's rules of texts in words, by CMRC's of texts in characters; means over rows.
std::unique_ptr<TextMetric> make_exact_match(const TextOptions& options);
std::unique_ptr<TextMetric> make_token_f1(const TextOptions& options);

}  // namespace hone::metrics
