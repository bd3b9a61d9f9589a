// Vectors of relative positions as operands of attention's products; see attention_positions.h.
#include "models/kernels/attention_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/attention_positions_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

template <class In, class T>
void pack_table(const AttentionJob& job, const HeadRows& from, const int64_t* bucket, int64_t count,
                int64_t head, const PositionTable& to) {
  const int64_t width = padded(job.dim), values = to.size * width;
  Scratch scratch(static_cast<size_t>(values) * sizeof(T) + 64);
  T* rows = scratch.take<T>(values);
  for (int64_t place = 0; place < count; ++place)
    copy_rows(head_rows<In>(from, bucket[place], head), from.row, 1, job.dim, rows + place * width,
              1, width);
  copy_rows(static_cast<const In*>(nullptr), 0, 0, job.dim, rows + count * width, to.size - count,
            width);
  transpose_pairs(rows, to.size, width, static_cast<T*>(to.operand) + head * values);
  if (to.rows == nullptr) return;
  T* pairs = static_cast<T*>(to.rows) + head * values;
  if constexpr (kIsBf16<T>) {
    pair_rows(rows, to.size, width, pairs);
  } else {
    copy_rows(rows, width, to.size, width, pairs, to.size, width);
  }
}

void pack_any(const AttentionJob& job, const HeadRows& from, const int64_t* bucket, int64_t count,
              int64_t head, const PositionTable& to) {
  if (job.multiplies_bf16) return pack_table<Bf16, Bf16>(job, from, bucket, count, head, to);
  job.is_bf16 ? pack_table<Bf16, float>(job, from, bucket, count, head, to)
              : pack_table<float, float>(job, from, bucket, count, head, to);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(pack_any);

void attention_pack_positions(const AttentionJob& job, const HeadRows& from, const int64_t* bucket,
                              int64_t count, int64_t head, const PositionTable& to) {
  HWY_DYNAMIC_DISPATCH(pack_any)(job, from, bucket, count, head, to);
}

}  // namespace hone::kernels
#endif
