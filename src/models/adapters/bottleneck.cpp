#include "models/adapters/bottleneck.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/random.h"
#include "models/layers/adopt.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

constexpr double kRange = 0.02;

void check_activation(const Config& section, const std::string& name) {
  try {
    kernels::activation_named(name);
  } catch (const Error& error) {
    throw section.error("non_linearity", error.message());
  }
}

bool is_layer_number(const std::string& text) {
  int64_t number = -1;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc() && end == text.data() + text.size() && number >= 0;
}

template <BottleneckForm form>
ChosenAdapter read_bottleneck(Config& section) {
  ChosenAdapter chosen;
  const auto options = read_method_options<BottleneckOptions<form>>(section, chosen);
  chosen.make_for_block = [options](const BlockSite& site) -> std::shared_ptr<Bottleneck> {
    const auto& left_out = options.leave_out;
    const bool is_left_out =
        std::find(left_out.begin(), left_out.end(), std::to_string(site.layer)) != left_out.end();
    if (is_left_out || (site.is_attention && form != BottleneckForm::kDouble)) return nullptr;
    const double inner = std::floor(static_cast<double>(site.width) / options.reduction_factor);
    return std::make_shared<Bottleneck>(
        BottleneckStyle{.form = form,
                        .inner = std::max<int64_t>(1, static_cast<int64_t>(inner)),
                        .activation = kernels::activation_named(options.non_linearity),
                        .scaling = options.scaling,
                        .dropout = options.dropout,
                        .begins_at_zero = options.init_weights == "mam_adapter"},
        site);
  };
  return chosen;
}

}  // namespace

template <BottleneckForm form>
void BottleneckOptions<form>::check(const Config& section) const {
  const auto require = [&](bool holds, const char* key, const auto& value, const char* rule) {
    if (!holds) throw section.error(key, fmt::format("\"{}\" is {}; {}", key, value, rule));
  };
  require(std::isfinite(reduction_factor) && reduction_factor >= 0.01, "reduction_factor",
          reduction_factor, "it must be 0.01 or more: a layer is as many times narrower");
  check_activation(section, non_linearity);
  require(std::isfinite(scaling) && scaling != 0, "scaling", scaling,
          "with a factor of 0 nothing that is learned would count");
  require(dropout >= 0 && dropout < 1, "dropout", dropout, "it must be from 0 to less than 1");
  require(init_weights == "bert" || init_weights == "mam_adapter", "init_weights", init_weights,
          "known are bert and mam_adapter");
  for (const std::string& layer : leave_out)
    require(is_layer_number(layer), "leave_out", layer, "layers have numbers, from 0");
}

Bottleneck::Bottleneck(const BottleneckStyle& style, const BlockSite& site)
    : style_(style), key_(site.key) {
  down_ = adopt(*this, "adapter_down.0", Linear(site.width, style.inner));
  up_ = adopt(*this, "adapter_up", Linear(style.inner, site.width));
  const uint64_t seed = mix(site.seed, site.key);
  if (style.begins_at_zero) {
    fill_uniform(down_->weight, 1 / std::sqrt(static_cast<double>(site.width)), seed);
  } else {
    down_->initialise(kRange, seed);
    up_->initialise(kRange, mix(seed, 1));
  }
}

at::Tensor Bottleneck::input(const at::Tensor& y, const at::Tensor& residual,
                             LayerNorm norm) const {
  if (style_.form == BottleneckForm::kParallel) return residual;
  if (style_.form == BottleneckForm::kDouble) return y;
  const at::Tensor sum = y + residual;
  return norm ? norm->forward(sum) : sum;
}

at::Tensor Bottleneck::apply(const at::Tensor& y, const at::Tensor& residual, LayerNorm norm,
                             const Rows& rows) {
  const at::Tensor inner =
      down_->activated(input(y, residual, std::move(norm)), rows, style_.activation);
  at::Tensor out = up_->forward(inner, rows);
  if (style_.scaling != 1) out = out * style_.scaling;
  kernels::DropoutOptions dropout = rows.dropout(DropoutPlace::kAdapter, style_.dropout);
  dropout.seed = mix(dropout.seed, key_);
  return y + kernels::dropout(out, dropout);
}

// Rates: 1e-4 is what the library's documentation advises; 3e-4 the middle one of three in
// Houlsby's section 3.2.
AdapterInfo double_seq_bn() {
  return {.name = "double_seq_bn",
          .peft_type = "",
          .help = "Houlsby's: two small layers after attention and feed-forward",
          .learning_rate = 3e-4,
          .read = read_bottleneck<BottleneckForm::kDouble>};
}

AdapterInfo seq_bn() {
  return {.name = "seq_bn",
          .peft_type = "",
          .help = "Pfeiffer's: two small layers after feed-forward",
          .learning_rate = 1e-4,
          .read = read_bottleneck<BottleneckForm::kSingle>};
}

AdapterInfo par_bn() {
  return {.name = "par_bn",
          .peft_type = "",
          .help = "two small layers beside feed-forward",
          .learning_rate = 1e-4,
          .read = read_bottleneck<BottleneckForm::kParallel>};
}

}  // namespace hone
