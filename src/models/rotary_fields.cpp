#include "models/rotary_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "models/config_fields.h"

namespace hone {
namespace {

constexpr const char* kFactor = "factor";
constexpr const char* kTrained = "original_max_position_embeddings";
constexpr const char* kPartial = "partial_rotary_factor";

constexpr std::pair<const char*, RotaryScaling> kScalings[] = {
    {"default", RotaryScaling::kNone},    {"linear", RotaryScaling::kLinear},
    {"dynamic", RotaryScaling::kDynamic}, {"yarn", RotaryScaling::kYarn},
    {"llama3", RotaryScaling::kLlama3},   {"longrope", RotaryScaling::kDivided}};

bool has(const Json& config, const char* key) {
  const auto it = config.find(key);
  return it != config.end() && !it->is_null();
}

// As the reference has it: the older name first.
Json parameters_of(const Json& config) {
  const Json scaling = object_field(config, "rope_scaling");
  return scaling.empty() ? object_field(config, "rope_parameters") : scaling;
}

// Of `parameters`, else of the file's own keys.
double nearest_number(const Json& parameters, const Json& config, const char* key,
                      double fallback) {
  return number_field(parameters, key, number_field(config, key, fallback));
}

double need_number(const Json& parameters, const char* key, const char* type) {
  if (!has(parameters, key))
    throw ConfigDefect("rope_type", fmt::format("\"rope_type\" \"{}\" needs \"{}\".", type, key));
  return number_field(parameters, key, 0);
}

double least_number(double value, const char* key, double least) {
  if (value < least)
    throw ConfigDefect(
        key, fmt::format("\"{}\" should be a number from {}, not {}.", key, least, value));
  return value;
}

RotaryScaling scaling_named(const std::string& type, const char* key, const RotaryRules& rules) {
  std::vector<std::string> known;
  for (const auto& [name, scaling] : kScalings) {
    const bool is_known = !rules.is_long_only || scaling == RotaryScaling::kNone ||
                          scaling == RotaryScaling::kDivided;
    if (is_known && type == name) return scaling;
    if (is_known) known.emplace_back(name);
  }
  if (rules.is_long_only && (type == "su" || type == "yarn")) return RotaryScaling::kDivided;
  throw ConfigDefect(key, fmt::format("\"{}\" \"{}\" is not supported; known are {}.", key, type,
                                      fmt::join(known, ", ")));
}

int64_t rotary_columns(const Json& parameters, const Json& config, int64_t dim,
                       const RotaryRules& rules) {
  const double share = nearest_number(parameters, config, kPartial, 1);
  if (share == 0 || share > 1)
    throw ConfigDefect(
        kPartial, fmt::format("\"{}\" should be above 0 and at most 1, not {}.", kPartial, share));
  if (share != 1 && !rules.can_be_partial)
    throw ConfigDefect(kPartial,
                       fmt::format("\"{}\" {} is not supported here; only 1 is.", kPartial, share));
  const auto columns = static_cast<int64_t>(double(dim) * share);
  if (columns < 2 || columns % 2 != 0)
    throw ConfigDefect(has(config, "head_dim") ? "head_dim" : "num_attention_heads",
                       fmt::format("rotary positions of {} values for each head of {} are asked "
                                   "for; they come in pairs.",
                                   columns, dim));
  return columns;
}

// Longest sequences before scaling: beside the other parameters as a rule, a key of the file in
// Phi 3's.
double trained_of(const Json& parameters, const Json& config, int64_t fallback) {
  return static_cast<double>(
      count_field(config, kTrained, count_field(parameters, kTrained, fallback)));
}

double yarn_amplitude(const Json& parameters, double factor) {
  if (has(parameters, "attention_factor")) return number_field(parameters, "attention_factor", 1);
  const auto grown = [&](double by) { return factor <= 1 ? 1 : 0.1 * by * std::log(factor) + 1; };
  const double above = number_field(parameters, "mscale", 0),
               below = number_field(parameters, "mscale_all_dim", 0);
  return above > 0 && below > 0 ? grown(above) / grown(below) : grown(1);
}

void refuse_unordered(const RotaryOptions& out, const char* slow, const char* fast) {
  if (out.slow > 0 && out.slow < out.fast) return;
  throw ConfigDefect(slow, fmt::format("\"{}\" {} should be above 0 and below \"{}\" {}.", slow,
                                       out.slow, fast, out.fast));
}

void read_yarn(const Json& parameters, const Json& config, int64_t positions, RotaryOptions& out) {
  out.trained = trained_of(parameters, config, positions);
  out.factor = least_number(
      number_field(parameters, kFactor, std::max(1.0, double(positions) / out.trained)), kFactor,
      1);
  out.fast = number_field(parameters, "beta_fast", 32);
  out.slow = number_field(parameters, "beta_slow", 1);
  refuse_unordered(out, "beta_slow", "beta_fast");
  out.has_whole_bounds = flag_field(parameters, "truncate", true);
  out.amplitude = yarn_amplitude(parameters, out.factor);
}

void read_llama3(const Json& parameters, const Json& config, int64_t positions,
                 RotaryOptions& out) {
  out.trained = trained_of(parameters, config, positions);
  out.factor = least_number(need_number(parameters, kFactor, "llama3"), kFactor, 1);
  out.slow = need_number(parameters, "low_freq_factor", "llama3");
  out.fast = need_number(parameters, "high_freq_factor", "llama3");
  refuse_unordered(out, "low_freq_factor", "high_freq_factor");
}

std::vector<double> divisors_of(const Json& parameters, const char* key, size_t pairs) {
  const Json listed = parameters.value(key, Json());
  const auto is_divisor = [](const Json& value) {
    return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0;
  };
  if (!listed.is_array() || listed.size() != pairs ||
      !std::all_of(listed.begin(), listed.end(), is_divisor))
    throw ConfigDefect(
        key, fmt::format("\"{}\" should be a list of {} numbers above 0, one for each angle.", key,
                         pairs));
  return listed.get<std::vector<double>>();
}

// LongRoPE has two lists of divisors, for sequences within the trained positions and for longer
// ones; without the second sequences are kept that short.
void read_longrope(const Json& parameters, const Json& config, int64_t positions,
                   const RotaryRules& rules, RotaryOptions& out) {
  out.trained = trained_of(parameters, config, rules.trained > 0 ? rules.trained : positions);
  out.factor = number_field(parameters, kFactor, double(positions) / out.trained);
  const auto pairs = static_cast<size_t>(out.columns / 2);
  out.divisors = divisors_of(parameters, "short_factor", pairs);
  if (has(parameters, "long_factor"))
    out.long_divisors = divisors_of(parameters, "long_factor", pairs);
  const double grown = out.factor <= 1 || out.trained <= 1
                           ? 1
                           : std::sqrt(1 + std::log(out.factor) / std::log(out.trained));
  out.amplitude = number_field(parameters, "attention_factor", grown);
}

void read_dynamic(const Json& parameters, int64_t positions, RotaryOptions& out) {
  out.trained = double(positions);
  out.factor = least_number(need_number(parameters, kFactor, "dynamic"), kFactor, 1);
  if (out.columns < 4)
    throw ConfigDefect("rope_type", "\"rope_type\" \"dynamic\" needs at least 4 rotary columns.");
}

}  // namespace

RotaryOptions rotary_field(const Json& config, int64_t dim, int64_t positions,
                           const RotaryRules& rules) {
  const Json parameters = parameters_of(config);
  const char* type_key = has(parameters, "rope_type") ? "rope_type" : "type";
  RotaryOptions out;
  out.theta = nearest_number(parameters, config, "rope_theta", 10000);
  if (out.theta <= 1)
    throw ConfigDefect("rope_theta", fmt::format("\"rope_theta\", the base of rotary positions, "
                                                 "should be above 1, not {}.",
                                                 out.theta));
  out.columns = rotary_columns(parameters, config, dim, rules);
  out.scaling = scaling_named(text_field(parameters, type_key, "default"), type_key, rules);
  if (out.scaling == RotaryScaling::kLinear)
    out.factor = least_number(need_number(parameters, kFactor, "linear"), kFactor, 1);
  if (out.scaling == RotaryScaling::kDynamic) read_dynamic(parameters, positions, out);
  if (out.scaling == RotaryScaling::kYarn) read_yarn(parameters, config, positions, out);
  if (out.scaling == RotaryScaling::kLlama3) read_llama3(parameters, config, positions, out);
  if (out.scaling == RotaryScaling::kDivided)
    read_longrope(parameters, config, positions, rules, out);
  return out;
}

int64_t positions_of(const RotaryOptions& rotary, int64_t positions) {
  constexpr double kMost = 1 << 30;
  const auto stretched = static_cast<int64_t>(std::min(kMost, rotary.trained * rotary.factor));
  switch (rotary.scaling) {
    case RotaryScaling::kDynamic:
    case RotaryScaling::kYarn:
      return std::max(positions, stretched);
    case RotaryScaling::kDivided:
      return rotary.long_divisors.empty()
                 ? std::min(positions, static_cast<int64_t>(rotary.trained))
                 : positions;
    default:
      return positions;
  }
}

}  // namespace hone
