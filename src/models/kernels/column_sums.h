// Sums over rows in a fixed order: how gradients of weights and biases stay the same whatever the
// number of threads.
//
// A backward pass is cut into chunks of kChunkRows rows; each chunk sums its rows one after the
// other into its own line of `partial`, and the lines are then added from first to last.
#pragma once

#include <cstdint>
#include <functional>

namespace hone::kernels {

constexpr int64_t kChunkRows = 32;
inline int64_t row_chunks(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// Calls body(begin, end, chunk) for every chunk, on all threads.
void for_row_chunks(int64_t rows,
                    const std::function<void(int64_t begin, int64_t end, int64_t chunk)>& body);

// out[c] = sum over lines of partial[line * stride + c], c < columns.
void sum_lines(const float* partial, int64_t lines, int64_t stride, int64_t columns, float* out);

}  // namespace hone::kernels
