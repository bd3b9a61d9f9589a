#include "tasks/bottleneck_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "models/weights.h"

namespace hone {
namespace {

constexpr const char* kWritten = "adapters.1.2.0";  // whose form is written

std::string library_file(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

// What tells the library's forms apart.
struct LibraryForm {
  const char* method;
  bool after_attention, sees_norm, is_parallel;
};
constexpr LibraryForm kLibraryForms[] = {{"double_seq_bn", true, false, false},
                                         {"seq_bn", false, true, false},
                                         {"par_bn", false, false, true}};

// Options that change what is computed, with the one value that is supported.
const std::pair<const char*, Json> kFixed[] = {
    {"output_adapter", true},     {"original_ln_after", true},
    {"residual_before_ln", true}, {"adapter_residual_before_ln", false},
    {"ln_before", false},         {"ln_after", false},
    {"use_gating", false},        {"inv_adapter", nullptr},
    {"cross_adapter", false},     {"phm_layer", false},
    {"stochastic_depth", 0.0}};

[[noreturn]] void refuse_library(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::kModel, {path}, what);
}

void refuse_other_options(const Json& config, const std::string& path) {
  for (const auto& [key, value] : kFixed) {
    const Json given = config.value(key, value);
    if (given != value)
      refuse_library(path, fmt::format("\"{}\" is {}; of bottleneck adapters only those with {} "
                                       "are supported",
                                       key, given.dump(), value.dump()));
  }
}

bool flag_in(const Json& config, const char* key) { return config.value(key, Json(false)) == true; }

const LibraryForm& library_form(const Json& config, const std::string& path) {
  for (const LibraryForm& form : kLibraryForms) {
    const bool sees_norm = flag_in(config, "original_ln_before");
    if (flag_in(config, "mh_adapter") == form.after_attention &&
        flag_in(config, "is_parallel") == form.is_parallel &&
        (form.is_parallel || sees_norm == form.sees_norm))
      return form;
  }
  refuse_library(path,
                 "is neither Houlsby's (double_seq_bn) nor Pfeiffer's (seq_bn) nor the parallel "
                 "(par_bn) form: mh_adapter, original_ln_before and is_parallel say otherwise");
}

StateDict read_weights_of(const std::string& folder, const char* plain, const char* pickled) {
  if (std::filesystem::exists(library_file(folder, plain)))
    return read_safetensors(library_file(folder, plain));
  if (std::filesystem::exists(library_file(folder, pickled)))
    return read_pickled(library_file(folder, pickled));
  throw Error(ErrorKind::kModel, {folder}, fmt::format("has neither {} nor {}", plain, pickled));
}

// ".adapters.NAME." of any name as the method's own.
std::string with_method(std::string weight, const std::string& from, const std::string& to) {
  const std::string before = ".adapters." + from + ".";
  const size_t at = weight.find(before);
  return at == std::string::npos ? weight
                                 : weight.replace(at, before.size(), ".adapters." + to + ".");
}

Json form_json(const Adapted& adapted) {
  const auto form =
      std::find_if(std::begin(kLibraryForms), std::end(kLibraryForms),
                   [&](const LibraryForm& one) { return adapted.method == one.method; });
  Json json = {{"architecture", nullptr},
               {"mh_adapter", form->after_attention},
               {"original_ln_before", form->sees_norm},
               {"is_parallel", form->is_parallel}};
  for (const auto& [key, value] : kFixed) json[key] = value;
  json.update(adapted.saved_options);
  json["leave_out"] = Json::array();
  for (const auto& layer : adapted.saved_options.at("leave_out"))
    json["leave_out"].push_back(std::stoll(layer.get<std::string>()));
  return json;
}

Json library_keys(const Network& network, const Adapted& adapted, const std::string& architecture) {
  const ModelConfig& config = network.backbone().config();
  return {{"model_type", config.model_type},
          {"hidden_size", config.hidden_size},
          {"model_name", adapted.base},
          {"model_class", architecture},
          {"version", kWritten}};
}

}  // namespace

bool is_library_config(const Json& config) {
  return !config.contains("peft_type") && config.contains("config") && config["config"].is_object();
}

Json section_of_library(const Json& config, const std::string& path) {
  const Json& given = config.at("config");
  if (given.value("architecture", Json()) != nullptr)
    refuse_library(path, fmt::format("\"architecture\" is {}; of this library only bottleneck "
                                     "adapters are supported",
                                     given["architecture"].dump()));
  refuse_other_options(given, path);
  Json section = {{"peft_type", library_form(given, path).method}};
  for (const char* key :
       {"reduction_factor", "non_linearity", "scaling", "dropout", "init_weights", "leave_out"}) {
    if (given.contains(key) && !given[key].is_null()) section[key] = given[key];
  }
  for (const char* key : {"reduction_factor", "scaling"}) {
    if (section.contains(key) && !section[key].is_number())
      refuse_library(path, fmt::format("\"{}\" is {}; one number for all layers is supported", key,
                                       section[key].dump()));
  }
  return section;
}

StateDict read_library_weights(const std::string& folder, const Json& config) {
  const std::string path = library_file(folder, "adapter_config.json");
  const Json name = config.value("name", Json());
  if (!name.is_string()) refuse_library(path, "\"name\" must be the adapter's");
  const std::string method = library_form(config.at("config"), path).method;
  StateDict weights;
  for (auto& [weight, value] :
       read_weights_of(folder, "adapter.safetensors", "pytorch_adapter.bin"))
    weights.emplace(with_method(weight, name.get<std::string>(), method), value);
  for (auto& [weight, value] :
       read_weights_of(folder, "model_head.safetensors", "pytorch_model_head.bin"))
    weights.emplace(weight, value);
  return weights;
}

void write_library_folder(const std::string& folder, const Network& network, const Adapted& adapted,
                          const std::string& architecture) {
  StateDict of_adapter, of_head;
  for (const auto& [name, value] : network.trained_weights())
    (adapted.is_of_adapter(name) ? of_adapter : of_head).emplace(name, value.detach());
  write_safetensors(library_file(folder, "adapter.safetensors"), of_adapter);
  write_safetensors(library_file(folder, "model_head.safetensors"), of_head);
  Json head = library_keys(network, adapted, architecture);
  head["name"] = nullptr, head["config"] = nullptr;
  write_file(library_file(folder, "head_config.json"), to_text(head, 2) + "\n");
  Json config = library_keys(network, adapted, architecture);
  config["name"] = adapted.method;
  config["config"] = form_json(adapted);
  write_file(library_file(folder, "adapter_config.json"), to_text(config, 2) + "\n");
}

}  // namespace hone
