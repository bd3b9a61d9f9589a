// Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): the momentum of a matrix is
// replaced by the nearest matrix with orthogonal rows or columns, which Newton-Schulz steps come
// close to. Word tables and vectors move by AdamW's rule.
//
//   m = momentum · m + (1 - momentum) · g;   u = momentum · m + (1 - momentum) · g (Nesterov; or m)
//   x -= rate · decay · x + rate · 0.2 √max(rows, columns) · orthogonal(u)
//
// The factor gives a step the size of AdamW's (Liu et al. 2025, https://arxiv.org/abs/2502.16982),
// so that both kinds of tensors share a learning rate: torch.optim.Muon with
// adjust_lr_fn="match_rms_adamw".
#include <ATen/ATen.h>

#include <cmath>

#include "models/layers/products.h"
#include "tune/optim/tensor_rule.h"

namespace hone {
namespace {

// a bᵀ, the same bits on any number of threads.
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& b) {
  return product_of(a.contiguous(), b.contiguous(), std::nullopt);
}

class Muon : public TensorRule {
 public:
  struct Options {
    double momentum = 0.95;
    bool nesterov = true;
    int64_t ns_steps = 5;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // of AdamW's rule
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("momentum", momentum);
      visit("nesterov", nesterov);
      visit("ns_steps", ns_steps);
      visit("beta1", beta1);
      visit("beta2", beta2);
      visit("eps", eps);
    }
    void check(const Config& section) const {
      need_share(section, "momentum", momentum);
      need_share(section, "beta1", beta1);
      need_share(section, "beta2", beta2);
      need_positive(section, "eps", eps);
      if (ns_steps < 1 || ns_steps > 100)
        throw section.error("ns_steps",
                            fmt::format("\"ns_steps\" is {}; it must be 1 to 100", ns_steps));
    }
  };
  explicit Muon(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    const at::Tensor zeros = at::zeros_like(parameter.value);
    if (is_layer(parameter)) return {{"momentum", zeros}};
    return {{"exp_avg", zeros}, {"exp_avg_sq", zeros.clone()}};
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    value.mul_(1 - step.rate * step.weight_decay);
    if (const auto momentum = state.find("momentum"); momentum != state.end())
      move_matrix(value, gradient, momentum->second, step);
    else
      move_as_adamw(value, gradient, state, step);
  }

 private:
  static bool is_layer(const Parameter& parameter) {
    return parameter.value.dim() == 2 && parameter.rows == nullptr &&
           parameter.name.find("embedding") == std::string::npos;
  }

  void move_matrix(const at::Tensor& value, const at::Tensor& gradient, const at::Tensor& momentum,
                   const RuleStep& step) const {
    momentum.lerp_(gradient, 1 - options_.momentum);
    const at::Tensor update =
        options_.nesterov ? at::lerp(gradient, momentum, options_.momentum) : momentum;
    const auto longest = static_cast<double>(std::max(value.size(0), value.size(1)));
    value.sub_(orthogonal(update, step.in_bf16), step.rate * 0.2 * std::sqrt(longest));
  }

  // Singular values come near 1; a zero matrix stays zero.
  at::Tensor orthogonal(const at::Tensor& matrix, bool in_bf16) const {
    const bool is_tall = matrix.size(0) > matrix.size(1);
    const double norm = std::max(std::sqrt(squares_of(matrix)), 1e-7);
    at::Tensor x = (is_tall ? matrix.t() : matrix) / norm;
    if (in_bf16) x = x.to(at::kBFloat16);
    for (int64_t i = 0; i < options_.ns_steps; ++i) {
      const at::Tensor a = times_transposed(x, x);  // symmetric, so a aᵀ is a²
      const at::Tensor b = times_transposed(a, a).mul_(2.0315).sub_(a, 4.7750);
      x = times_transposed(b, x.t()).add_(x, 3.4445);
    }
    return (is_tall ? x.t() : x).to(at::kFloat);
  }

  void move_as_adamw(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
                     const RuleStep& step) const {
    const at::Tensor &m = state.at("exp_avg"), &v = state.at("exp_avg_sq");
    m.lerp_(gradient, 1 - options_.beta1);
    v.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const auto t = static_cast<double>(step.step);
    const double c1 = 1 - std::pow(options_.beta1, t), c2 = 1 - std::pow(options_.beta2, t);
    value.addcdiv_(m, (v / c2).sqrt_().add_(options_.eps), -step.rate / c1);
  }

  Options options_;
};

}  // namespace

OptimizerInfo muon() {
  return {"muon", "orthogonal steps for matrices, AdamW's for the rest", make_by_tensor<Muon>,
          read_options<Muon::Options>};
}

}  // namespace hone
