#include "run/combine.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/random.h"
#include "data/fingerprint.h"
#include "models/layers/initialise.h"
#include "run/merge.h"
#include "tasks/pipeline.h"

namespace hone {
namespace {

using Weights = std::map<std::string, at::Tensor>;

Weights copy_of(Network& network) {
  Weights weights;
  for (const auto& [name, value] : network.weights()) weights[name] = value.detach().clone();
  return weights;
}

// One adapter: what it leaves of the model's weights once it is merged.
struct Addend {
  AdapterShare share;
  std::unique_ptr<Pipeline> pipeline;
  Adapted adapted = {};
  Weights before = {}, after = {};
  MergeProof proof = {};
};

Addend load_part(const AdapterShare& share) {
  Addend part{share, Pipeline::load(share.folder, {}, "", {.in_full = true})};
  if (!part.pipeline->adapted())
    throw Error(ErrorKind::kModel, {share.folder}, "is no adapter's folder");
  part.adapted = *part.pipeline->adapted();
  part.before = copy_of(part.pipeline->network());
  part.proof = merge_proven(*part.pipeline, share.folder);
  part.after = copy_of(part.pipeline->network());
  return part;
}

void require_one_base(const Addend& first, const Addend& other) {
  if (first.adapted.base_weights != other.adapted.base_weights)
    throw Error(ErrorKind::kModel, {other.share.folder},
                fmt::format("its base model is another one than that of {}: changes of different "
                            "models cannot be added up",
                            first.share.folder));
  if (first.pipeline->info().name != other.pipeline->info().name ||
      first.pipeline->task().state() != other.pipeline->task().state())
    throw Error(ErrorKind::kUsage, {other.share.folder},
                fmt::format("its task or its labels are not those of {}: one head cannot be both",
                            first.share.folder));
}

// Modules that some adapter has in full: there is no change of the base's to add up.
std::vector<std::string> modules_in_full(const std::vector<Addend>& parts) {
  std::vector<std::string> modules;
  for (const Addend& part : parts) {
    const Adapted& adapted = part.adapted;
    modules.insert(modules.end(), adapted.modules_to_save.begin(), adapted.modules_to_save.end());
    if (adapted.names.below.empty())
      modules.insert(modules.end(), adapted.targets.begin(), adapted.targets.end());
  }
  return modules;
}

// The share `density` of the numbers that are largest, the rest zero.
at::Tensor largest_part(const at::Tensor& change, double density) {
  const auto count = static_cast<int64_t>(density * static_cast<double>(change.numel()));
  const at::Tensor flat = change.flatten(), kept = at::zeros_like(flat);
  const at::Tensor places = std::get<1>(flat.abs().topk(count));
  kept.index_copy_(0, places, flat.index_select(0, places));
  return kept.view(change.sizes());
}

// A random share `density` of the numbers, divided by it; a function of the seed.
at::Tensor random_part(const at::Tensor& change, double density, uint64_t seed) {
  const at::Tensor even = at::empty_like(change);
  fill_uniform(even, 1, seed);  // from -1 to 1
  return change * even.lt(2 * density - 1) / density;
}

// Numbers whose sign is that of the sum of all, their weighted mean.
at::Tensor elected(const at::Tensor& changes, const at::Tensor& weights) {
  const at::Tensor sign = at::where(changes.sum(at::IntArrayRef({0})).ge(0), 1.0, -1.0);
  const at::Tensor agrees = changes.sign().eq(sign);
  const at::Tensor count = agrees.sum(at::IntArrayRef({0})).clamp_min(1);
  return (changes * weights * agrees).sum(at::IntArrayRef({0})) / count;
}

at::Tensor combined(std::vector<at::Tensor> changes, const std::vector<double>& weights,
                    const Combination& combination, uint64_t key) {
  for (size_t i = 0; i < changes.size() && combination.density < 1; ++i) {
    if (combination.name == "ties")
      changes[i] = largest_part(changes[i], combination.density);
    else if (combination.name != "linear")
      changes[i] = random_part(changes[i], combination.density,
                               mix(mix(combination.seed, key), static_cast<uint64_t>(i)));
  }
  const at::Tensor all = at::stack(changes);
  std::vector<int64_t> shape(static_cast<size_t>(all.dim()), 1);
  shape[0] = static_cast<int64_t>(weights.size());
  const at::Tensor factors = at::tensor(weights, at::kFloat).view(shape);
  return combination.name.ends_with("ties") ? elected(all, factors)
                                            : (all * factors).sum(at::IntArrayRef({0}));
}

// The value of a weight in the new model: the base's and the changes, or, of what the base lacks,
// the mean.
at::Tensor joined_value(const std::string& name, const std::vector<Addend>& parts, bool is_of_base,
                        const Combination& combination) {
  std::vector<at::Tensor> values;
  std::vector<double> weights;
  double total = 0;
  for (const Addend& part : parts) {
    const at::Tensor& after = part.after.at(name);
    const double weight = part.share.weight;
    values.push_back(is_of_base ? after - part.before.at(name) : after * weight);
    weights.push_back(weight);
    total += weight;
  }
  if (!is_of_base) return at::stack(values).sum(at::IntArrayRef({0})) / total;
  const bool is_changed = std::any_of(values.begin(), values.end(), [](const at::Tensor& change) {
    return change.count_nonzero().item<int64_t>() > 0;
  });
  if (!is_changed) return parts.front().before.at(name);
  return parts.front().before.at(name) +
         combined(std::move(values), weights, combination, hash_bytes(name));
}

// That each change is what its adapter does; their sum is a new model, which answers as none.
Json proof_of(const std::vector<Addend>& parts, const Combination& combination) {
  Json adapters = Json::array();
  for (const Addend& part : parts) {
    Json one = {{"adapter", part.share.folder}, {"weight", part.share.weight}};
    one.update(part.proof.json());
    adapters.push_back(one);
  }
  return {{"combination", combination.name}, {"adapters", adapters}};
}

void need_options(const std::vector<AdapterShare>& shares, const Combination& combination) {
  double total = 0;
  for (const AdapterShare& share : shares) total += share.weight;
  if (!(total > 0))
    throw Error(
        ErrorKind::kUsage,
        fmt::format("the adapters' weights add up to {}; their sum must be more than 0", total));
  if (!(combination.density > 0 && combination.density <= 1))
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--density is {}; it must be more than 0 and at most 1", combination.density));
}

}  // namespace

void combine_adapters(const std::vector<AdapterShare>& shares, const Combination& combination,
                      const std::string& out) {
  if (std::filesystem::exists(out) && !std::filesystem::is_empty(out))
    throw Error(ErrorKind::kUsage, {out}, "is there already; name a new folder");
  need_options(shares, combination);
  const c10::AutoGradMode no_grad(false);
  std::vector<Addend> parts;
  for (const AdapterShare& share : shares) {
    parts.push_back(load_part(share));
    require_one_base(parts.front(), parts.back());
  }
  const std::vector<std::string> in_full = modules_in_full(parts);
  Pipeline& whole = *parts.front().pipeline;
  for (auto& [name, value] : whole.network().weights()) {
    const bool is_in_full =
        std::any_of(in_full.begin(), in_full.end(), [&, &name = name](const std::string& module) {
          return name == module || name.starts_with(module + ".");
        });
    value.copy_(joined_value(name, parts, !is_in_full, combination));
  }
  whole.save(out);
  write_file(out + "/merge_proof.json", to_text(proof_of(parts, combination), 2) + "\n");
}

}  // namespace hone
