// chrF (Popović 2015) and chrF++ (Popović 2017), equal to sacrebleu's.
#pragma once

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

// Numbers of a row, for each order of characters (1 to 6) and of words (none, or 1 and 2): n-grams
// of the text, of the reference, and in common; of the reference that gives the best score.
std::unique_ptr<TextMetric> make_chrf(const TextOptions& options);
std::unique_ptr<TextMetric> make_chrf_plus_plus(const TextOptions& options);

}  // namespace hone::metrics
