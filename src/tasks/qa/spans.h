// Spans from scores: each token of a window has one as the answer's start and one as its end.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tasks/task.h"

namespace hone::qa {

constexpr int32_t kContext = 1;  // Sequence::texts: 0 is the question

// An answer as the model sees it.
struct Candidate {
  Span bytes;        // of the context as it was read, without what cannot be seen at its ends
  double score = 0;  // sum of two logits
};

struct Candidates {
  std::vector<Candidate> spans;  // the best ones, best first, each place once
  double none = 0;               // how likely it is that there is no answer, as a score
};

// From all windows of a record, as Transformers' question answering example finds them: the n best
// starts and ends of each window make spans of at most `longest` pieces of the context. Spans in
// which nothing can be seen are none. That there is no answer has the score of the first token, in
// the window where that is least likely.
Candidates find_candidates(std::span<const Row> windows, std::string_view context, int64_t n_best,
                           int64_t longest);

}  // namespace hone::qa
