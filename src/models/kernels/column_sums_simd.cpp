#include <ATen/Parallel.h>

#include <algorithm>

#include "models/kernels/column_sums.h"
#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/column_sums_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

void sum_lines_any(const float* partial, int64_t count, int64_t stride, int64_t columns,
                   float* out) {
  for (int64_t c = 0; c < columns; c += lanes()) {
    const int64_t n = HWY_MIN(lanes(), columns - c);
    VF total = hn::Zero(F());
    for (int64_t line = 0; line < count; ++line)
      total = hn::Add(total, load_n(partial + line * stride + c, n));
    store_n(total, out + c, n);
  }
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(sum_lines_any);

void sum_lines(const float* partial, int64_t lines, int64_t stride, int64_t columns, float* out) {
  HWY_DYNAMIC_DISPATCH(sum_lines_any)(partial, lines, stride, columns, out);
}

void for_row_chunks(int64_t rows, const std::function<void(int64_t, int64_t, int64_t)>& body) {
  at::parallel_for(0, row_chunks(rows), 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      body(chunk * kChunkRows, std::min(rows, (chunk + 1) * kChunkRows), chunk);
    }
  });
}

}  // namespace hone::kernels
#endif
