#include "models/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace hone {
namespace {

const Json* find(const Json& config, const std::string& key) {
  const auto it = config.find(key);
  return it == config.end() || it->is_null() ? nullptr : &*it;
}

std::string shortened_dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
}

ConfigDefect defect(const std::string& key, const std::string& wanted, const Json& found) {
  return ConfigDefect(
      key, fmt::format("\"{}\" should be {}, not {}.", key, wanted, shortened_dump(found)));
}

}  // namespace

ConfigDefect::ConfigDefect(std::string key, const std::string& message)
    : Error(ErrorKind::kModel, Where{"config.json"}, message), key_(std::move(key)) {}

int64_t count_field(const Json& config, const std::string& key, int64_t fallback, int64_t least) {
  const Json* value = find(config, key);
  if (!value) return fallback;
  constexpr int64_t kLimit = int64_t{1} << 31;
  const bool fits = value->is_number_unsigned() ? value->get<uint64_t>() < uint64_t(kLimit)
                                                : value->is_number_integer();
  if (!fits || value->get<int64_t>() < least)
    throw defect(
        key, least == 1 ? "a positive whole number" : fmt::format("a whole number from {}", least),
        *value);
  return value->get<int64_t>();
}

int64_t padding_field(const Json& config, int64_t words, std::optional<int64_t> fallback) {
  std::optional<int64_t> id = fallback;
  if (const auto found = config.find("pad_token_id"); found != config.end()) {
    if (!found->is_null() && !found->is_number_integer())
      throw defect("pad_token_id", "the number of a token", *found);
    id = found->is_null() ? std::nullopt : std::optional(found->get<int64_t>());
  }
  if (!id) return -1;
  return std::max<int64_t>(*id < 0 ? words + *id : *id, -1);
}

double number_field(const Json& config, const std::string& key, double fallback) {
  const Json* value = find(config, key);
  if (!value) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < 0)
    throw defect(key, "a number from 0", *value);
  return value->get<double>();
}

double dropout_field(const Json& config, const std::string& key, double fallback) {
  const double value = number_field(config, key, fallback);
  if (value >= 1) throw defect(key, "a probability below 1", config.at(key));
  return value;
}

bool flag_field(const Json& config, const std::string& key, bool fallback) {
  const Json* value = find(config, key);
  if (!value) return fallback;
  if (!value->is_boolean()) throw defect(key, "true or false", *value);
  return value->get<bool>();
}

std::string text_field(const Json& config, const std::string& key, const std::string& fallback) {
  const Json* value = find(config, key);
  if (!value) return fallback;
  if (!value->is_string()) throw defect(key, "a string", *value);
  return value->get<std::string>();
}

Json object_field(const Json& config, const std::string& key) {
  const Json* value = find(config, key);
  if (!value) return Json::object();
  if (!value->is_object()) throw defect(key, "an object", *value);
  return *value;
}

bool is_null_field(const Json& config, const std::string& key) {
  const auto it = config.find(key);
  return it != config.end() && it->is_null();
}

IsSliding sliding_layers_field(const Json& config, int64_t layers, IsSliding otherwise) {
  constexpr const char *kKey = "layer_types", *kFull = "full_attention",
                       *kSliding = "sliding_attention";
  const Json* listed = find(config, kKey);
  if (listed == nullptr) return otherwise;
  if (!listed->is_array() || listed->size() != static_cast<size_t>(layers))
    throw ConfigDefect(kKey, fmt::format("\"{}\" should be a list of {} names, one for each layer.",
                                         kKey, layers));
  std::vector<bool> sliding;
  for (const Json& type : *listed) {
    if (type != kFull && type != kSliding)
      throw ConfigDefect(kKey, fmt::format("\"{}\" should hold \"{}\" and \"{}\" alone, not {}.",
                                           kKey, kFull, kSliding, shortened_dump(type)));
    sliding.push_back(type == kSliding);
  }
  return [sliding](int64_t layer) { return sliding[static_cast<size_t>(layer)]; };
}

Heads heads_field(const Json& config, const std::string& key, int64_t fallback,
                  const std::string& hidden_key, int64_t hidden) {
  const int64_t heads = count_field(config, key, fallback);
  if (hidden % heads != 0)
    throw ConfigDefect(key, fmt::format("\"{}\" {} is not a multiple of \"{}\" {}.", hidden_key,
                                        hidden, key, heads));
  return {.query = heads, .key_value = heads, .dim = hidden / heads};
}

kernels::Activation activation_field(const Json& config, const std::string& key,
                                     const std::string& fallback) {
  const std::string name = text_field(config, key, fallback);
  try {
    return kernels::activation_named(name);
  } catch (const Error& error) {
    throw ConfigDefect(key, fmt::format("\"{}\": {}", key, error.message()));
  }
}

}  // namespace hone
