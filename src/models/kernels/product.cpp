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
  const bool lies = job.panels == nullptr && job.written == nullptr;
  if (!job.is_bf16 && job.is_transposed && job.rows <= kFewRows && lies) {
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

// The job of `columns` columns, whose right side is still to be told, and its result.
struct ProductOf {
  at::Tensor out;
  ProductJob job;

  ProductOf(const at::Tensor& left, int64_t columns, const at::Tensor& bias, at::ScalarType type)
      : out(at::empty({left.size(0), columns}, left.options().dtype(type))),
        job{.is_bf16 = is_bf16(left),
            .is_wide = type == at::kFloat,
            .multiplies_bf16 = is_bf16(left) && can_multiply_bf16(),
            .rows = left.size(0),
            .depth = left.size(1),
            .columns = columns,
            .left = left.const_data_ptr(),
            .right = nullptr,
            .is_transposed = true,
            .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
            .out = out.mutable_data_ptr()} {}
};

at::Tensor multiply_all(const at::Tensor& left, const at::Tensor& right, bool is_transposed,
                        const at::Tensor& bias, at::ScalarType type) {
  ProductOf of(left, right.size(is_transposed ? 0 : 1), bias, type);
  of.job.right = right.const_data_ptr();
  of.job.is_transposed = is_transposed;
  multiply_all(of.job);
  return of.out;
}

void check_bias(const std::optional<at::Tensor>& bias, int64_t columns) {
  TORCH_CHECK(!bias || bias->numel() == columns, "[product] expected a bias of ", columns,
              " values, received ", bias ? bias->numel() : 0);
}

// Rows for a product with a weight that is written.
void check_rows_of(const char* name, const at::Tensor& a, int64_t length) {
  TORCH_CHECK(a.dim() == 2 && a.size(1) == length && has_kernel(a), "[", name,
              "] expected fp32 or bf16 rows of ", length, " on the CPU, received ", a.sizes(), " ",
              a.scalar_type());
}

at::ScalarType type_of_result(const at::Tensor& x, std::optional<at::ScalarType> type) {
  const at::ScalarType out = type.value_or(x.scalar_type());
  TORCH_CHECK(out == x.scalar_type() || out == at::kFloat,
              "[product] expected a result in x's type or in fp32, received ", out);
  return out;
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

bool is_wider_faster(const at::Tensor& x) {
  return has_kernel(x) && is_bf16(x) && !can_multiply_bf16();
}

bool has_product_gradients(const at::Tensor& g, const WrittenWeight& weight) {
  return has_kernel(g) && is_bf16(g) && can_multiply_bf16() && weight.rows() % 16 == 0 &&
         weight.columns() % 16 == 0;
}

at::Tensor product(const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, std::optional<at::ScalarType> type) {
  check_sizes("product", x, 1, weight, 1);
  check_bias(bias, weight.size(0));
  return multiply_all(x.contiguous(), weight.contiguous(), /*is_transposed=*/true,
                      bias ? bias->contiguous() : at::Tensor(), type_of_result(x, type));
}

PackedWeight packed(const at::Tensor& weight) {
  TORCH_CHECK(has_kernel(weight) && weight.dim() == 2,
              "[packed] expected a matrix of fp32 or bf16 on the CPU, received ", weight.sizes(),
              " ", weight.scalar_type());
  const at::Tensor plain = weight.contiguous();
  const bool multiplies_bf16 = is_bf16(plain) && can_multiply_bf16();
  const ProductJob job{.is_bf16 = is_bf16(plain),
                       .multiplies_bf16 = multiplies_bf16,
                       .rows = 0,
                       .depth = plain.size(1),
                       .columns = plain.size(0),
                       .left = nullptr,
                       .right = plain.const_data_ptr(),
                       .is_transposed = true,
                       .bias = nullptr,
                       .out = nullptr};
  const at::Tensor panels = at::empty(
      {packed_values(job)}, plain.options().dtype(multiplies_bf16 ? at::kBFloat16 : at::kFloat));
  void* const to = panels.mutable_data_ptr();
  share_out((job.columns + kPanel - 1) / kPanel,
            [&](int64_t panel) { pack_panel(job, panel * kPanel, to); });
  return {panels, job.columns, job.depth, job.is_bf16};
}

at::Tensor product(const at::Tensor& x, const PackedWeight& weight,
                   const std::optional<at::Tensor>& bias, std::optional<at::ScalarType> type) {
  TORCH_CHECK(
      has_kernel(x) && x.dim() == 2 && x.size(1) == weight.in && is_bf16(x) == weight.is_bf16,
      "[product] expected x [N, ", weight.in, "] in the weight's type, received ", x.sizes(), " ",
      x.scalar_type());
  check_bias(bias, weight.out);
  const at::Tensor left = x.contiguous(), added = bias ? bias->contiguous() : at::Tensor();
  ProductOf of(left, weight.out, added, type_of_result(x, type));
  of.job.panels = weight.panels.const_data_ptr();
  of.job.multiplies_bf16 = is_bf16(weight.panels);
  multiply_all(of.job);
  return of.out;
}

at::Tensor product(const at::Tensor& x, const WrittenWeight& weight,
                   const std::optional<at::Tensor>& bias) {
  check_rows_of("product", x, weight.columns());
  check_bias(bias, weight.rows());
  const at::Tensor left = x.contiguous(), added = bias ? bias->contiguous() : at::Tensor();
  ProductOf of(left, weight.rows(), added, x.scalar_type());
  of.job.written = &weight;
  multiply_all(of.job);
  return of.out;
}

at::Tensor product_input_gradient(const at::Tensor& g, const WrittenWeight& weight) {
  check_rows_of("product_input_gradient", g, weight.rows());
  check_is_bf16("product_input_gradient", g);
  const at::Tensor left = g.contiguous();
  ProductOf of(left, weight.columns(), {}, g.scalar_type());
  of.job.is_transposed = false;
  of.job.written = &weight;
  multiply_all(of.job);
  return of.out;
}

at::Tensor product_input_gradient(const at::Tensor& g, const at::Tensor& weight) {
  check_sizes("product_input_gradient", g, 1, weight, 0);
  check_is_bf16("product_input_gradient", g);
  return multiply_all(g.contiguous(), weight.contiguous(), /*is_transposed=*/false, {},
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
