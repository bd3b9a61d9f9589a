// Work on many arrays cut into pieces of like size: the unit of work, and of summation.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hone {

constexpr int64_t kPiece = 16384;  // values that one task takes: 64 KiB of each array

struct Piece {
  size_t index;  // of the array
  int64_t begin, end;
};

inline void cut(size_t index, int64_t begin, int64_t end, std::vector<Piece>& pieces) {
  for (int64_t from = begin; from < end; from += kPiece)
    pieces.push_back({index, from, std::min(end, from + kPiece)});
}

template <class Body>
void for_pieces(const std::vector<Piece>& pieces, const Body& body) {
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) body(i, pieces[i]);
  });
}

// Of fp32 arrays on the CPU: in double, the pieces in their order whatever the number of threads.
double sum_of_squares(const std::vector<Piece>& pieces, const std::vector<at::Tensor>& arrays);

}  // namespace hone
