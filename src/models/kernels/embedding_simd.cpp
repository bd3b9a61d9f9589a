#include "models/kernels/embedding_simd.h"

#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/embedding_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

void sum_rows_any(const float* rows, const int64_t* positions, int64_t count, int64_t width,
                  bool adds, float* out) {
  for (int64_t c = 0; c < width; c += lanes()) {
    const int64_t n = HWY_MIN(lanes(), width - c);
    VF total = adds ? load_n(out + c, n) : hn::Zero(F());
    for (int64_t i = 0; i < count; ++i)
      total = hn::Add(total, load_n(rows + positions[i] * width + c, n));
    store_n(total, out + c, n);
  }
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(sum_rows_any);

void sum_rows(const float* rows, const int64_t* positions, int64_t count, int64_t width, bool adds,
              float* out) {
  HWY_DYNAMIC_DISPATCH(sum_rows_any)(rows, positions, count, width, adds, out);
}

}  // namespace hone::kernels
#endif
