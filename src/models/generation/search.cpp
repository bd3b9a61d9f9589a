#include "models/generation/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "models/generation/logit_rules.h"
#include "models/kernels/row_scores.h"

namespace hone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A key of what the answer depends on: the seed, and the prompt with its source.
uint64_t key_of(const SearchTask& task) {
  uint64_t key = static_cast<uint64_t>(task.prompt.seed.value_or(task.options.seed));
  for (const std::vector<int32_t>* ids : {&task.prompt.source, &task.prompt.ids}) {
    for (const int32_t id : *ids) key = mix(key, static_cast<uint64_t>(id));
  }
  return key;
}

// In [0, 1), for the token at this place of the answer.
double draw(uint64_t key, int64_t place) {
  const std::array<uint32_t, 4> block = philox(key, static_cast<uint64_t>(place), 0);
  return static_cast<double>((uint64_t{block[1]} << 32 | block[0]) >> 11) * 0x1p-53;
}

// The token at which the probabilities of the scores, added up in the tokens' order, pass `share`
// of all. REQUIRES: one score is above -inf.
int32_t token_at(std::span<const float> scores, double share) {
  const float best = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (const float score : scores) total += std::exp(score - best);
  double left = share * total;
  size_t last = 0;
  for (size_t token = 0; token < scores.size(); ++token) {
    const double part = std::exp(scores[token] - best);
    if (part == 0) continue;
    last = token;
    if ((left -= part) < 0) break;
  }
  return static_cast<int32_t>(last);
}

// One sequence: the likeliest token, or a drawn one.
class TokenSearch : public Search {
 public:
  explicit TokenSearch(const SearchTask& task)
      : task_(task), key_(key_of(task)), ids_(task.prompt.ids) {}

  std::vector<Extension> extend(at::Tensor logits) override {
    const std::span<float> scores = row_of_logits(logits, 0, answered()).scores;
    apply_rules(task_.options, so_far(), scores);
    const auto size = static_cast<int64_t>(scores.size());
    const float best = kernels::largest_score(scores.data(), size);
    if (best == -kInfinity) refuse_all_forbidden(answered());
    if (task_.options.samples()) return take(token_at(scores, draw(key_, answered())));
    const float below = std::nextafter(best, -kInfinity);  // of equal ones the first
    return take(static_cast<int32_t>(kernels::next_above(scores.data(), 0, size, below)));
  }
  std::span<const int32_t> settled() const override {
    return std::span(ids_).subspan(task_.prompt.ids.size());
  }
  Generated answer() const override {
    return {{settled().begin(), settled().end()}, end_, reason_};
  }

 private:
  int64_t answered() const { return static_cast<int64_t>(settled().size()); }
  AnswerSoFar so_far() const {
    return {ids_, static_cast<int64_t>(task_.prompt.ids.size()), task_.room};
  }
  std::vector<Extension> take(int32_t token) {
    if (is_end(task_.options, token)) {
      end_ = token;
      reason_ = reason_of_end(task_, answered());
      return {};
    }
    ids_.push_back(token);
    if (answered() < task_.room) return {{0, token}};
    reason_ = reason_of_room(task_);
    return {};
  }

  SearchTask task_;
  uint64_t key_;
  std::vector<int32_t> ids_;  // prompt and answer
  std::optional<int32_t> end_;
  FinishReason reason_ = FinishReason::kInterrupted;
};

}  // namespace

std::unique_ptr<Search> make_search(const SearchTask& task) {
  if (task.options.num_beams > 1) return make_beam_search(task);
  return std::make_unique<TokenSearch>(task);
}

LogitRow row_of_logits(const at::Tensor& logits, int64_t row, int64_t answered) {
  const int64_t width = logits.size(1);
  float* values = logits.mutable_data_ptr<float>() + row * width;
  const float largest = kernels::largest_score(values, width);
  if (std::isnan(largest) || largest == kInfinity)
    throw Error(ErrorKind::kModel,
                fmt::format("the model's scores of token {} of the answer are no numbers: its "
                            "weights have diverged, or are damaged",
                            answered + 1));
  return {{values, static_cast<size_t>(width)}, largest};
}

bool is_end(const GenerationOptions& options, int32_t token) {
  const std::vector<int64_t>& ends = options.eos_token_id;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

FinishReason reason_of_room(const SearchTask& task) {
  return task.room < task.options.max_new_tokens ? FinishReason::kPositions : FinishReason::kLength;
}

FinishReason reason_of_end(const SearchTask& task, int64_t answered) {
  const bool is_forced = answered + 1 == task.room && !task.options.forced_eos_token_id.empty();
  return is_forced ? reason_of_room(task) : FinishReason::kEnd;
}

void refuse_all_forbidden(int64_t answered) {
  throw Error(ErrorKind::kUsage,
              fmt::format("every token is forbidden as token {} of the answer; suppress_tokens, "
                          "no_repeat_ngram_size, min_new_tokens and forced tokens leave none",
                          answered + 1));
}

}  // namespace hone
