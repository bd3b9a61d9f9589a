#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "models/kernels/bias.h"
#include "models/kernels/column_sums.h"
#include "models/kernels/simd.h"
#include "models/kernels/tensors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/bias_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

template <class T>
void add_bias_typed(T* y, const float* bias, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; ++row, y += columns) {
    for_columns(columns, [&](int64_t c, auto part) HWY_ATTR {
      store(hn::Add(load(y + c, part), load(bias + c, part)), y + c, part);
    });
  }
}

void add_bias_any(void* y, bool is_bf16, const float* bias, int64_t rows, int64_t columns) {
  is_bf16 ? add_bias_typed(static_cast<Bf16*>(y), bias, rows, columns)
          : add_bias_typed(static_cast<float*>(y), bias, rows, columns);
}

template <class T>
void sum_rows_typed(const T* g, int64_t rows, int64_t columns, float* out) {
  for_columns(columns, [&](int64_t c, auto part) HWY_ATTR {
    VF total = load(g + c, part);
    for (int64_t row = 1; row < rows; ++row)
      total = hn::Add(total, load(g + row * columns + c, part));
    store(total, out + c, part);
  });
}

void sum_rows_any(const void* g, bool is_bf16, int64_t rows, int64_t columns, float* out) {
  is_bf16 ? sum_rows_typed(static_cast<const Bf16*>(g), rows, columns, out)
          : sum_rows_typed(static_cast<const float*>(g), rows, columns, out);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(add_bias_any);
HWY_EXPORT(sum_rows_any);

void add_bias(at::Tensor& y, const at::Tensor& bias) {
  if (!has_kernel(y) || !y.is_contiguous()) {
    y.add_(bias);
    return;
  }
  const int64_t columns = y.size(1);
  const bool rounds = is_bf16(y);
  auto* const bytes = static_cast<char*>(y.mutable_data_ptr());
  const auto* const b = bias.const_data_ptr<float>();
  at::parallel_for(0, y.size(0), row_grain(columns), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(add_bias_any)(bytes + begin * columns * y.element_size(), rounds, b,
                                       end - begin, columns);
  });
}

at::Tensor bias_gradient(const at::Tensor& g) {
  if (!has_kernel(g) || !g.is_contiguous()) return g.sum(0, false, at::kFloat);
  const int64_t rows = g.size(0), columns = g.size(1), chunks = row_chunks(rows);
  if (rows == 0) return at::zeros({columns});
  const at::Tensor partial = at::empty({chunks, columns}), out = at::empty({columns});
  auto* const lines = partial.mutable_data_ptr<float>();
  const auto* const bytes = static_cast<const char*>(g.const_data_ptr());
  for_row_chunks(rows, [&](int64_t begin, int64_t end, int64_t chunk) {
    HWY_DYNAMIC_DISPATCH(sum_rows_any)
    (bytes + begin * columns * g.element_size(), is_bf16(g), end - begin, columns,
     lines + chunk * columns);
  });
  sum_lines(lines, chunks, columns, columns, out.mutable_data_ptr<float>());
  return out;
}

}  // namespace hone::kernels
#endif
