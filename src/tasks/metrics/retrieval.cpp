#include "tasks/metrics/retrieval.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hone::metrics {
namespace {

double gain(int64_t rank) { return 1 / std::log2(static_cast<double>(rank) + 1); }

// Of as many relevant ones at the top.
double ideal_gain(int64_t relevant, int64_t k) {
  double sum = 0;
  for (int64_t rank = 1; rank <= std::min(relevant, k); ++rank) sum += gain(rank);
  return sum;
}

}  // namespace

std::vector<int64_t> ranks_of(std::span<const float> scores, std::span<const int32_t> relevant) {
  std::vector<float> found;  // scores of the relevant ones, the highest first
  for (const int32_t text : relevant) found.push_back(scores[text]);
  std::sort(found.begin(), found.end(), std::greater<>());
  // before[i]: others that stand before the relevant one number i, but not before number i - 1.
  std::vector<int64_t> before(found.size() + 1, 0);
  size_t next = 0;
  for (size_t text = 0; text < scores.size(); ++text) {
    if (next < relevant.size() && relevant[next] == static_cast<int32_t>(text)) {
      ++next;
      continue;
    }
    const auto beaten = std::find_if(found.begin(), found.end(),
                                     [&](float score) { return scores[text] >= score; });
    ++before[beaten - found.begin()];
  }
  std::vector<int64_t> ranks;
  int64_t rank = 0;
  for (size_t i = 0; i < found.size(); ++i) ranks.push_back(rank += before[i] + 1);
  return ranks;
}

SearchScores search_scores(std::span<const int64_t> ranks, int64_t k) {
  SearchScores scores;
  const auto relevant = static_cast<int64_t>(ranks.size());
  for (const int64_t rank : ranks) {
    if (rank > k) break;
    scores.ndcg += gain(rank);
    scores.recall += 1;
  }
  scores.mrr = ranks.front() <= k ? 1 / static_cast<double>(ranks.front()) : 0;
  scores.ndcg /= ideal_gain(relevant, k);
  scores.recall /= static_cast<double>(relevant);
  scores.accuracy = ranks.front() == 1 ? 1 : 0;
  return scores;
}

SearchScores random_search(int64_t relevant, int64_t all, int64_t k) {
  const double share = static_cast<double>(relevant) / static_cast<double>(all);
  SearchScores scores;
  double none_before = 1;  // chance that no relevant one stands above a rank
  for (int64_t rank = 1; rank <= std::min(k, all); ++rank) {
    const double here =
        std::min(1.0, static_cast<double>(relevant) / static_cast<double>(all - rank + 1));
    scores.mrr += none_before * here / static_cast<double>(rank);
    scores.ndcg += share * gain(rank);
    none_before *= 1 - here;
  }
  scores.ndcg /= ideal_gain(relevant, k);
  scores.recall = static_cast<double>(std::min(k, all)) / static_cast<double>(all);
  scores.accuracy = share;
  return scores;
}

AveragePrecision::AveragePrecision(std::span<const double> scores,
                                   const std::vector<bool>& relevant)
    : order_(scores.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(),
            [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  for (size_t i = 0; i < order_.size(); ++i) {
    relevant_.push_back(relevant[order_[i]]);
    is_last_.push_back(i + 1 == order_.size() || scores[order_[i]] != scores[order_[i + 1]]);
  }
}

double AveragePrecision::operator()(std::span<const int32_t> weights) const {
  double seen = 0, hits = 0, counted = 0, sum = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    const double weight = weights[order_[i]];
    seen += weight;
    hits += relevant_[i] ? weight : 0;
    if (!is_last_[i] || hits == counted) continue;
    sum += (hits - counted) * hits / seen;
    counted = hits;
  }
  return hits == 0 ? 0 : sum / hits;
}

}  // namespace hone::metrics
