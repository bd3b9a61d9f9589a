#include "models/kernels/product.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "models/kernels/block_product.h"
#include "models/kernels/kept_memory.h"
#include "models/kernels/product_simd.h"
#include "models/kernels/share_out.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

const Bf16* bf16_of(const at::Tensor& x) { return static_cast<const Bf16*>(x.const_data_ptr()); }

// fp32 rows that all panels meet before the next ones: they stay near, and packing costs 2 %.
constexpr int64_t kPieceRows = 512;

// Panels of columns; their rows in pieces too, of `most` rows, or where there are fewer panels than
// keep the threads equally busy.
std::vector<ProductUnit> units_of(int64_t rows, int64_t columns, int64_t most) {
  const int64_t panels = (columns + kPanel - 1) / kPanel, wanted = 3 * at::get_num_threads();
  const int64_t pieces = std::clamp<int64_t>((wanted + panels - 1) / panels, 1,
                                             std::max<int64_t>(1, rows / (2 * kPanel)));
  const int64_t piece =
      std::min(most, ((rows + pieces - 1) / pieces + kPanel - 1) / kPanel * kPanel);
  std::vector<ProductUnit> units;
  for (int64_t row = 0; row < rows; row += piece) {
    for (int64_t column = 0; column < columns; column += kPanel)
      units.push_back({column, row, std::min(rows, row + piece)});
  }
  return units;
}

// Of few rows: columns for a thread at a time, a multiple of what registers hold. Threads that come
// late leave some to others.
int64_t few_columns_of(const ProductJob& job) {
  const int64_t pieces = 2 * at::get_num_threads();
  return std::clamp<int64_t>(padded((job.columns + pieces - 1) / pieces), kLanes, 1024);
}

void multiply_all(const ProductJob& job) {
  const bool lies = job.written == nullptr;
  if (!job.is_bf16 && job.is_transposed && lies && job.rows <= kFewRows) {
    const int64_t columns = few_columns_of(job);
    return share_out((job.columns + columns - 1) / columns, [&](int64_t i) {
      multiply_few_rows(job, i * columns, std::min(job.columns, (i + 1) * columns));
    });
  }
  const std::vector<ProductUnit> units =
      units_of(job.rows, job.columns, job.is_bf16 ? job.rows : kPieceRows);
  share_out(static_cast<int64_t>(units.size()), [&](int64_t i) { multiply_rows(job, units[i]); });
}

// Two matrices of one type, of which these two axes are as long as each other.
void check_sizes(const char* name, const at::Tensor& a, int64_t a_axis, const at::Tensor& b,
                 int64_t b_axis) {
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(a_axis) == b.size(b_axis) && has_kernel(a) &&
                  a.scalar_type() == b.scalar_type(),
              "[", name, "] expected two matrices of one type whose sizes agree, received ",
              a.sizes(), " ", a.scalar_type(), " and ", b.sizes(), " ", b.scalar_type());
}

void check_is_bf16(const char* name, const at::Tensor& x) {
  TORCH_CHECK(is_bf16(x), "[", name, "] expected bf16, received ", x.scalar_type());
}

// The right operand: a tensor, or a weight that is written.
struct RightOperand {
  const void* values;
  const WrittenWeight* written;
  bool is_transposed;
  int64_t columns;
};

RightOperand right_operand(const at::Tensor& right, bool is_transposed) {
  return {right.const_data_ptr(), nullptr, is_transposed, right.size(is_transposed ? 0 : 1)};
}

RightOperand right_operand(const WrittenWeight& right, bool is_transposed) {
  return {nullptr, &right, is_transposed, is_transposed ? right.rows() : right.columns()};
}

at::Tensor multiply_all(const at::Tensor& left, const RightOperand& right, const at::Tensor& bias,
                        at::ScalarType type) {
  at::Tensor out = at::empty({left.size(0), right.columns}, left.options().dtype(type));
  const ProductJob job{.is_bf16 = is_bf16(left),
                       .is_wide = type == at::kFloat,
                       .multiplies_bf16 = is_bf16(left) && can_multiply_bf16(),
                       .rows = left.size(0),
                       .depth = left.size(1),
                       .columns = right.columns,
                       .left = left.const_data_ptr(),
                       .right = right.values,
                       .is_transposed = right.is_transposed,
                       .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                       .out = out.mutable_data_ptr(),
                       .written = right.written};
  multiply_all(job);
  return out;
}

void check_bias_length(const std::optional<at::Tensor>& bias, int64_t columns) {
  TORCH_CHECK(!bias || bias->numel() == columns, "[product] expected a bias of ", columns,
              " values, received ", bias->sizes());
}

at::Tensor contiguous_bias(const std::optional<at::Tensor>& bias) {
  return bias ? bias->contiguous() : at::Tensor();
}

// Rows for a product with a weight that is written.
void check_sizes(const char* name, const at::Tensor& a, int64_t length) {
  TORCH_CHECK(a.dim() == 2 && a.size(1) == length && has_kernel(a), "[", name,
              "] expected fp32 or bf16 rows of ", length, " on the CPU, received ", a.sizes(), " ",
              a.scalar_type());
}

}  // namespace

bool has_product(const at::Tensor& x, const at::Tensor& weight) {
  return has_kernel(x) && x.scalar_type() == weight.scalar_type() && weight.dim() == 2 &&
         weight.numel() > 0;
}

bool has_product_gradients(const at::Tensor& x, const at::Tensor& weight) {
  return has_product(x, weight) && is_bf16(x) && can_multiply_bf16() && weight.size(0) % 16 == 0 &&
         weight.size(1) % 16 == 0;
}

bool has_product_gradients(const at::Tensor& g, const WrittenWeight& weight) {
  return has_kernel(g) && is_bf16(g) && can_multiply_bf16() && weight.rows() % 16 == 0 &&
         weight.columns() % 16 == 0;
}

at::Tensor product(const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, std::optional<at::ScalarType> type) {
  check_sizes("product", x, 1, weight, 1);
  check_bias_length(bias, weight.size(0));
  const at::ScalarType out = type.value_or(x.scalar_type());
  TORCH_CHECK(out == x.scalar_type() || out == at::kFloat,
              "[product] expected a result in x's type or in fp32, received ", out);
  const at::Tensor operand = weight.contiguous();
  return multiply_all(x.contiguous(), right_operand(operand, /*is_transposed=*/true),
                      contiguous_bias(bias), out);
}

at::Tensor product(const at::Tensor& x, const WrittenWeight& weight,
                   const std::optional<at::Tensor>& bias) {
  check_sizes("product", x, weight.columns());
  check_bias_length(bias, weight.rows());
  return multiply_all(x.contiguous(), right_operand(weight, /*is_transposed=*/true),
                      contiguous_bias(bias), x.scalar_type());
}

at::Tensor product_input_gradient(const at::Tensor& g, const at::Tensor& weight) {
  check_sizes("product_input_gradient", g, 1, weight, 0);
  check_is_bf16("product_input_gradient", g);
  const at::Tensor operand = weight.contiguous();
  return multiply_all(g.contiguous(), right_operand(operand, /*is_transposed=*/false), {},
                      g.scalar_type());
}

at::Tensor product_input_gradient(const at::Tensor& g, const WrittenWeight& weight) {
  check_sizes("product_input_gradient", g, weight.rows());
  check_is_bf16("product_input_gradient", g);
  return multiply_all(g.contiguous(), right_operand(weight, /*is_transposed=*/false), {},
                      g.scalar_type());
}

namespace {

void multiply_weight_gradient(const at::Tensor& gradient, const at::Tensor& input,
                              const at::Tensor& result, bool adds) {
  const at::Tensor g = gradient.contiguous(), x = input.contiguous();
  const at::Tensor panels = at::empty({padded_gradient_rows(x.size(0)) * x.size(1)}, x.options());
  const WeightGradientJob job{.rows = x.size(0),
                              .out = g.size(1),
                              .in = x.size(1),
                              .grad = bf16_of(g),
                              .x = bf16_of(x),
                              .panels = static_cast<Bf16*>(panels.mutable_data_ptr()),
                              .result = result.mutable_data_ptr<float>(),
                              .adds = adds};
  share_out((job.in + kPanel - 1) / kPanel,
            [&](int64_t panel) { pack_input(job, panel * kPanel); });
  const std::vector<ProductUnit> units = units_of(job.in, job.out, job.in);
  share_out(static_cast<int64_t>(units.size()),
            [&](int64_t i) { multiply_gradient(job, units[i]); });
}

}  // namespace

at::Tensor product_weight_gradient(const at::Tensor& g, const at::Tensor& x) {
  check_sizes("product_weight_gradient", g, 0, x, 0);
  check_is_bf16("product_weight_gradient", x);
  at::Tensor result = kept_empty({g.size(1), x.size(1)});
  if (x.size(0) == 0) return result.zero_();
  multiply_weight_gradient(g, x, result, /*adds=*/false);
  return result;
}

void add_product_weight_gradient(const at::Tensor& g, const at::Tensor& x, const at::Tensor& sum) {
  check_sizes("add_product_weight_gradient", g, 0, x, 0);
  check_is_bf16("add_product_weight_gradient", x);
  TORCH_CHECK(sum.sizes() == at::IntArrayRef({g.size(1), x.size(1)}) && sum.is_contiguous() &&
                  sum.scalar_type() == at::kFloat,
              "[add_product_weight_gradient] expected a contiguous fp32 sum [", g.size(1), ", ",
              x.size(1), "], received ", sum.sizes());
  if (x.size(0) > 0) multiply_weight_gradient(g, x, sum, /*adds=*/true);
}

}  // namespace hone::kernels
