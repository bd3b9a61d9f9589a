#include "models/kernels/int8_product_simd.h"

#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/_int_mm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/round.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "models/kernels/int8_product.h"
#include "models/kernels/processor.h"
#include "models/kernels/simd.h"
#include "models/kernels/tensors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/int8_product_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

using I8 = hn::Rebind<int8_t, F>;

// With these bits flipped: with that of 128, what has 128 added to it as an unsigned number.
HWY_INLINE void store(hn::Vec<I> x, int8_t* p, Whole, hn::Vec<I8> flips) {
  hn::StoreU(hn::Xor(hn::DemoteTo(I8(), x), flips), I8(), p);
}
HWY_INLINE void store(hn::Vec<I> x, int8_t* p, Part part, hn::Vec<I8> flips) {
  HWY_ALIGN int8_t buffer[kLanes];
  store(x, buffer, Whole(), flips);
  std::copy_n(buffer, part.n, p);
}

// Columns c .. of a row, times the columns' factors where there are any.
template <class T, class P>
HWY_INLINE VF load_times(const T* x, const float* factors, int64_t c, P part) {
  const VF v = load(x + c, part);
  return factors != nullptr ? hn::Mul(v, load(factors + c, part)) : v;
}

template <class T>
void round_rows_of(const Int8Rounding& of, const T* x) {
  const F d;
  int8_t* out = of.values;
  const auto flips = hn::Set(I8(), static_cast<int8_t>(of.is_unsigned ? -128 : 0));
  for (int64_t row = 0; row < of.rows; ++row, x += of.columns, out += of.stride) {
    VF largest = hn::Zero(d),
       zero_or_nan =
           hn::Zero(d);  // NaN if the row has an infinity or a NaN, which a maximum may lose
    for_columns(of.columns, [&](int64_t c, auto part) HWY_ATTR {
      const VF v = load_times(x, of.factors, c, part);
      largest = hn::Max(largest, hn::Abs(v));
      zero_or_nan = hn::MulAdd(v, hn::Zero(d), zero_or_nan);
    });
    const float limit = maximum(largest);
    of.scales[row] = limit / of.levels + sum(zero_or_nan);
    const VF inverse = hn::Set(d, limit > 0 ? of.levels / std::max(limit, 1e-36f)
                                            : 0.0f);  // not infinite for the smallest numbers
    for_columns(of.columns, [&](int64_t c, auto part) HWY_ATTR {
      const VF v = load_times(x, of.factors, c, part);
      store(hn::NearestInt(hn::Mul(v, inverse)), out + c, part, flips);
    });
  }
}

void round_rows_any(const Int8Rounding& of) {
  if (of.is_bf16)
    round_rows_of(of, static_cast<const Bf16*>(of.x));
  else
    round_rows_of(of, static_cast<const float*>(of.x));
}

// `out` may be the sums themselves where it is fp32: both have 4 bytes. A row's own scale, or also
// each column's.
template <class T>
void scale_sums_to(const Int8Sums& of, T* out) {
  const F d;
  const auto* sums = of.sums;
  const VF one = hn::Set(d, 1.0f);
  for (int64_t row = 0; row < of.rows; ++row, sums += of.stride, out += of.out_stride) {
    const VF scale = hn::Set(d, of.row_scales[row]);
    for_columns(of.columns, [&](int64_t c, auto part) HWY_ATTR {
      auto numbers = hn::BitCast(I(), load(sums + c, part));
      if (of.offsets != nullptr)
        numbers = hn::Sub(numbers, hn::BitCast(I(), load(of.offsets + c, part)));
      const VF whole = hn::ConvertTo(d, numbers);
      const VF of_column = of.column_scales != nullptr ? load(of.column_scales + c, part) : one;
      const VF value = hn::Mul(whole, hn::Mul(scale, of_column));
      store(of.bias != nullptr ? hn::Add(value, load(of.bias + c, part)) : value, out + c, part);
    });
  }
}

void scale_sums_any(const Int8Sums& of, void* out, bool is_bf16) {
  if (is_bf16)
    scale_sums_to(of, static_cast<Bf16*>(out));
  else
    scale_sums_to(of, static_cast<float*>(out));
}

// ---- few rows: a decoder's step ----
//
// A row of the weight is read once, as it lies, for all rows of x, which are widened to 16 bits
// before. The sums are whole numbers: in which order does not matter.

using D16 = hn::CappedTag<int16_t, 32>;
using D32 = hn::RepartitionToWide<D16>;
using D8 = hn::Rebind<int8_t, D16>;

template <int64_t kRows>
struct DotSums {
  hn::Vec<D32> even[kRows], odd[kRows];

  HWY_INLINE DotSums() {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) even[i] = odd[i] = hn::Zero(D32());
  }
  HWY_INLINE void add(const int8_t* weights, const int16_t* x, int64_t stride) {
    const auto w = hn::PromoteTo(D16(), hn::LoadU(D8(), weights));
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i)
      even[i] = hn::ReorderWidenMulAccumulate(D32(), w, hn::LoadU(D16(), x + i * stride), even[i],
                                              odd[i]);
  }
  HWY_INLINE int32_t total(int64_t i) const {
    return hn::GetLane(hn::SumOfLanes(D32(), hn::Add(even[i], odd[i])));
  }
};

template <int64_t kRows>
void few_sums(const Int8FewRows& of, int64_t begin, int64_t end) {
  const auto step = static_cast<int64_t>(hn::Lanes(D16()));
  for (int64_t column = begin; column < end; ++column) {
    const int8_t* weights = of.weight + column * of.depth;
    DotSums<kRows> sums;
    int64_t k = 0;
    for (; k + step <= of.depth; k += step) sums.add(weights + k, of.x + k, of.stride);
    if (k < of.depth) {
      HWY_ALIGN int8_t rest[kInt8Step] = {};
      std::copy_n(weights + k, of.depth - k, rest);
      sums.add(rest, of.x + k, of.stride);
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) of.sums[i * of.columns + column] = sums.total(i);
  }
}

template <int64_t kRows = kMostInt8Rows>
void few_sums_of(const Int8FewRows& of, int64_t begin, int64_t end) {
  if (of.rows == kRows) return few_sums<kRows>(of, begin, end);
  if constexpr (kRows > 1) few_sums_of<kRows - 1>(of, begin, end);
}

void few_sums_any(const Int8FewRows& of, int64_t begin, int64_t end) {
  few_sums_of(of, begin, end);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {
HWY_EXPORT(round_rows_any);
HWY_EXPORT(scale_sums_any);
HWY_EXPORT(few_sums_any);

void round_rows_here(const Int8Rounding& of) { HWY_DYNAMIC_DISPATCH(round_rows_any)(of); }
void scale_sums_here(const Int8Sums& of, void* out, bool is_bf16) {
  HWY_DYNAMIC_DISPATCH(scale_sums_any)(of, out, is_bf16);
}

namespace {

// x wᵀ of up to kMostInt8Rows rows. The library's product would lay the weight out anew each time.
at::Tensor few_products(const at::Tensor& x, const at::Tensor& weight) {
  const int64_t rows = x.size(0), depth = x.size(1), columns = weight.size(0),
                stride = (depth + kInt8Step - 1) / kInt8Step * kInt8Step;
  const at::Tensor wide = at::zeros({rows, stride}, x.options().dtype(at::kShort)),
                   sums = at::empty({rows, columns}, x.options().dtype(at::kInt));
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(x.const_data_ptr<int8_t>() + row * depth, depth,
                wide.mutable_data_ptr<int16_t>() + row * stride);
  const Int8FewRows of{rows,
                       depth,
                       stride,
                       columns,
                       wide.const_data_ptr<int16_t>(),
                       weight.const_data_ptr<int8_t>(),
                       sums.mutable_data_ptr<int32_t>()};
  at::parallel_for(0, columns, row_grain(depth), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(few_sums_any)(of, begin, end);
  });
  return sums;
}

}  // namespace

int weight_levels() {
  const bool is_x86 =
      at::cpu::get_cpu_capabilities().contains("avx2");  // listed, whether it is there or not
  return !is_x86 || processor_has("avx512_vnni") || processor_has("avx_vnni") ||
                 processor_has("amx_int8")
             ? 127
             : 63;
}

namespace {

// x times `factors` [columns], where they are defined.
void round_all(const at::Tensor& x, const at::Tensor& factors, const Int8Rows& rounded,
               int levels) {
  TORCH_CHECK(has_kernel(x), "[round_rows] expected fp32 or bf16 on the CPU, received ",
              x.scalar_type(), " on ", x.device());
  const Int8Rounding all{.rows = x.size(0),
                         .columns = x.size(1),
                         .levels = static_cast<float>(levels),
                         .is_bf16 = is_bf16(x),
                         .x = x.const_data_ptr(),
                         .factors = factors.defined() ? factors.const_data_ptr<float>() : nullptr,
                         .values = rounded.values.mutable_data_ptr<int8_t>(),
                         .scales = rounded.scales.mutable_data_ptr<float>(),
                         .stride = x.size(1)};
  const int64_t bytes = all.columns * static_cast<int64_t>(x.element_size());
  at::parallel_for(0, all.rows, row_grain(all.columns), [&](int64_t begin, int64_t end) {
    Int8Rounding part = all;
    part.rows = end - begin;
    part.x = static_cast<const char*>(all.x) + begin * bytes;
    part.values += begin * all.columns;
    part.scales += begin;
    round_rows_here(part);
  });
}

Int8Rows rounded_rows(const at::Tensor& x, const at::Tensor& factors) {
  const Int8Rows rounded{at::empty(x.sizes(), x.options().dtype(at::kChar)),
                         at::empty({x.size(0)}, x.options().dtype(at::kFloat))};
  round_all(x.contiguous(), factors, rounded, 127);
  return rounded;
}

// What sums [N, columns] int32 of rows stand for, in `type`.
at::Tensor values_of_sums(const at::Tensor& sums, const at::Tensor& row_scales,
                          const at::Tensor& column_scales, const at::Tensor& bias,
                          at::ScalarType type) {
  const int64_t columns = sums.size(1);
  const at::Tensor out = type == at::kFloat ? sums.view(at::kFloat)
                                            : at::empty(sums.sizes(), sums.options().dtype(type));
  const auto pointer = [](const at::Tensor& x) {
    return x.defined() ? x.const_data_ptr<float>() : nullptr;
  };
  const Int8Sums all{.rows = sums.size(0),
                     .columns = columns,
                     .sums = static_cast<const float*>(sums.const_data_ptr()),
                     .row_scales = pointer(row_scales),
                     .column_scales = pointer(column_scales),
                     .bias = pointer(bias),
                     .stride = columns,
                     .out_stride = columns};
  auto* const to = static_cast<char*>(out.mutable_data_ptr());
  at::parallel_for(0, all.rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    Int8Sums part = all;
    part.rows = end - begin;
    part.sums += begin * columns;
    part.row_scales += begin;
    scale_sums_here(part, to + begin * columns * out.element_size(), is_bf16(out));
  });
  return out;
}

}  // namespace

void round_rows(const at::Tensor& x, const Int8Rows& rounded, int levels) {
  round_all(x, {}, rounded, levels);
}

at::Tensor int8_product(const at::Tensor& x, const Int8Rows& weight, const at::Tensor& bias) {
  if (x.size(0) == 0) return at::empty({0, weight.values.size(0)}, x.options());
  const Int8Rows rounded = rounded_rows(x, {});
  const at::Tensor sums = x.size(0) <= kMostInt8Rows
                              ? few_products(rounded.values, weight.values)
                              : at::_int_mm(rounded.values, weight.values.t());  // int32 [N, out]
  return values_of_sums(sums, rounded.scales, weight.scales, bias, x.scalar_type());
}

at::Tensor int8_input_gradient(const at::Tensor& g, const Int8Rows& weight) {
  if (g.size(0) == 0) return at::empty({0, weight.values.size(1)}, g.options());
  const Int8Rows rounded = rounded_rows(g, weight.scales);
  return values_of_sums(at::_int_mm(rounded.values, weight.values), rounded.scales, {}, {},
                        g.scalar_type());
}

at::Tensor int8_product_reference(const at::Tensor& x, const Int8Rows& weight,
                                  const at::Tensor& bias) {
  const at::Tensor wide = x.to(at::kDouble), scale = std::get<0>(wide.abs().max(1, true)) / 127;
  const at::Tensor rounded = at::round(wide / scale.clamp_min(std::numeric_limits<double>::min()));
  const at::Tensor y =
      at::mm(rounded, weight.values.to(at::kDouble).t()) * scale * weight.scales.to(at::kDouble);
  return (bias.defined() ? y + bias : y).to(x.scalar_type());
}

}  // namespace hone::kernels
#endif
