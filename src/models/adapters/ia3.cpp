// (IA)³ (Liu et al. 2022, https://arxiv.org/abs/2205.05638): a factor for each output of a layer,
// or, for layers of the feed-forward part, for each input; all begin at 1. Where no layers are
// named, they are the paper's: keys, values, and what is between the two products of feed-forward.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "models/layers/linear.h"

namespace hone {
namespace {

// What families call the layers that give keys and values; some give queries with them.
constexpr const char* kKeysAndValues =
    "key|value|key_proj|value_proj|k_proj|v_proj|k_lin|v_lin|k|v|in_proj|c_attn|qkv_proj|Wqkv";
// And the second product of feed-forward.
constexpr const char* kFeedForward =
    R"(\d+\.output\.dense|ffn_output|ffn\.lin2|fc2|down_proj|wo|mlp\.c_proj|mlp\.Wo)";

std::string any_of_ends(const std::string& ends) { return R"(.*\.()" + ends + ")"; }

class Ia3 : public Adapter {
 public:
  // Names are those of peft.IA3Config.
  struct Options {
    ModuleNames feedforward_modules = {};  // whose inputs are scaled

    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("feedforward_modules", feedforward_modules);
    }
    void check(const Config&) const {}
  };

  Ia3(const Options& options, const AdapterSite& site)
      : scales_input_(options.feedforward_modules.matches(site.module)) {
    const at::Tensor& weight = site.layer.weight;
    factors_ = register_parameter(
        "ia3_l", scales_input_ ? at::ones({1, weight.size(1)}) : at::ones({weight.size(0), 1}));
  }

  bool changes_input() const override { return scales_input_; }
  at::Tensor input(const at::Tensor& x) override { return scales_input_ ? scaled(x) : x; }
  at::Tensor apply(const at::Tensor& y, const at::Tensor&, const Rows&) override {
    return scales_input_ ? y : scaled(y);
  }
  void merge_into(LinearImpl& layer) override {
    const c10::AutoGradMode no_grad(false);
    layer.weight.mul_(factors_);
    if (!scales_input_ && layer.bias.defined()) layer.bias.mul_(factors_.flatten());
  }

 private:
  at::Tensor scaled(const at::Tensor& rows) const {
    return (rows * factors_.flatten()).to(rows.scalar_type());
  }

  bool scales_input_;
  at::Tensor factors_;  // [out, 1], or [1, in]
};

// Whoever names layers says of these alone whose inputs are scaled.
ChosenAdapter read_ia3(Config& section) {
  Ia3::Options usual;
  if (!section.has("target_modules"))
    usual.feedforward_modules.expression = any_of_ends(kFeedForward);
  ChosenAdapter chosen = read_adapter_from<Ia3>(section, usual);
  chosen.usual_targets = any_of_ends(std::string(kKeysAndValues) + "|" + kFeedForward);
  return chosen;
}

}  // namespace

// The rate: the paper's section 4.1.
AdapterInfo ia3() {
  return {.name = "ia3",
          .peft_type = "IA3",
          .help = "factors of the layers' outputs, or inputs",
          .learning_rate = 3e-3,
          .read = read_ia3};
}

}  // namespace hone
