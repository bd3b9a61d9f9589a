// LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685): y = W x + b + scaling · B A dropout(x),
// where A [r, in] begins random and B [out, r] at zero. scaling is lora_alpha / r, or lora_alpha /
// √r where use_rslora is set (Kalajdzievski 2023, https://arxiv.org/abs/2312.03732).
//
// With use_dora (Liu et al. 2024, https://arxiv.org/abs/2402.09353) the rows of V = W + scaling · B
// A have lengths that are trained: y = m / ‖V‖ · V x + b. ‖V‖ counts as a constant in the gradient
// (their section 4.3). As in PEFT, dropout is before both parts of what differs from W x.
//
// With init_lora_weights "pissa" (Meng et al. 2024, https://arxiv.org/abs/2404.02948) scaling · B A
// begins as the principal part of W, which W itself loses. A folder holds what has changed since,
// [A; A₀] and [B, -B₀] of rank 2 r, for the base model as it was: PEFT's conversion.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "models/adapters/adapter.h"
#include "models/layers/initialise.h"
#include "models/layers/linear.h"

namespace hone {
namespace {

// A layer of weights without a forward of its own, so that they are called "lora_A.weight".
at::Tensor register_weight(torch::nn::Module& parent, const char* name, const at::Tensor& value) {
  return parent.register_module(name, std::make_shared<torch::nn::Module>())
      ->register_parameter("weight", value);
}

class Lora : public Adapter {
 public:
  // Names and defaults are those of peft.LoraConfig.
  struct Options {
    int64_t r = 8;
    double lora_alpha = 8, lora_dropout = 0;
    bool use_rslora = false, use_dora = false;
    ByModule<int64_t> rank_pattern = {};
    ByModule<double> alpha_pattern = {};
    std::string init_lora_weights = "true";  // or "gaussian", "pissa"
    double loraplus_lr_ratio = 1;            // the rate of B over that of A

    bool is_pissa() const { return init_lora_weights == "pissa"; }
    bool needs_full_base() const { return is_pissa(); }

    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("r", r);
      visit("lora_alpha", lora_alpha);
      visit("lora_dropout", lora_dropout);
      visit("use_rslora", use_rslora);
      visit("use_dora", use_dora);
      visit("rank_pattern", rank_pattern);
      visit("alpha_pattern", alpha_pattern);
      visit("init_lora_weights", init_lora_weights);
      visit("loraplus_lr_ratio", loraplus_lr_ratio);
    }
    void check(const Config& section) const;
    void saved(Json& options) const;
    std::vector<RateFactor> rates() const;
  };

  Lora(const Options& options, const AdapterSite& site);

  at::Tensor apply(const at::Tensor& y, const at::Tensor& x, const Rows& rows) override {
    return lengths_.defined() ? apply_dora(y, x, product(rows))
                              : add_low_rank(y, x, {product(rows)});
  }
  std::optional<LowRank> low_rank(const Rows& rows) const override {
    return lengths_.defined() ? std::nullopt : std::optional(product(rows));
  }
  void merge_into(LinearImpl& layer) override;
  std::vector<std::pair<std::string, at::Tensor>> saved() const override;

 private:
  void begin(const Options& options, uint64_t seed);
  void take_principal_part();
  LowRank product(const Rows& rows) const;
  at::Tensor apply_dora(const at::Tensor& y, const at::Tensor& x, const LowRank& product) const;
  at::Tensor changed_weight() const;  // V
  at::Tensor row_factors() const;     // m / ‖V‖ [out]

  LinearImpl& layer_;             // that holds this adapter
  at::Tensor a_, b_, lengths_;    // lengths_: m [out], or undefined
  at::Tensor first_a_, first_b_;  // of PiSSA; else undefined
  double scaling_, dropout_;
  uint64_t key_;
};

void Lora::Options::check(const Config& section) const {
  const auto refuse = [&](const char* key, const std::string& what) {
    throw section.error(key, fmt::format("\"{}\" is {}", key, what));
  };
  if (r < 1) refuse("r", fmt::format("{}; a rank is 1 or more", r));
  if (!std::isfinite(lora_alpha) || lora_alpha <= 0)
    refuse("lora_alpha",
           fmt::format("{}; it must be more than 0, or nothing that is learned would count",
                       lora_alpha));
  if (!(lora_dropout >= 0 && lora_dropout < 1))
    refuse("lora_dropout", fmt::format("{}; it must be from 0 to less than 1", lora_dropout));
  for (const auto& [name, rank] : rank_pattern.values) {
    if (rank < 1)
      refuse("rank_pattern", fmt::format("{} for \"{}\"; a rank is 1 or more", rank, name));
  }
  for (const auto& [name, alpha] : alpha_pattern.values) {
    if (!std::isfinite(alpha) || alpha <= 0)
      refuse("alpha_pattern", fmt::format("{} for \"{}\"; it must be more than 0", alpha, name));
  }
  if (init_lora_weights != "true" && init_lora_weights != "gaussian" && !is_pissa())
    refuse("init_lora_weights",
           fmt::format("{}; known are true, gaussian and pissa", init_lora_weights));
  if (!std::isfinite(loraplus_lr_ratio) || loraplus_lr_ratio <= 0)
    refuse("loraplus_lr_ratio", fmt::format("{}; it must be more than 0", loraplus_lr_ratio));
}

// scaling stays as it was at twice the rank.
void Lora::Options::saved(Json& options) const {
  options.erase("loraplus_lr_ratio");
  options["init_lora_weights"] = true;
  if (!is_pissa()) return;
  const double factor = use_rslora ? std::sqrt(2.0) : 2.0;
  options["r"] = 2 * r;
  options["lora_alpha"] = factor * lora_alpha;
  for (const auto& [name, rank] : rank_pattern.values) options["rank_pattern"][name] = 2 * rank;
  for (const auto& [name, alpha] : alpha_pattern.values)
    options["alpha_pattern"][name] = factor * alpha;
}

std::vector<RateFactor> Lora::Options::rates() const {
  if (loraplus_lr_ratio == 1) return {};
  return {{"*.lora_B.*", loraplus_lr_ratio}};
}

Lora::Lora(const Options& options, const AdapterSite& site)
    : layer_(site.layer), dropout_(options.lora_dropout), key_(site.key) {
  const int64_t out = site.layer.weight.size(0), in = site.layer.weight.size(1),
                rank = options.rank_pattern.of(site.module, options.r),
                most = std::min(in, out) / (options.is_pissa() ? 2 : 1);
  if (rank > most)
    throw Error(ErrorKind::kUsage,
                fmt::format("rank {} of {}: the layer is of {} x {} weights, and a rank above {}{} "
                            "has more weights than the layer for nothing",
                            rank, site.module, out, in, most,
                            options.is_pissa() ? " (PiSSA's is saved as twice as many)" : ""));
  const double alpha = options.alpha_pattern.of(site.module, options.lora_alpha);
  scaling_ = alpha / (options.use_rslora ? std::sqrt(static_cast<double>(rank))
                                         : static_cast<double>(rank));
  a_ = register_weight(*this, "lora_A", at::zeros({rank, in}));
  b_ = register_weight(*this, "lora_B", at::zeros({out, rank}));
  begin(options, mix(site.seed, site.key));
  if (options.use_dora)
    lengths_ = register_parameter("lora_magnitude_vector", changed_weight().norm(2, 1));
}

void Lora::begin(const Options& options, uint64_t seed) {
  if (options.is_pissa()) return take_principal_part();
  if (options.init_lora_weights == "gaussian")
    return fill_normal(a_, 1 / static_cast<double>(a_.size(0)), seed);
  // PEFT's kaiming_uniform with a = √5.
  fill_uniform(a_, 1 / std::sqrt(static_cast<double>(a_.size(1))), seed);
}

void Lora::take_principal_part() {
  const c10::AutoGradMode no_grad(false);
  const int64_t rank = a_.size(0);
  const auto [u, values, v] = at::linalg_svd(layer_.weight, /*full_matrices=*/false);
  const at::Tensor roots = (values.narrow(0, 0, rank) / scaling_).sqrt();
  a_.copy_(roots.unsqueeze(1) * v.narrow(0, 0, rank));
  b_.copy_(u.narrow(1, 0, rank) * roots);
  first_a_ = a_.clone(), first_b_ = b_.clone();
  layer_.weight.sub_(at::mm(b_, a_), scaling_);
}

std::vector<std::pair<std::string, at::Tensor>> Lora::saved() const {
  auto weights = Adapter::saved();
  if (!first_a_.defined()) return weights;
  for (auto& [name, value] : weights) {
    if (name == "lora_A.weight") value = at::cat({value, first_a_});
    if (name == "lora_B.weight") value = at::cat({value, -first_b_}, 1);
  }
  return weights;
}

LowRank Lora::product(const Rows& rows) const {
  kernels::DropoutOptions dropout = rows.dropout(DropoutPlace::kAdapter, dropout_);
  dropout.seed = mix(dropout.seed, key_);
  return {.a = a_, .b = b_, .scaling = scaling_, .dropout = dropout};
}

void Lora::merge_into(LinearImpl& layer) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor changed = changed_weight();
  layer.weight.copy_(lengths_.defined() ? changed * row_factors().unsqueeze(1) : changed);
}

at::Tensor Lora::changed_weight() const {
  return at::add(layer_.weight_values(), at::mm(b_.detach(), a_.detach()), scaling_);
}

at::Tensor Lora::row_factors() const { return lengths_ / changed_weight().norm(2, 1); }

at::Tensor Lora::apply_dora(const at::Tensor& y, const at::Tensor& x,
                            const LowRank& product) const {
  const at::Tensor factors = row_factors(), bias = layer_.bias;
  const auto without_bias = [&](const at::Tensor& given) {
    const at::Tensor wide = given.to(at::kFloat);
    return bias.defined() ? wide - bias : wide;
  };
  if (product.dropout.p == 0) {
    const at::Tensor scaled = without_bias(add_low_rank(y, x, {product})) * factors;
    return (bias.defined() ? scaled + bias : scaled).to(y.scalar_type());
  }
  const at::Tensor dropped = kernels::dropout(x, product.dropout);
  LowRank rest = product;
  rest.dropout = {};
  const at::Tensor plain = layer_.bare_product(dropped),
                   whole = add_low_rank(plain.clone(), dropped, {rest});
  return (y.to(at::kFloat) - plain.to(at::kFloat) + whole.to(at::kFloat) * factors)
      .to(y.scalar_type());
}

}  // namespace

// The rate: 4e-4 and 5e-4 in the paper's appendix D for RoBERTa.
AdapterInfo lora() {
  return {.name = "lora",
          .peft_type = "LORA",
          .help = "products of low rank beside the layers' own; also DoRA",
          .learning_rate = 5e-4,
          .read = read_adapter<Lora>};
}

}  // namespace hone
