// Typed reading of config.json for family files. An absent or null key gives Transformers'
// documented default.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "models/kernels/activation.h"
#include "models/layers/attention.h"

namespace hone {

// A defect of one key. ModelConfig::load turns it into an Error with the key's line.
class ConfigDefect : public Error {
 public:
  ConfigDefect(std::string key, const std::string& message);
  const std::string& key() const { return key_; }

 private:
  std::string key_;
};

int64_t count_field(const Json& config, const std::string& key, int64_t fallback,
                    int64_t least = 1);  // an integer in [least, 2^31)
// The row of a table of `words` that "pad_token_id" names, which below 0 counts from the end; -1
// where it is null, or absent and there is no fallback.
int64_t padding_field(const Json& config, int64_t words, std::optional<int64_t> fallback);
double number_field(const Json& config, const std::string& key,
                    double fallback);  // finite, not negative
double dropout_field(const Json& config, const std::string& key, double fallback);  // in [0, 1)
bool flag_field(const Json& config, const std::string& key, bool fallback);
std::string text_field(const Json& config, const std::string& key, const std::string& fallback);
Json object_field(const Json& config, const std::string& key);  // of further keys; absent: empty
// Whether a key is there and null, where that is something else than its absence ("no window").
bool is_null_field(const Json& config, const std::string& key);
// Which layers see a window alone: "layer_types", a name for each of `layers`, where it is there.
using IsSliding = std::function<bool(int64_t layer)>;
IsSliding sliding_layers_field(const Json& config, int64_t layers, IsSliding otherwise);
// As many query as key/value heads, which share `hidden` (the value of `hidden_key`) evenly.
Heads heads_field(const Json& config, const std::string& key, int64_t fallback,
                  const std::string& hidden_key, int64_t hidden);
kernels::Activation activation_field(const Json& config, const std::string& key,
                                     const std::string& fallback);

}  // namespace hone
