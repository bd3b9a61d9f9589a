// How far up a search puts the texts that it should find; relevance is yes or no.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hone::metrics {

// Ranks, from 1, of the relevant ones among all of `scores`, ascending. Of equal scores the
// relevant ones stand last: what tells nothing apart gets no credit. REQUIRES: `relevant` sorted,
// each once.
std::vector<int64_t> ranks_of(std::span<const float> scores, std::span<const int32_t> relevant);

// Of one query: mean reciprocal rank, normalised discounted cumulative gain (Järvelin and
// Kekäläinen 2002, with log2) and recall, of the first k; and whether the first one is relevant.
struct SearchScores {
  double mrr = 0, ndcg = 0, recall = 0, accuracy = 0;
};
// REQUIRES: at least one rank.
SearchScores search_scores(std::span<const int64_t> ranks, int64_t k);
// What texts in random order have on average, of which `relevant` of `all` are.
SearchScores random_search(int64_t relevant, int64_t all, int64_t k);

// The mean of the precision at each rank that is relevant, as scikit-learn's
// average_precision_score has it: equal scores share a threshold. 0 where none is relevant. A
// weight says how often each counts.
class AveragePrecision {
 public:
  AveragePrecision(std::span<const double> scores, const std::vector<bool>& relevant);
  double operator()(std::span<const int32_t> weights) const;

 private:
  std::vector<int32_t> order_;  // by score, the highest first
  std::vector<bool> relevant_;  // in that order, as the next
  std::vector<bool> is_last_;   // of those with its score
};

}  // namespace hone::metrics
