#include "models/generation/logit_rules.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace hone {
namespace {

using Options = GenerationOptions;
using Scores = std::span<float>;

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::vector<int32_t> distinct(std::span<const int32_t> ids) {
  std::vector<int32_t> tokens(ids.begin(), ids.end());
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

void forbid(Scores scores, const std::vector<int64_t>& tokens) {
  for (const int64_t token : tokens) scores[token] = kForbidden;
}

// These tokens alone, all alike.
void force(Scores scores, const std::vector<int64_t>& tokens) {
  std::fill(scores.begin(), scores.end(), kForbidden);
  for (const int64_t token : tokens) scores[token] = 0;
}

void penalise_repetition(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  const auto penalty = static_cast<float>(options.repetition_penalty);
  for (const int32_t token : distinct(so_far.ids)) {
    float& score = scores[token];
    score = score < 0 ? score * penalty : score / penalty;
  }
}

void penalise_presence(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  for (const int32_t token : distinct(so_far.ids.subspan(so_far.prompt)))
    scores[token] -= static_cast<float>(options.presence_penalty);
}

// Forbids what followed the last n - 1 tokens where they stood before.
void forbid_repeated_ngrams(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  const auto size = static_cast<int64_t>(so_far.ids.size()), n = options.no_repeat_ngram_size;
  if (size < n) return;
  const std::span<const int32_t> last = so_far.ids.last(n - 1);
  for (int64_t i = 0; i + n <= size; ++i) {
    if (std::equal(last.begin(), last.end(), so_far.ids.begin() + i))
      scores[so_far.ids[i + n - 1]] = kForbidden;
  }
}

void forbid_early_end(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  if (so_far.answered() < options.min_new_tokens) forbid(scores, options.eos_token_id);
}

void force_first(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  if (so_far.ids.size() == 1) force(scores, {options.forced_bos_token_id});
}

void force_last(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  if (so_far.answered() + 1 == so_far.room) force(scores, options.forced_eos_token_id);
}

void forbid_suppressed(const Options& options, const AnswerSoFar&, Scores scores) {
  forbid(scores, options.suppress_tokens);
}

// Of an answer whose first token is forced, its second one.
void forbid_suppressed_first(const Options& options, const AnswerSoFar& so_far, Scores scores) {
  const bool is_second = so_far.prompt == 1 && options.forced_bos_token_id != -1;
  if (so_far.answered() == (is_second ? 1 : 0)) forbid(scores, options.begin_suppress_tokens);
}

void divide_by_temperature(const Options& options, const AnswerSoFar&, Scores scores) {
  const auto temperature = static_cast<float>(options.temperature);
  for (float& score : scores) score /= temperature;
}

void keep_top_k(const Options& options, const AnswerSoFar&, Scores scores) {
  if (options.top_k >= static_cast<int64_t>(scores.size())) return;
  std::vector<float> sorted(scores.begin(), scores.end());
  const auto kth = sorted.begin() + options.top_k - 1;
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
  for (float& score : scores) score = score < *kth ? kForbidden : score;
}

// The tokens that may be chosen, in their order.
std::vector<std::pair<float, size_t>> allowed(Scores scores) {
  std::vector<std::pair<float, size_t>> tokens;
  for (size_t token = 0; token < scores.size(); ++token) {
    if (scores[token] > kForbidden) tokens.emplace_back(scores[token], token);
  }
  return tokens;
}

// How many of the first of `tokens`, once they are sorted, hold `share` of all; sorts no more than
// that needs.
size_t sort_share(std::vector<std::pair<float, size_t>>& tokens, float best, double share) {
  const auto before = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  double total = 0, held = 0;
  for (const auto& [score, token] : tokens) total += std::exp(score - best);
  size_t count = 0;
  for (size_t sorted = 0; sorted < tokens.size();) {
    sorted = std::min(tokens.size(), std::max<size_t>(64, 8 * sorted));
    std::partial_sort(tokens.begin() + count, tokens.begin() + sorted, tokens.end(), before);
    while (count < sorted && (count == 0 || held < share * total))
      held += std::exp(tokens[count++].first - best);
    if (count < sorted) break;
  }
  return count;
}

void keep_top_p(const Options& options, const AnswerSoFar&, Scores scores) {
  std::vector<std::pair<float, size_t>> tokens = allowed(scores);
  if (tokens.empty()) return;
  const float best = std::max_element(tokens.begin(), tokens.end())->first;
  tokens.resize(sort_share(tokens, best, options.top_p));
  std::fill(scores.begin(), scores.end(), kForbidden);
  for (const auto& [score, token] : tokens) scores[token] = score;
}

void keep_min_p(const Options& options, const AnswerSoFar&, Scores scores) {
  const float best = *std::max_element(scores.begin(), scores.end());
  if (best == kForbidden) return;
  const auto share = static_cast<float>(options.min_p);
  for (float& score : scores) score = std::exp(score - best) < share ? kForbidden : score;
}

struct Rule {
  bool (*is_asked)(const Options& options);
  void (*apply)(const Options& options, const AnswerSoFar& so_far, Scores scores);
};

constexpr Rule kRules[] = {
    {[](const Options& o) { return o.repetition_penalty != 1; }, penalise_repetition},
    {[](const Options& o) { return o.presence_penalty != 0; }, penalise_presence},
    {[](const Options& o) { return o.no_repeat_ngram_size > 0; }, forbid_repeated_ngrams},
    {[](const Options& o) { return o.min_new_tokens > 0; }, forbid_early_end},
    {[](const Options& o) { return o.forced_bos_token_id != -1; }, force_first},
    {[](const Options& o) { return !o.forced_eos_token_id.empty(); }, force_last},
    {[](const Options& o) { return !o.suppress_tokens.empty(); }, forbid_suppressed},
    {[](const Options& o) { return !o.begin_suppress_tokens.empty(); }, forbid_suppressed_first},
    {[](const Options& o) { return o.samples() && o.temperature != 1; }, divide_by_temperature},
    {[](const Options& o) { return o.samples() && o.top_k > 0; }, keep_top_k},
    {[](const Options& o) { return o.samples() && o.top_p < 1; }, keep_top_p},
    {[](const Options& o) { return o.samples() && o.min_p > 0; }, keep_min_p},
};

}  // namespace

void apply_rules(const GenerationOptions& options, const AnswerSoFar& so_far,
                 std::span<float> scores) {
  for (const Rule& rule : kRules) {
    if (rule.is_asked(options)) rule.apply(options, so_far, scores);
  }
}

}  // namespace hone
