#include "tasks/embedding/sentence_folder.h"

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace hone::embedding {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModules = "modules.json";
constexpr const char* kLength = "sentence_bert_config.json";
constexpr const char* kConfig = "config_sentence_transformers.json";
constexpr const char* kPoolingFolder = "1_Pooling";
constexpr const char* kDenseFolder = "2_Dense";
// How the files name what is pooled; "pooling_mode_<name>" is true in older ones.
constexpr std::pair<const char*, Pooling> kPoolings[] = {
    {"cls", Pooling::kFirst}, {"mean", Pooling::kMean}, {"max", Pooling::kMax}};
constexpr std::pair<const char*, const char*> kFlags[] = {
    {"pooling_mode_cls_token", "cls"},
    {"pooling_mode_mean_tokens", "mean"},
    {"pooling_mode_max_tokens", "max"},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    {"pooling_mode_weightedmean_tokens", "weightedmean"},
    {"pooling_mode_lasttoken", "lasttoken"}};

Error defect(const std::string& path, const std::string& what) {
  return Error(ErrorKind::kModel, {path}, what);
}

// An object; an empty one where the file is not there.
Json read_object(const std::string& path) {
  if (!fs::exists(path)) return Json::object();
  Json value = read_json(path, ErrorKind::kModel);
  if (!value.is_object()) throw defect(path, "must be a JSON object.");
  return value;
}

// "sentence_transformers.models.Pooling" -> "Pooling".
std::string class_of(const Json& module, const std::string& path) {
  if (!module.is_object() || !module.contains("type") || !module["type"].is_string())
    throw defect(path, "each module needs a text \"type\".");
  const std::string type = module["type"].get<std::string>();
  return type.starts_with("sentence_transformers.") ? type.substr(type.rfind('.') + 1) : type;
}

// Of a module's files, below the folder: whoever gives a model away does not say what else is read.
std::string place_of(const Json& module, const std::string& path) {
  if (!module.contains("path") || !module["path"].is_string())
    throw defect(path, "each module needs a text \"path\".");
  const fs::path place = module["path"].get<std::string>();
  if (place.is_absolute() || std::find(place.begin(), place.end(), "..") != place.end())
    throw defect(path, fmt::format("the \"path\" of a module is a folder beside this file, not {}.",
                                   module["path"].dump()));
  return place.string();
}

// A Transformer, pooling, and perhaps a Dense and a Normalize.
std::vector<Json> read_modules(const std::string& path) {
  const Json list = read_json(path, ErrorKind::kModel);
  if (!list.is_array()) throw defect(path, "must be a list of modules.");
  const std::vector<std::string> known = {"Transformer", "Pooling", "Dense", "Normalize"};
  size_t next = 0;  // of these
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string name = class_of(list[i], path);
    const auto found = std::find(known.begin() + static_cast<int64_t>(next), known.end(), name);
    const auto at = static_cast<size_t>(found - known.begin());
    if (found == known.end() || (i < 2 && at != i))
      throw defect(
          path, fmt::format("module {} is \"{}\", which hone does not have there; it reads a "
                            "Transformer, a Pooling and perhaps a Dense and a Normalize, in this "
                            "order.",
                            i, name));
    next = at + 1;
  }
  if (list.size() < 2) throw defect(path, "names no Pooling.");
  if (!place_of(list[0], path).empty())
    throw defect(path, fmt::format("its Transformer is in the folder {}, not beside this file.",
                                   list[0]["path"].dump()));
  return {list.begin(), list.end()};
}

// Torch's names of activations end with these.
constexpr std::pair<const char*, const char*> kActivations[] = {{"Tanh", "tanh"},
                                                                {"Identity", "identity"}};

std::string read_activation(const Json& config, const std::string& path) {
  const Json name = config.value("activation_function", Json());
  for (const auto& [end, ours] : kActivations) {
    if (name.is_string() && name.get<std::string>().ends_with(std::string(".") + end)) return ours;
  }
  throw defect(
      path, fmt::format("\"activation_function\" is {}; hone has Tanh and Identity.", name.dump()));
}

StateDict read_dense_weights(const std::string& folder) {
  for (const auto& [file, is_pickled] :
       {std::pair("model.safetensors", false), std::pair("pytorch_model.bin", true)}) {
    const std::string path = (fs::path(folder) / file).string();
    if (fs::exists(path)) return is_pickled ? read_pickled(path) : read_safetensors(path);
  }
  throw defect(folder, "has neither model.safetensors nor pytorch_model.bin.");
}

Dense read_dense(const std::string& folder) {
  const std::string path = (fs::path(folder) / "config.json").string();
  const Json config = read_object(path);
  const Json input = config.value("module_input_name", Json("sentence_embedding"));
  if (input != "sentence_embedding")
    throw defect(path, fmt::format("\"module_input_name\" is {}; hone has a Dense of the pooled "
                                   "vector alone.",
                                   input.dump()));
  Dense dense{read_activation(config, path), {}, {}};
  const StateDict weights = read_dense_weights(folder);
  const auto weight = weights.find("linear.weight"), bias = weights.find("linear.bias");
  if (weight == weights.end() || weight->second.dim() != 2)
    throw defect(folder, "has no matrix \"linear.weight\".");
  dense.weight = weight->second.to(at::kFloat);
  dense.bias =
      bias == weights.end() ? at::zeros({dense.weight.size(0)}) : bias->second.to(at::kFloat);
  if (dense.bias.dim() != 1 || dense.bias.size(0) != dense.weight.size(0))
    throw defect(folder, "its \"linear.bias\" does not fit its \"linear.weight\".");
  return dense;
}

void write_dense(const Dense& dense, const std::string& folder) {
  fs::create_directories(folder);
  const bool is_tanh = dense.activation == "tanh";
  const Json config = {{"in_features", dense.weight.size(1)},
                       {"out_features", dense.weight.size(0)},
                       {"bias", true},
                       {"activation_function", is_tanh ? "torch.nn.modules.activation.Tanh"
                                                       : "torch.nn.modules.linear.Identity"}};
  write_file(folder + "/config.json", to_text(config, 2) + "\n");
  write_safetensors(folder + "/model.safetensors",
                    {{"linear.weight", dense.weight}, {"linear.bias", dense.bias}});
}

std::vector<std::string> poolings_named(const Json& config, const std::string& path) {
  std::vector<std::string> names;
  if (config.contains("pooling_mode")) {
    const Json& mode = config["pooling_mode"];
    for (const Json& one : mode.is_array() ? mode : Json::array({mode})) {
      if (!one.is_string()) throw defect(path, "\"pooling_mode\" must be a name.");
      names.push_back(one.get<std::string>());
    }
    return names;
  }
  for (const auto& [key, name] : kFlags) {
    if (config.contains(key) && config[key] == true) names.emplace_back(name);
  }
  return names;
}

Pooling read_pooling(const std::string& path) {
  if (!fs::exists(path)) throw defect(path, "no such file, but modules.json names it.");
  const std::vector<std::string> names = poolings_named(read_object(path), path);
  if (names.size() == 1) {
    for (const auto& [name, pooling] : kPoolings) {
      if (names.front() == name) return pooling;
    }
  }
  throw defect(path,
               fmt::format("pools by {}; hone pools by one of mean, cls and max.",
                           names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "))));
}

int64_t read_length(const std::string& path) {
  const Json config = read_object(path);
  if (config.value("do_lower_case", Json()) == true)
    throw defect(path,
                 "\"do_lower_case\" is true: texts are put into small letters before the "
                 "tokenizer sees them, which hone does not do.");
  if (!config.contains("max_seq_length") || config["max_seq_length"].is_null()) return 0;
  const Json& length = config["max_seq_length"];
  if (!length.is_number_integer() || length.get<int64_t>() < 1)
    throw defect(path, "\"max_seq_length\" must be a whole number above 0.");
  return length.get<int64_t>();
}

// A prompt that is put before every text unless asked otherwise changes the vectors.
void refuse_default_prompt(const std::string& path) {
  const Json config = read_object(path);
  const Json name = config.value("default_prompt_name", Json());
  if (name.is_string())
    throw defect(path, fmt::format("puts the prompt {} before every text, which hone does not do; "
                                   "set \"default_prompt_name\" to null, and write the prompt into "
                                   "your texts.",
                                   name.dump()));
}

}  // namespace

SentenceFolder read_sentence_folder(const std::string& folder) {
  const auto in = [&](const std::string& name) { return (fs::path(folder) / name).string(); };
  SentenceFolder found;
  if (!fs::exists(in(kModules))) return found;
  const std::vector<Json> modules = read_modules(in(kModules));
  found.pooling = read_pooling(in(place_of(modules[1], in(kModules)) + "/config.json"));
  found.is_unit = class_of(modules.back(), in(kModules)) == "Normalize";
  if (modules.size() > 2 && class_of(modules[2], in(kModules)) == "Dense")
    found.dense = read_dense(in(place_of(modules[2], in(kModules))));
  found.max_seq_length = read_length(in(kLength));
  refuse_default_prompt(in(kConfig));
  return found;
}

void write_sentence_folder(const SentenceFolder& what, int64_t width, const std::string& folder) {
  const auto write = [&](const std::string& name, const Json& value) {
    const fs::path path = fs::path(folder) / name;
    fs::create_directories(path.parent_path());
    write_file(path.string(), to_text(value, 2) + "\n");
  };
  Json modules = Json::array();
  const auto add = [&](const char* path, const char* type) {
    const auto place = modules.size();
    modules.push_back({{"idx", place},
                       {"name", std::to_string(place)},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + type}});
  };
  add("", "Transformer");
  add(kPoolingFolder, "Pooling");
  const std::string normalize = what.dense ? "3_Normalize" : "2_Normalize";
  if (what.dense) add(kDenseFolder, "Dense");
  if (*what.is_unit) add(normalize.c_str(), "Normalize");
  write(kModules, modules);
  Json pooling = {{"word_embedding_dimension", width}};
  for (const auto& [key, name] : kFlags) {
    const auto mode = std::find_if(std::begin(kPoolings), std::end(kPoolings),
                                   [&](const auto& one) { return std::string(one.first) == name; });
    pooling[key] = mode != std::end(kPoolings) && mode->second == *what.pooling;
  }
  write(std::string(kPoolingFolder) + "/config.json", pooling);
  if (what.dense) write_dense(*what.dense, (fs::path(folder) / kDenseFolder).string());
  if (*what.is_unit) fs::create_directories(fs::path(folder) / normalize);
  if (what.max_seq_length > 0)
    write(kLength, {{"max_seq_length", what.max_seq_length}, {"do_lower_case", false}});
  write(kConfig, {{"prompts", Json::object()},
                  {"default_prompt_name", nullptr},
                  {"similarity_fn_name", "cosine"}});
}

}  // namespace hone::embedding
