// Whole-number products over a weight that was laid out before. Rows of x become unsigned by adding
// 128, as the processor's products want them, and 128 times a column's sum is taken from it again:
// whole numbers, so nothing is lost.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "models/kernels/block_product.h"
#include "models/kernels/int8_product.h"
#include "models/kernels/int8_product_simd.h"
#include "models/kernels/product_simd.h"
#include "models/kernels/scratch.h"
#include "models/kernels/share_out.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

constexpr int64_t kInt8Deep = 64;       // values of a row that a product takes at a time
constexpr int64_t kInt8Block = 64;      // rows of a block product
constexpr int64_t kMostInt8In = 65536;  // of which sums fit into 32 bits

int64_t int8_deep(int64_t in) { return (in + kInt8Deep - 1) / kInt8Deep * kInt8Deep; }

// oneDNN compiles a kernel for each number of rows, so there are few.
int64_t int8_rows(int64_t rows) { return rows == 1 ? 1 : (rows + 7) / 8 * 8; }

// The panel of columns column .. column + width as [deep / 4, wide, 4], and the columns' offsets.
void pack_int8_panel(const int8_t* weight, int64_t in, int64_t width, int8_t* panel,
                     int32_t* offsets) {
  const int64_t wide = padded(width);
  for (int64_t c = 0; c < width; ++c) {
    int32_t sum = 0;
    for (int64_t k = 0; k < in; ++k) {
      const int8_t value = weight[c * in + k];
      panel[(k / 4 * wide + c) * 4 + k % 4] = value;
      sum += value;
    }
    offsets[c] = 128 * sum;
  }
}

// Rows of x as unsigned numbers: [padded rows, deep], zeros around, and their scales.
struct UnsignedRows {
  at::Tensor values, scales;

  UnsignedRows(const at::Tensor& x, int64_t rows, int64_t deep)
      : values(x.size(1) == deep && x.size(0) == rows
                   ? at::empty({rows, deep}, x.options().dtype(at::kChar))
                   : at::zeros({rows, deep}, x.options().dtype(at::kChar))),
        scales(at::empty({x.size(0)}, x.options().dtype(at::kFloat))) {
    const int64_t bytes = x.size(1) * static_cast<int64_t>(x.element_size());
    const auto* from = static_cast<const char*>(x.const_data_ptr());
    at::parallel_for(0, x.size(0), row_grain(x.size(1)), [&](int64_t begin, int64_t end) {
      round_rows_here({.rows = end - begin,
                       .columns = x.size(1),
                       .levels = 127,
                       .is_bf16 = is_bf16(x),
                       .x = from + begin * bytes,
                       .factors = nullptr,
                       .values = values.mutable_data_ptr<int8_t>() + begin * deep,
                       .scales = scales.mutable_data_ptr<float>() + begin,
                       .stride = deep,
                       .is_unsigned = true});
    });
  }
};

class PackedInt8Product {
 public:
  PackedInt8Product(const UnsignedRows& x, const PackedInt8& weight, const at::Tensor& bias,
                    const at::Tensor& out)
      : x_(x),
        weight_(weight),
        bias_(bias),
        out_(out),
        values_(reinterpret_cast<const uint8_t*>(x.values.const_data_ptr<int8_t>())) {}

  // All rows of the panel that begins at this column.
  void run(int64_t column) const {
    const int64_t rows = out_.size(0), width = std::min(kPanel, weight_.out - column);
    Scratch scratch(sizeof(int32_t) * kInt8Block * padded(width));
    auto* sums = scratch.take<int32_t>(kInt8Block * padded(width));
    for (int64_t row = 0; row < rows; row += kInt8Block)
      multiply_block(row, std::min(kInt8Block, rows - row), column, width, sums);
  }

 private:
  void multiply_block(int64_t row, int64_t count, int64_t column, int64_t width,
                      int32_t* sums) const {
    const int64_t deep = int8_deep(weight_.in), wide = padded(width);
    multiply(int8_rows(count), wide, deep, values_ + row * deep, deep,
             weight_.panels.const_data_ptr<int8_t>() + column * deep, wide, sums, wide,
             /*adds=*/false);
    const auto size = static_cast<int64_t>(out_.element_size());
    scale_sums_here(
        {.rows = count,
         .columns = width,
         .sums = reinterpret_cast<const float*>(sums),
         .row_scales = x_.scales.const_data_ptr<float>() + row,
         .column_scales = weight_.scales.const_data_ptr<float>() + column,
         .bias = bias_.defined() ? bias_.const_data_ptr<float>() + column : nullptr,
         .stride = wide,
         .out_stride = weight_.out,
         .offsets = static_cast<const float*>(weight_.offsets.const_data_ptr()) + column},
        static_cast<char*>(out_.mutable_data_ptr()) + (row * weight_.out + column) * size,
        is_bf16(out_));
  }

  const UnsignedRows& x_;
  const PackedInt8& weight_;
  const at::Tensor &bias_, &out_;
  const uint8_t* values_;
};

}  // namespace

bool can_pack(const Int8Rows& weight) {
  return weight.values.defined() && weight.values.is_cpu() && weight.values.numel() > 0 &&
         weight.values.size(1) <= kMostInt8In && weight_levels() == 127 && can_multiply_int8();
}

PackedInt8 packed(const Int8Rows& weight) {
  const at::Tensor values = weight.values.contiguous();
  const int64_t out = values.size(0), in = values.size(1), deep = int8_deep(in);
  PackedInt8 result{at::zeros({deep * padded(out)}, values.options()), weight.scales.contiguous(),
                    at::empty({out}, values.options().dtype(at::kInt)), out, in};
  const auto* from = values.const_data_ptr<int8_t>();
  auto* const panels = result.panels.mutable_data_ptr<int8_t>();
  auto* const offsets = result.offsets.mutable_data_ptr<int32_t>();
  share_out((out + kPanel - 1) / kPanel, [&](int64_t panel) {
    const int64_t column = panel * kPanel;
    pack_int8_panel(from + column * in, in, std::min(kPanel, out - column), panels + column * deep,
                    offsets + column);
  });
  return result;
}

at::Tensor int8_product(const at::Tensor& given, const PackedInt8& weight, const at::Tensor& bias) {
  const at::Tensor x = given.contiguous();
  TORCH_CHECK(has_kernel(x) && x.dim() == 2 && x.size(1) == weight.in,
              "[int8_product] expected x [N, ", weight.in,
              "] of fp32 or bf16 on the CPU, received ", x.sizes(), " ", x.scalar_type());
  at::Tensor out = at::empty({x.size(0), weight.out}, x.options());
  if (x.size(0) == 0) return out;
  const int64_t whole = x.size(0) / kInt8Block * kInt8Block, rest = x.size(0) - whole;
  const UnsignedRows rows(x, whole + (rest == 0 ? 0 : int8_rows(rest)), int8_deep(weight.in));
  const PackedInt8Product product(rows, weight, bias, out);
  share_out((weight.out + kPanel - 1) / kPanel,
            [&](int64_t panel) { product.run(panel * kPanel); });
  return out;
}

}  // namespace hone::kernels
