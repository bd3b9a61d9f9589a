// The inner loops of the embedding's gradient.
#pragma once

#include <cstdint>

namespace hone::kernels {

// out [width] (+)= the sum of the rows positions[0 .. count) of rows [., width], in that order.
void sum_rows(const float* rows, const int64_t* positions, int64_t count, int64_t width, bool adds,
              float* out);

}  // namespace hone::kernels
