#include "models/backbone.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "base/random.h"
#include "models/config_fields.h"
#include "models/layers/initialise.h"
#include "models/layers/linear.h"

namespace hone {
namespace {

const FamilyInfo& family_of(const std::string& model_type) {
  std::vector<std::string> known;
  for (const FamilyInfo& family : families()) {
    if (model_type == family.model_type) return family;
    known.emplace_back(family.model_type);
  }
  throw ConfigDefect(
      "model_type",
      fmt::format("\"model_type\" \"{}\" is not supported{}; known are {}.", model_type,
                  did_you_mean(model_type, known), fmt::join(known, ", ")));
}

// FNV-1a: the same on every machine.
uint64_t hash_of(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (const unsigned char byte : name) hash = (hash ^ byte) * 1099511628211u;
  return hash;
}

// The line of `"key":` in a JSON text; 0 where it is not there.
int64_t line_of(const std::string& text, const std::string& key) {
  for (size_t at = 0; (at = text.find('"' + key + '"', at)) != std::string::npos; ++at) {
    const size_t next = text.find_first_not_of(" \t\r\n", at + key.size() + 2);
    if (next != std::string::npos && text[next] == ':')
      return 1 + std::count(text.begin(), text.begin() + int64_t(at), '\n');
  }
  return 0;
}

ModelConfig read_family_config(const Json& config) {
  if (!config.is_object())
    throw ConfigDefect("", "should be a JSON object of the model's settings.");
  const std::string model_type = text_field(config, "model_type", "");
  if (model_type.empty())
    throw ConfigDefect(
        "model_type",
        "\"model_type\" is missing; is this the config.json of a Transformers model?");
  ModelConfig out = family_of(model_type).read_config(config);
  out.model_type = model_type;
  return out;
}

}  // namespace

ModelConfig ModelConfig::load(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / "config.json").string();
  const std::string text = read_file(path, ErrorKind::kModel);
  try {
    return read_family_config(parse_json(text, Where{path, 1}, ErrorKind::kModel));
  } catch (const ConfigDefect& defect) {
    throw Error(ErrorKind::kModel, Where{path, line_of(text, defect.key())}, defect.message());
  }
}

at::Tensor Backbone::forward_first(const Packed& tokens) {
  return forward(tokens).index_select(0, tokens.first_rows());
}

at::Tensor Backbone::pool(const at::Tensor& first) {
  throw Error(ErrorKind::kInternal, fmt::format("{} has no pooler.", config_.model_type));
}

void Backbone::initialise(uint64_t seed, const std::vector<std::string>& only) {
  const c10::AutoGradMode no_grad(false);
  for (const auto& item : named_parameters()) {
    if (!only.empty() && std::find(only.begin(), only.end(), item.key()) == only.end()) continue;
    const uint64_t key = mix(seed, hash_of(item.key()));
    if (item.value().dim() >= 2) {
      fill_normal(item.value(), config_.initializer_range, key);
    } else {
      item.value().fill_(item.key().ends_with("bias") ? 0.0 : 1.0);
    }
  }
  for (const auto& module : modules()) {
    auto* linear = module->as<LinearImpl>();
    if (linear && linear->shadow().defined()) linear->refresh_shadow();
  }
}

std::shared_ptr<Backbone> make_backbone(const ModelConfig& config) {
  return family_of(config.model_type).make(config);
}

}  // namespace hone
