#include "tasks/qa/spans.h"

#include <algorithm>
#include <limits>

#include "data/text_bounds.h"

namespace hone::qa {
namespace {

// Tokens of the context, the highest logits of a column first, at most n.
std::vector<int64_t> best_tokens(const Row& row, int64_t column, int64_t n) {
  const Sequence& sequence = row.sample->streams[0];
  const float* logits = row.output.const_data_ptr<float>();
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < sequence.size(); ++i) {
    if (sequence.texts[i] == kContext) tokens.push_back(i);
  }
  const auto middle = tokens.begin() + std::min<int64_t>(n, static_cast<int64_t>(tokens.size()));
  std::partial_sort(tokens.begin(), middle, tokens.end(), [&](int64_t a, int64_t b) {
    const float of_a = logits[2 * a + column], of_b = logits[2 * b + column];
    return of_a != of_b ? of_a > of_b : a < b;
  });
  tokens.erase(middle, tokens.end());
  return tokens;
}

void add_spans(const Row& row, std::string_view context, int64_t n_best, int64_t longest,
               std::vector<Candidate>& all) {
  const Sequence& sequence = row.sample->streams[0];
  const float* logits = row.output.const_data_ptr<float>();
  const std::vector<int64_t> starts = best_tokens(row, 0, n_best),
                             ends = best_tokens(row, 1, n_best);
  for (const int64_t start : starts) {
    for (const int64_t end : ends) {
      if (end < start || end - start >= longest) continue;
      const Span bytes =
          visible_part(context, {sequence.offsets[start].start, sequence.offsets[end].end});
      if (bytes.start < bytes.end)
        all.push_back({bytes, static_cast<double>(logits[2 * start]) + logits[2 * end + 1]});
    }
  }
}

// Best first; of one place the best alone.
void keep_best(std::vector<Candidate>& all, int64_t n_best) {
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  std::vector<Candidate> kept;
  for (const Candidate& candidate : all) {
    if (static_cast<int64_t>(kept.size()) == n_best) break;
    const bool is_new = std::none_of(kept.begin(), kept.end(), [&](const Candidate& other) {
      return other.bytes == candidate.bytes;
    });
    if (is_new) kept.push_back(candidate);
  }
  all = std::move(kept);
}

}  // namespace

Candidates find_candidates(std::span<const Row> windows, std::string_view context, int64_t n_best,
                           int64_t longest) {
  Candidates found;
  found.none = std::numeric_limits<double>::infinity();
  for (const Row& row : windows) {
    const float* logits = row.output.const_data_ptr<float>();
    found.none = std::min(found.none, static_cast<double>(logits[0]) + logits[1]);
    add_spans(row, context, n_best, longest, found.spans);
  }
  keep_best(found.spans, n_best);
  return found;
}

}  // namespace hone::qa
