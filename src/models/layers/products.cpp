#include "models/layers/products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "models/kernels/bias.h"
#include "models/kernels/kept_memory.h"
#include "models/kernels/product.h"

namespace hone {

at::Tensor product_of(const at::Tensor& x, const at::Tensor& operand,
                      const std::optional<at::Tensor>& bias) {
  if (kernels::has_product(x, operand)) return kernels::product(x, operand, bias);
  // On a GPU the bias is added where the product is written.
  if (bias && x.is_cuda()) return at::addmm(bias->to(x.scalar_type()), x, operand.t());
  at::Tensor y = at::mm(x, operand.t());
  if (bias) kernels::add_bias(y, *bias);
  return y;
}

at::Tensor input_gradient(const at::Tensor& g, const at::Tensor& operand) {
  return kernels::has_product_gradients(g, operand) ? kernels::product_input_gradient(g, operand)
                                                    : at::mm(g, operand);
}

at::Tensor weight_gradient(const at::Tensor& g, const at::Tensor& x, const at::Tensor& operand) {
  if (kernels::has_product_gradients(x, operand)) return kernels::product_weight_gradient(g, x);
  // A GPU's sums are fp32 whatever it multiplies: they are written as they are.
  if (x.is_cuda() && x.scalar_type() == at::kBFloat16) return at::mm(g.t(), x, at::kFloat);
  if (kernels::is_wider_faster(x))
    return weight_gradient(g.to(at::kFloat), x.to(at::kFloat), operand);
  if (!x.is_cpu() || x.scalar_type() != at::kFloat) return at::mm(g.t(), x).to(at::kFloat);
  at::Tensor result = kernels::kept_empty({g.size(1), x.size(1)});
  return at::mm_out(result, g.t(), x);
}

}  // namespace hone
