// What texts are like whatever they say: how long, and how varied. In BLEU's words.
#pragma once

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

// Words of all texts by words of all references, each text's nearest in length: sacrebleu's ratio.
// 1 is best.
std::unique_ptr<TextMetric> make_length(const TextOptions& options);

// Different words, pairs of neighbours, and three in a row, by all of these of the whole set (Li et
// al. 2016, "A diversity-promoting objective function for neural conversation models").
std::unique_ptr<TextMetric> make_distinct(const TextOptions& options);

}  // namespace hone::metrics
