#include "tasks/metrics/text/oracle.h"

#include <algorithm>

#include "tasks/metrics/text/ngrams.h"

namespace hone::metrics {
namespace {

constexpr int kOracleOrders = 2;

double mean_f1(const Ngrams& text, const Ngrams& reference) {
  double sum = 0;
  for (int order = 1; order <= kOracleOrders; ++order) {
    const int64_t all = text.count(order) + reference.count(order);
    if (all > 0)
      sum +=
          2 * static_cast<double>(shared_ngrams(text, reference, order)) / static_cast<double>(all);
  }
  return sum / kOracleOrders;
}

std::vector<int32_t> words_of_chosen(const std::vector<std::vector<int32_t>>& sentences,
                                     const std::vector<size_t>& chosen) {
  std::vector<int32_t> words;
  for (const size_t place : chosen)
    words.insert(words.end(), sentences[place].begin(), sentences[place].end());
  return words;
}

}  // namespace

std::vector<size_t> oracle(const std::vector<std::vector<int32_t>>& sentences,
                           const std::vector<std::vector<int32_t>>& references, int64_t most) {
  std::vector<Ngrams> gold;
  for (const std::vector<int32_t>& reference : references)
    gold.emplace_back(reference, kOracleOrders);
  const auto score = [&](const std::vector<size_t>& chosen) {
    const Ngrams text(words_of_chosen(sentences, chosen), kOracleOrders);
    double best = 0;
    for (const Ngrams& reference : gold) best = std::max(best, mean_f1(text, reference));
    return best;
  };
  std::vector<size_t> chosen;
  double reached = 0;
  while (static_cast<int64_t>(chosen.size()) < most) {
    std::vector<size_t> next;
    for (size_t place = 0; place < sentences.size(); ++place) {
      if (std::binary_search(chosen.begin(), chosen.end(), place)) continue;
      std::vector<size_t> with = chosen;
      with.insert(std::upper_bound(with.begin(), with.end(), place), place);
      const double value = score(with);
      if (value > reached) reached = value, next = std::move(with);
    }
    if (next.empty()) break;
    chosen = std::move(next);
  }
  return chosen;
}

}  // namespace hone::metrics
