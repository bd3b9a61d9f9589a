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
#include "tune/optim/adam_moments.h"

namespace hone {
namespace {

// a bᵀ, the same bits on any number of threads.
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& b) {
  return product_of(a.contiguous(), b.contiguous(), std::nullopt);
}

class Muon : public TensorRule {
 public:
  struct Options : AdamNumbers {  // of AdamW's rule
    double momentum = 0.95;
    bool nesterov = true;
    int64_t ns_steps = 5;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("momentum", momentum);
      visit("nesterov", nesterov);
      visit("ns_steps", ns_steps);
      AdamNumbers::for_each(visit);
    }
    void check(const Config& section) const {
      need_share(section, "momentum", momentum);
      AdamNumbers::check(section);
      if (ns_steps < 1 || ns_steps > 100)
        throw section.error("ns_steps",
                            fmt::format("\"ns_steps\" is {}; it must be 1 to 100", ns_steps));
    }
  };
  explicit Muon(const Options& options) : options_(options) {}

  RuleState start(const Parameter& parameter) const override {
    if (is_layer(parameter)) return {{"momentum", at::zeros_like(parameter.value)}};
    return start_moments(parameter);
  }
  void update(const at::Tensor& value, const at::Tensor& gradient, RuleState& state,
              const RuleStep& step) const override {
    value.mul_(1 - step.rate * step.weight_decay);
    if (const auto momentum = state.find("momentum"); momentum != state.end())
      move_matrix(value, gradient, momentum->second, step);
    else
      move_by_adam(value, gradient, state, options_, step);
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

  Options options_;
};

}  // namespace

OptimizerInfo muon() {
  return {"muon", "orthogonal steps for matrices, AdamW's for the rest", make_by_tensor<Muon>,
          read_options<Muon::Options>};
}

}  // namespace hone
