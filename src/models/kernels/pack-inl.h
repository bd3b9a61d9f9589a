// Operands of block products: padded rows, pairs of rows, transposed rows (see block_product.h).
// Include inside no namespace.
#if defined(HONE_MODELS_KERNELS_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HONE_MODELS_KERNELS_PACK_INL_H_
#undef HONE_MODELS_KERNELS_PACK_INL_H_
#else
#define HONE_MODELS_KERNELS_PACK_INL_H_
#endif

#include <hwy/cache_control.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {

// Asks for the `width` values of a row that is `ahead` rows of `stride` values away, where that is
// so far that the processor does not foresee it (strides of kilobytes).
template <class In>
HWY_INLINE void prefetch_row(const In* row, int64_t ahead, int64_t stride, int64_t width) {
  constexpr int64_t kLine = 64 / sizeof(In);
  if (stride <= width) return;
  for (int64_t c = 0; c < width; c += kLine) hwy::Prefetch(row + ahead * stride + c);
}
constexpr int64_t kRowsAhead = 16;

// `n` rows of `dim` values, `stride` apart, into [rows, width] with zeros around.
template <class In, class T>
void copy_rows(const In* from, int64_t stride, int64_t n, int64_t dim, T* to, int64_t rows,
               int64_t width) {
  for (int64_t i = 0; i < n; ++i) {
    prefetch_row(from + i * stride, kRowsAhead, stride, width);
    for (int64_t c = 0; c < width; c += lanes()) {
      const int64_t count = HWY_MIN(lanes(), dim - c);
      store(count > 0 ? load_n(from + i * stride + c, count) : hn::Zero(F()), to + i * width + c);
    }
  }
  for (int64_t i = n * width; i < rows * width; i += lanes()) store(hn::Zero(F()), to + i);
}
inline void copy_rows(const Bf16* from, int64_t stride, int64_t n, int64_t dim, Bf16* to,
                      int64_t rows, int64_t width) {
  const U16 d;
  for (int64_t i = 0; i < n; ++i) {
    prefetch_row(from + i * stride, kRowsAhead, stride, width);
    for (int64_t c = 0; c < width; c += lanes()) {
      if (c + lanes() <= dim) {
        hn::StoreU(hn::LoadU(d, &from[i * stride + c].bits), d, &to[i * width + c].bits);
      } else {
        for (int64_t k = c; k < c + lanes(); ++k)
          to[i * width + k] = k < dim ? from[i * stride + k] : Bf16{0};
      }
    }
  }
  for (int64_t i = n * width; i < rows * width; i += lanes())
    hn::StoreU(hn::Zero(d), d, &to[i].bits);
}

// [rows, width] to [rows / 2, width, 2]: the right operand of a product. Plain fp32 rows already
// are one.
inline const float* pair_rows(const float* from, int64_t, int64_t, float*) { return from; }
// Those of bf16 may be `stride` apart.
inline void pair_rows(const Bf16* from, int64_t stride, int64_t rows, int64_t width, Bf16* to) {
  for (int64_t i = 0; i < rows; i += 2) {
    const Bf16 *even = from + i * stride, *odd = even + stride;
    prefetch_row(even, kRowsAhead, stride, width);
    prefetch_row(odd, kRowsAhead, stride, width);
    uint32_t* out = reinterpret_cast<uint32_t*>(to + i * width);
    for (int64_t c = 0; c < width; c += lanes()) {
      const VU low = hn::PromoteTo(U(), hn::LoadU(U16(), &even[c].bits)),
               high = hn::PromoteTo(U(), hn::LoadU(U16(), &odd[c].bits));
      hn::StoreU(hn::Or(low, hn::ShiftLeft<16>(high)), U(), out + c);
    }
  }
}
inline const Bf16* pair_rows(const Bf16* from, int64_t rows, int64_t width, Bf16* to) {
  pair_rows(from, width, rows, width, to);
  return to;
}

// A block of 4 x 4 of 32-bit values, rows `columns` and `rows` apart.
template <class V>
HWY_INLINE void transpose_block(const V* p, int64_t columns, int64_t rows, V* q) {
  const hn::CappedTag<V, 4> d;  // at least 4 lanes on every target
  const hn::Repartition<uint64_t, decltype(d)> wide;
  const auto r0 = hn::LoadU(d, p), r1 = hn::LoadU(d, p + columns),
             r2 = hn::LoadU(d, p + 2 * columns), r3 = hn::LoadU(d, p + 3 * columns);
  const auto a = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1)),
             b = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3));
  const auto e = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1)),
             f = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, a, b)), d, q);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, a, b)), d, q + rows);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, e, f)), d, q + 2 * rows);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, e, f)), d, q + 3 * rows);
}

// [rows, columns] of 32-bit values to [columns, rows]; both multiples of 4. A cache line of columns
// at a time, so that what is written stays near.
template <class V>
void transpose(const V* from, int64_t rows, int64_t columns, V* to) {
  for (int64_t first = 0; first < columns; first += 16) {
    const int64_t end = HWY_MIN(columns, first + 16);
    for (int64_t i = 0; i < rows; i += 4) {
      for (int64_t c = first; c < end; c += 4)
        transpose_block(from + i * columns + c, columns, rows, to + c * rows + i);
    }
  }
}

// [rows, width] to the right operand [width, rows] (bf16: [width / 2, rows, 2]).
inline void transpose_pairs(const float* from, int64_t rows, int64_t width, float* to) {
  transpose(from, rows, width, to);
}
inline void transpose_pairs(const Bf16* from, int64_t rows, int64_t width, Bf16* to) {
  transpose(reinterpret_cast<const uint32_t*>(from), rows, width / 2,
            reinterpret_cast<uint32_t*>(to));
}

// [rows, width] to the left operand [width, rows]; `work` as large as `to`.
inline void transpose_plain(const float* from, int64_t rows, int64_t width, float* to, float*) {
  transpose(from, rows, width, to);
}
inline void transpose_plain(const Bf16* from, int64_t rows, int64_t width, Bf16* to, Bf16* work) {
  transpose_pairs(from, rows, width, work);
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(work);
  for (int64_t c = 0; c < width; c += 2) {
    for (int64_t i = 0; i < rows; i += lanes()) {
      const VU both = hn::LoadU(U(), pairs + c / 2 * rows + i);
      hn::StoreU(hn::TruncateTo(U16(), both), U16(), &to[c * rows + i].bits);
      hn::StoreU(hn::TruncateTo(U16(), hn::ShiftRight<16>(both)), U16(),
                 &to[(c + 1) * rows + i].bits);
    }
  }
}

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
