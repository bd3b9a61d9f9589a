#include "models/kernels/product_simd.h"

#include <algorithm>

#include "models/kernels/block_product.h"
#include "models/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/product_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

constexpr int64_t kBlock = 64;    // rows of a block product
constexpr int64_t kDepth = 4096;  // of one of bf16: both operands of it fit a core's cache

template <class T>
constexpr bool kIsBf16 = sizeof(T) == 2;

// The product of a unit, of In and Out in memory and T as operands. Columns are padded to multiples
// of 16, bf16's depth too.
template <class In, class T, class Out>
class PanelProduct {
 public:
  PanelProduct(const ProductJob& job, const ProductUnit& unit)
      : job_(job), unit_(unit), width_(HWY_MIN(kPanel, job.columns - unit.column)) {
    const int64_t written = job.written == nullptr ? 0 : job.depth * width_;
    Scratch scratch(sizeof(T) * deep_ * (2 * wide_ + kBlock) + 4 * kBlock * wide_ +
                    sizeof(In) * written + 5 * 64);
    own_panel_ = scratch.take<T>(deep_ * wide_);
    right_rows_ = scratch.take<T>(deep_ * wide_);
    left_rows_ = scratch.take<T>(deep_ * kBlock);
    sums_ = scratch.take<float>(kBlock * wide_);
    written_ = scratch.take<In>(written);
    panel_ = job.panels == nullptr ? own_panel_ : place_in(job.panels);
  }

  void pack(void* panels) const { pack_panel(const_cast<T*>(place_in(panels))); }
  void run() const {
    if (job_.panels == nullptr) pack_panel(own_panel_);
    for (int64_t row = unit_.row_begin; row < unit_.row_end; row += kBlock)
      multiply_block(row, HWY_MIN(kBlock, unit_.row_end - row));
  }

 private:
  struct Operand {
    const T* rows;
    int64_t stride;
  };

  static constexpr bool kIsWidened = sizeof(In) < sizeof(T);

  // Panels before this one are as wide as they can be.
  const T* place_in(const void* panels) const {
    return static_cast<const T*>(panels) + unit_.column * deep_;
  }

  struct Right {
    const In* values;
    int64_t stride;
  };

  // The unit's columns of `right` where they lie, or where they are written.
  Right right_operand() const {
    const In* right = static_cast<const In*>(job_.right);
    if (job_.is_transposed) {
      if (job_.written == nullptr) return {right + unit_.column * job_.depth, job_.depth};
      job_.written->write({unit_.column, width_, 0, job_.depth}, written_, kIsBf16<In>);
      return {written_, job_.depth};
    }
    if (job_.written == nullptr) return {right + unit_.column, job_.columns};
    job_.written->write({0, job_.depth, unit_.column, width_}, written_, kIsBf16<In>);
    return {written_, width_};
  }

  // Packs them as [deep, wide] (bf16: [deep / 2, wide, 2]).
  void pack_panel(T* panel) const {
    const auto [columns, stride] = right_operand();
    if constexpr (kIsBf16<T>) {
      if (!job_.is_transposed) return pair_rows(columns, stride, job_.depth, width_, panel);
    }
    if constexpr (!kIsWidened) {
      if (width_ == wide_ && job_.depth == deep_)
        return transpose_pairs(columns, wide_, deep_, panel);
    }
    copy_rows(columns, job_.depth, width_, job_.depth, right_rows_, wide_, deep_);
    transpose_pairs(right_rows_, wide_, deep_, panel);
  }

  // `count` rows of `left`, of which a block product reads `rows`: where they lie, or copied.
  Operand left_operand(int64_t row, int64_t count, int64_t rows) const {
    const In* left = static_cast<const In*>(job_.left) + row * job_.depth;
    if constexpr (!kIsWidened) {
      if (rows == count && (!kIsBf16<T> || job_.depth == deep_)) return {left, job_.depth};
    }
    copy_rows(left, job_.depth, count, job_.depth, left_rows_, rows, deep_);
    return {left_rows_, deep_};
  }

  void multiply_block(int64_t row, int64_t count) const {
    // oneDNN compiles a kernel for each number of rows, so there are few of bf16.
    const int64_t rows = kIsBf16<T> ? (count + 7) / 8 * 8 : count,
                  depth = kIsBf16<T> ? deep_ : job_.depth;
    const Operand left = left_operand(row, count, rows);
    Out* out = static_cast<Out*>(job_.out) + row * job_.columns + unit_.column;
    float* sums = sums_;
    int64_t stride = wide_;
    if constexpr (!kIsBf16<Out>) {
      // In their place at once.
      if (width_ == wide_ && rows == count) sums = out, stride = job_.columns;
    }
    if constexpr (kIsBf16<T>) {
      for (int64_t k = 0; k < depth; k += kDepth) {
        multiply(rows, wide_, HWY_MIN(kDepth, depth - k), left.rows + k, left.stride,
                 panel_ + k * wide_, wide_, sums, stride, k > 0);
      }
    } else {
      multiply_in_chains(rows, wide_, depth, left.rows, left.stride, panel_, wide_, sums, stride);
    }
    write_block(sums, stride, count, out);
  }

  void write_block(const float* sums, int64_t stride, int64_t count, Out* out) const {
    const float* bias = job_.bias == nullptr ? nullptr : job_.bias + unit_.column;
    if (static_cast<const void*>(sums) == out && bias == nullptr) return;
    for (int64_t i = 0; i < count; ++i, sums += stride, out += job_.columns) {
      for_columns(width_, [&](int64_t c, auto part) HWY_ATTR {
        const VF value = load(sums + c);
        store(bias == nullptr ? value : hn::Add(value, load(bias + c, part)), out + c, part);
      });
    }
  }

  const ProductJob& job_;
  const ProductUnit& unit_;
  const int64_t width_, wide_ = padded(width_), deep_ = padded(job_.depth);
  T *own_panel_, *right_rows_, *left_rows_;
  const T* panel_;
  float* sums_;  // [kBlock, wide]
  In* written_;  // the unit's columns of a `right` that is written
};

template <class Out>
void multiply_bf16_rows(const ProductJob& job, const ProductUnit& unit) {
  job.multiplies_bf16 ? PanelProduct<Bf16, Bf16, Out>(job, unit).run()
                      : PanelProduct<Bf16, float, Out>(job, unit).run();
}

void multiply_rows_any(const ProductJob& job, const ProductUnit& unit) {
  if (!job.is_bf16) return PanelProduct<float, float, float>(job, unit).run();
  job.is_wide ? multiply_bf16_rows<float>(job, unit) : multiply_bf16_rows<Bf16>(job, unit);
}

void pack_panel_any(const ProductJob& job, int64_t column, void* panels) {
  const ProductUnit unit{column, 0, 0};
  if (!job.is_bf16) return PanelProduct<float, float, float>(job, unit).pack(panels);
  job.multiplies_bf16 ? PanelProduct<Bf16, Bf16, Bf16>(job, unit).pack(panels)
                      : PanelProduct<Bf16, float, Bf16>(job, unit).pack(panels);
}

// ---- few rows: a decoder's step ----
//
// A product of few rows is as fast as its weights come from memory. Squares of lanes() rows of
// `right` and 4 values of each are turned in registers, so that a lane is a column of the result
// and its sum the chains of multiply_in_chains.

// Blocks of 4 values, `stride` apart.
template <class D>
HWY_INLINE hn::Vec<D> blocks_of(D d, const float* from, int64_t stride) {
  constexpr int64_t kBytes = sizeof(hn::Vec<D>);
  if constexpr (kBytes == 16) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, blocks_of(half, from + kBytes / 32 * stride, stride),
                       blocks_of(half, from, stride));
  }
}

struct Square {
  VF columns[4];

  // Of the values from[i * stride + k] with i < lanes(), k < 4.
  HWY_INLINE Square(const float* from, int64_t stride) {
    const F d;
    const hn::Repartition<uint64_t, F> wide;
    const VF r0 = blocks_of(d, from, 4 * stride), r1 = blocks_of(d, from + stride, 4 * stride),
             r2 = blocks_of(d, from + 2 * stride, 4 * stride),
             r3 = blocks_of(d, from + 3 * stride, 4 * stride);
    const auto a = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1)),
               b = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3)),
               e = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1)),
               f = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
    columns[0] = hn::BitCast(d, hn::InterleaveLower(wide, a, b));
    columns[1] = hn::BitCast(d, hn::InterleaveUpper(wide, a, b));
    columns[2] = hn::BitCast(d, hn::InterleaveLower(wide, e, f));
    columns[3] = hn::BitCast(d, hn::InterleaveUpper(wide, e, f));
  }
};

// The chain of values begin .. end of x's rows and of lanes() rows from `right` on.
template <int64_t kRows>
struct FewSums {
  VF rows[kRows];

  HWY_INLINE FewSums(const ProductJob& job, const float* right, int64_t begin, int64_t end) {
    const float* left = static_cast<const float*>(job.left);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) rows[i] = hn::Zero(F());
    int64_t k = begin;
    for (; k + 4 <= end; k += 4) {
      if (k % 16 == 0) prefetch_next(right + k, job.depth);
      const Square square(right + k, job.depth);
#pragma GCC unroll 4
      for (int64_t j = 0; j < 4; ++j) add(left + k + j, job.depth, square.columns[j]);
    }
    for (; k < end; ++k) {
      HWY_ALIGN float column[kLanes];
      for (int64_t i = 0; i < lanes(); ++i) column[i] = right[i * job.depth + k];
      add(left + k, job.depth, load(column));
    }
  }

 private:
  // The processor foresees no more than the rows that it has met: a line of each of the next ones.
  static HWY_INLINE void prefetch_next(const float* right, int64_t stride) {
    for (int64_t i = lanes(); i < 2 * lanes(); ++i) hwy::Prefetch(right + i * stride);
  }
  HWY_INLINE void add(const float* left, int64_t stride, VF column) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i)
      rows[i] = hn::MulAdd(hn::Set(F(), left[i * stride]), column, rows[i]);
  }
};

// Columns column .. column + count of the result, at most lanes(), whose rows of `right` lie there.
template <int64_t kRows>
HWY_INLINE void multiply_few_columns(const ProductJob& job, const float* right, int64_t column,
                                     int64_t count) {
  FewSums<kRows> sums(job, right, 0, HWY_MIN(kChain, job.depth));
  for (int64_t k = kChain; k < job.depth; k += kChain) {
    const FewSums<kRows> chain(job, right, k, HWY_MIN(k + kChain, job.depth));
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) sums.rows[i] = hn::Add(sums.rows[i], chain.rows[i]);
  }
  float* out = static_cast<float*>(job.out) + column;
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i, out += job.columns) {
    VF value = sums.rows[i];
    if (job.bias != nullptr) value = hn::Add(value, load_n(job.bias + column, count));
    store_n(value, out, count);
  }
}

template <int64_t kRows>
void multiply_few(const ProductJob& job, int64_t begin, int64_t end) {
  const float* right = static_cast<const float*>(job.right);
  int64_t column = begin;
  for (; column + lanes() <= end; column += lanes())
    multiply_few_columns<kRows>(job, right + column * job.depth, column, lanes());
  if (column == end) return;
  Scratch scratch(sizeof(float) * lanes() * job.depth);
  float* rows = scratch.take<float>(lanes() * job.depth);
  std::fill_n(rows, lanes() * job.depth, 0.0f);
  std::copy_n(right + column * job.depth, (end - column) * job.depth, rows);
  multiply_few_columns<kRows>(job, rows, column, end - column);
}

// Numbers of rows become ones that the compiler knows.
template <int64_t kRows = kFewRows>
void multiply_few_of(const ProductJob& job, int64_t begin, int64_t end) {
  if (job.rows == kRows) return multiply_few<kRows>(job, begin, end);
  if constexpr (kRows > 1) multiply_few_of<kRows - 1>(job, begin, end);
}
void multiply_few_any(const ProductJob& job, int64_t begin, int64_t end) {
  multiply_few_of(job, begin, end);
}

// Calls body(first row, rows, rows padded) for each piece of rows.
template <class Body>
void for_gradient_rows(const WeightGradientJob& job, const Body& body) {
  for (int64_t first = 0; first < job.rows; first += kGradientRows) {
    const int64_t count = HWY_MIN(kGradientRows, job.rows - first);
    body(first, count, padded_gradient_rows(count));
  }
}

void pack_input_any(const WeightGradientJob& job, int64_t column) {
  const int64_t width = HWY_MIN(kPanel, job.in - column);
  Scratch scratch(static_cast<size_t>(2 * kGradientRows * width + 64));
  Bf16* rows = scratch.take<Bf16>(kGradientRows * width);
  for_gradient_rows(job, [&](int64_t first, int64_t count, int64_t depth) {
    copy_rows(job.x + first * job.in + column, job.in, count, width, rows, depth, width);
    pair_rows(rows, depth, width, job.panels + first * job.in + column * depth);
  });
}

void multiply_gradient_any(const WeightGradientJob& job, const ProductUnit& unit) {
  const int64_t first_out = unit.column, width = HWY_MIN(kPanel, job.out - first_out),
                piece = kGradientRows * width;
  Scratch scratch(static_cast<size_t>(3 * 2 * piece + 3 * 64));
  Bf16 *rows = scratch.take<Bf16>(piece), *work = scratch.take<Bf16>(piece),
       *left = scratch.take<Bf16>(piece);
  for_gradient_rows(job, [&](int64_t first, int64_t count, int64_t depth) {
    copy_rows(job.grad + first * job.out + first_out, job.out, count, width, rows, depth, width);
    transpose_plain(rows, depth, width, left, work);
    for (int64_t column = unit.row_begin; column < unit.row_end; column += kPanel) {
      const int64_t columns = HWY_MIN(kPanel, job.in - column);
      multiply(width, columns, depth, left, depth, job.panels + first * job.in + column * depth,
               columns, job.result + first_out * job.in + column, job.in, job.adds || first > 0);
    }
  });
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(multiply_rows_any);
HWY_EXPORT(pack_panel_any);
HWY_EXPORT(multiply_few_any);
HWY_EXPORT(pack_input_any);
HWY_EXPORT(multiply_gradient_any);

void multiply_rows(const ProductJob& job, const ProductUnit& unit) {
  HWY_DYNAMIC_DISPATCH(multiply_rows_any)(job, unit);
}
void pack_panel(const ProductJob& job, int64_t column, void* panels) {
  HWY_DYNAMIC_DISPATCH(pack_panel_any)(job, column, panels);
}
void multiply_few_rows(const ProductJob& job, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(multiply_few_any)(job, begin, end);
}
void pack_input(const WeightGradientJob& job, int64_t column) {
  HWY_DYNAMIC_DISPATCH(pack_input_any)(job, column);
}
void multiply_gradient(const WeightGradientJob& job, const ProductUnit& unit) {
  HWY_DYNAMIC_DISPATCH(multiply_gradient_any)(job, unit);
}

}  // namespace hone::kernels
#endif
