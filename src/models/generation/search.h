// How one answer comes about: which tokens its sequences go on with, given their logits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/generation/generate.h"

namespace hone {

// A sequence that goes on: which one of those there were, and by which token.
struct Extension {
  int64_t sequence = 0;
  int32_t token = 0;
};

class Search {
 public:
  virtual ~Search() = default;

  // Takes the logits [sequences, V] fp32 of its sequences, in the order of the last extensions (at
  // first there is one), and overwrites them. No extension: the answer is there. Error(kModel) for
  // logits that are no numbers, Error(kUsage) where every token is forbidden.
  virtual std::vector<Extension> extend(at::Tensor logits) = 0;
  // Tokens of the answer that are certain, without one that ends it.
  virtual std::span<const int32_t> settled() const = 0;
  // The answer as it is now; kInterrupted before its end.
  virtual Generated answer() const = 0;
};

// What a search is told: a valid prompt, and how many tokens its answer may have.
struct SearchTask {
  const GenerationOptions& options;
  const Prompt& prompt;
  int64_t room = 0;
};
std::unique_ptr<Search> make_search(const SearchTask& task);
std::unique_ptr<Search> make_beam_search(const SearchTask& task);  // beam_search.cpp

// A row of logits, and the largest of them. Error(kModel) where they are no numbers, as +inf is
// none. -inf is one: a token of no probability.
struct LogitRow {
  std::span<float> scores;
  float largest;
};
LogitRow row_of_logits(const at::Tensor& logits, int64_t row, int64_t answered);
bool is_end(const GenerationOptions& options, int32_t token);
// Why an answer without room for a further token has ended.
FinishReason reason_of_room(const SearchTask& task);
// Why one of so many tokens and a token that ends it has: where that one was forced (the last
// place, forced_eos_token_id), for want of room.
FinishReason reason_of_end(const SearchTask& task, int64_t answered);
[[noreturn]] void refuse_all_forbidden(int64_t answered);

}  // namespace hone
