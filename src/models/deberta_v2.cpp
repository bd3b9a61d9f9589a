#include "models/deberta_v2.h"

#include <fmt/format.h>

#include "models/config_fields.h"
#include "models/deberta.h"

namespace hone::deberta_v2 {
namespace {

bool has_position_norm(const Json& config) {
  const std::string name = text_field(config, "norm_rel_ebd", "none");
  if (name != "none" && name != "layer_norm")
    throw ConfigDefect(
        "norm_rel_ebd",
        fmt::format("\"norm_rel_ebd\" should be \"none\" or \"layer_norm\", not \"{}\".", name));
  return name == "layer_norm";
}

ConvolutionOptions read_convolution(const Json& config, const DebertaPlan& plan) {
  ConvolutionOptions options;
  options.hidden = plan.block.hidden;
  options.tokens = count_field(config, "conv_kernel_size", 0, 0);
  options.groups = count_field(config, "conv_groups", 1);
  options.activation = activation_field(config, "conv_act", "tanh");
  options.norm_eps = plan.block.norm_eps;
  options.dropout = plan.embeddings.dropout;
  if (options.tokens > 0 && options.tokens % 2 == 0)
    throw ConfigDefect("conv_kernel_size",
                       fmt::format("\"conv_kernel_size\" {} is even: no token would be in the "
                                   "middle.",
                                   options.tokens));
  if (options.hidden % options.groups != 0)
    throw ConfigDefect("conv_groups",
                       fmt::format("\"hidden_size\" {} is not a multiple of \"conv_groups\" {}.",
                                   options.hidden, options.groups));
  return options;
}

}  // namespace

ModelConfig read_config(const Json& config) {
  DebertaPlan plan = deberta::read_plan(
      config, {.words = 128100, .hidden = 1536, .layers = 24, .heads = 24, .intermediate = 6144},
      /*reads_log_buckets=*/true);
  plan.attention.shares_products = flag_field(config, "share_att_key", false);
  plan.positions.has_norm = has_position_norm(config);
  plan.convolution = read_convolution(config, plan);
  ModelConfig out = deberta::described(config, plan);
  out.architecture_stem = "DebertaV2";
  return out;
}

}  // namespace hone::deberta_v2
