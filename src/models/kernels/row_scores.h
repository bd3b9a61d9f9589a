// Passes over one row of a model's scores of all tokens, which a step of an answer makes.
#pragma once

#include <cstdint>

namespace hone::kernels {

// The largest of x [n], n > 0; NaN where one of them is no number or +infinity (-infinity is one:
// a token of no probability).
float largest_score(const float* x, int64_t n);
// The first place from `begin` on, below n, of a score above `bound`; n: there is none.
int64_t next_above(const float* x, int64_t begin, int64_t n, float bound);
// x[i] becomes x[i] - log(sum of exp(x)). `largest`: that of x, above -infinity.
void log_softmax_row(float* x, int64_t n, float largest);

}  // namespace hone::kernels
