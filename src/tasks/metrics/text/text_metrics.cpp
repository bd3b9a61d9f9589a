// The scores of generated texts: one line each.
#include <cstdlib>

#include "tasks/metrics/text/answers.h"
#include "tasks/metrics/text/bleu.h"
#include "tasks/metrics/text/chrf.h"
#include "tasks/metrics/text/lengths.h"
#include "tasks/metrics/text/rouge.h"
#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {

int64_t nearest_length(const PreparedPair& pair) {
  const auto length = static_cast<int64_t>(pair.predicted.words.size());
  auto nearest = static_cast<int64_t>(pair.references.front().words.size());
  for (const PreparedText& reference : pair.references) {
    const auto other = static_cast<int64_t>(reference.words.size());
    const int64_t far = std::abs(other - length), so_far = std::abs(nearest - length);
    if (far < so_far || (far == so_far && other < nearest)) nearest = other;
  }
  return nearest;
}

Table<TextMetricInfo>& text_metrics() {
  static Table<TextMetricInfo> all(
      "metric of texts",
      {
          {"bleu", "words and stretches of up to 4 in common, 0 to 100", "bleu", make_bleu},
          {"chrf", "characters and stretches of up to 6 in common, 0 to 100", "chrf", make_chrf},
          {"chrf++", "as chrf, with words and pairs of them", "chrf++", make_chrf_plus_plus},
          {"rouge", "ROUGE-1, 2, L and Lsum: words, pairs, subsequences", "rougeL", make_rouge},
          {"exact_match", "the share of texts that are a reference", "exact_match",
           make_exact_match},
          {"token_f1", "words in common, by the rules of SQuAD or CMRC", "token_f1", make_token_f1},
          {"distinct", "the share of words, pairs and triples that are not yet there", nullptr,
           make_distinct},
          {"length", "words of all texts by words of their references", nullptr, make_length},
      });
  return all;
}

}  // namespace hone::metrics
