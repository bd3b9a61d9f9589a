// Work on block products in units, shared among the threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "models/kernels/block_product.h"

namespace hone::kernels {

// body(i) once for each i < count, by whichever thread is free. Units write to places of their own,
// so which thread takes which changes nothing.
template <class Body>
void share_out(int64_t count, const Body& body) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), count), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < count; i = next++) body(i);
    release_multiplier();
  });
}

}  // namespace hone::kernels
