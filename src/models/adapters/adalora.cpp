#include "models/adapters/adalora.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "models/layers/initialise.h"
#include "models/layers/linear.h"

namespace hone {
namespace {

constexpr const char* kValues = ".lora_E";

int64_t count_kept(const std::vector<bool>& ranks) {
  return std::count(ranks.begin(), ranks.end(), true);
}

int64_t ranks_of(const AdaLora::Options& options, const AdapterSite& site) {
  const std::vector<bool>* kept = options.rank_pattern.of(site.module);
  const int64_t ranks = kept == nullptr ? options.init_r : count_kept(*kept);
  const int64_t out = site.layer.weight.size(0), in = site.layer.weight.size(1);
  if (ranks <= std::min(out, in)) return ranks;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("\"init_r\" is {}, but {} is a layer of {} x {} weights, whose rank is {} "
                  "at most",
                  ranks, site.module, out, in, std::min(out, in)));
}

}  // namespace

const std::vector<bool>* RankPattern::of(const std::string& module) const {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& one) { return one.first == module + kValues; });
  return found == values.end() ? nullptr : &found->second;
}

void read_option(Config& section, const char* key, RankPattern& field) {
  Config own = section.section(key);
  for (const std::string& name : own.keys()) {
    std::vector<bool> ranks;
    for (const std::string& kept : own.get(name, std::vector<std::string>{})) {
      if (kept != "true" && kept != "false")
        throw own.error(name, fmt::format("\"{}\" of \"{}\" must be a list of true and false, one "
                                          "for each rank; it holds \"{}\"",
                                          name, key, kept));
      ranks.push_back(kept == "true");
    }
    field.values.emplace_back(name, std::move(ranks));
  }
}

void to_json(Json& json, const RankPattern& pattern) {
  json = Json::object();
  for (const auto& [name, ranks] : pattern.values) json[name] = ranks;
}

void AdaLora::Options::check(const Config& section) const {
  const auto require = [&](bool holds, const char* key, const auto& value, const char* rule) {
    if (!holds) throw section.error(key, fmt::format("\"{}\" is {}; {}", key, value, rule));
  };
  require(init_r >= 1, "init_r", init_r, "a rank is 1 or more");
  require(target_r >= 1 && target_r <= init_r, "target_r", target_r,
          "it must be from 1 to init_r: ranks are taken away, none is added");
  require(tinit >= 0, "tinit", tinit, "steps are 0 or more");
  require(tfinal >= 0, "tfinal", tfinal, "steps are 0 or more");
  require(deltaT >= 1, "deltaT", deltaT, "it must be 1 step or more");
  require(beta1 > 0 && beta1 < 1, "beta1", beta1, "it must be more than 0 and less than 1");
  require(beta2 > 0 && beta2 < 1, "beta2", beta2, "it must be more than 0 and less than 1");
  require(orth_reg_weight >= 0 && std::isfinite(orth_reg_weight), "orth_reg_weight",
          orth_reg_weight, "it must be 0 or more");
  require(total_step >= 0, "total_step", total_step, "steps are 0 or more");
  require(std::isfinite(lora_alpha) && lora_alpha > 0, "lora_alpha", lora_alpha,
          "it must be more than 0, or nothing that is learned would count");
  require(lora_dropout >= 0 && lora_dropout < 1, "lora_dropout", lora_dropout,
          "it must be from 0 to less than 1");
}

AdaLora::AdaLora(const Options& options, const AdapterSite& site)
    : options_(options), module_(site.module), key_(site.key) {
  const int64_t out = site.layer.weight.size(0), in = site.layer.weight.size(1),
                ranks = ranks_of(options, site);
  // PEFT divides by a rank that it keeps as a number of its own, and adds 1e-5 to it.
  scaling_ = options.lora_alpha / (static_cast<double>(options.init_r) + 1e-5);
  a_ = register_parameter("lora_A", at::zeros({ranks, in}));
  e_ = register_parameter("lora_E", at::zeros({ranks, 1}));
  b_ = register_parameter("lora_B", at::zeros({out, ranks}));
  const uint64_t seed = mix(site.seed, site.key);
  fill_normal(a_, 0.02, seed);
  fill_normal(b_, 0.02, mix(seed, 1));
}

LowRank AdaLora::product(const Rows& rows) const {
  kernels::DropoutOptions dropout = rows.dropout(DropoutPlace::kAdapter, options_.lora_dropout);
  dropout.seed = mix(dropout.seed, key_);
  return {.a = a_ * e_, .b = b_, .scaling = scaling_, .dropout = dropout};
}

at::Tensor AdaLora::apply(const at::Tensor& y, const at::Tensor& x, const Rows& rows) {
  return ranks() == 0 ? y : add_low_rank(y, x, {product(rows)});
}

std::optional<LowRank> AdaLora::low_rank(const Rows& rows) const {
  return ranks() == 0 ? std::nullopt : std::optional(product(rows));
}

void AdaLora::merge_into(LinearImpl& layer) {
  const c10::AutoGradMode no_grad(false);
  if (ranks() > 0) layer.weight.add_(at::mm(b_, a_ * e_), scaling_);
}

void AdaLora::keep(const at::Tensor& ranks) {
  const c10::AutoGradMode no_grad(false);
  e_.masked_fill_(ranks.logical_not().unsqueeze(1), 0.0);
  leave_out_zeros();
}

at::Tensor AdaLora::left() const {
  return leaves_out_zeros_ ? e_.detach().flatten().ne(0) : at::ones({ranks()}, at::kBool);
}

std::vector<std::pair<std::string, at::Tensor>> AdaLora::saved() const {
  if (!leaves_out_zeros_) return Adapter::saved();
  const at::Tensor kept = left().nonzero().flatten();
  return {{"lora_A", a_.detach().index_select(0, kept)},
          {"lora_E", e_.detach().index_select(0, kept)},
          {"lora_B", b_.detach().index_select(1, kept)}};
}

void AdaLora::describe(Json& config) const {
  config["total_step"] = options_.total_step;
  if (!leaves_out_zeros_) return;
  const at::Tensor kept = left().cpu().contiguous();
  const bool* of_rank = kept.const_data_ptr<bool>();
  config["rank_pattern"][module_ + kValues] = std::vector<bool>(of_rank, of_rank + kept.size(0));
}

// The rate: the least one of the authors' scripts for DeBERTaV3 on GLUE, which go up to 2.2e-3.
AdapterInfo adalora() {
  return {.name = "adalora",
          .peft_type = "ADALORA",
          .help = "products of low rank, whose ranks move to where they matter",
          .learning_rate = 5e-4,
          .read = read_adapter<AdaLora>,
          .idle_keys = {"r"}};
}

}  // namespace hone
