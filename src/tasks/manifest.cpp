#include "tasks/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/kept_sums.h"
#include "base/log.h"

namespace hone {
namespace {

constexpr int64_t kFormat =
    1;  // of hone.json; raise it when an older program could not read what is written
constexpr const char* kManifest = "hone.json";
constexpr const char* kSum = "sha256";  // of hone.json's other bytes
// Files of a folder whose checksums the manifest keeps, where they are there.
constexpr const char* kChecked[] = {"config.json",
                                    "model.safetensors",
                                    "adapter_config.json",
                                    "adapter_model.safetensors",
                                    "adapter.safetensors",
                                    "model_head.safetensors",
                                    "head_config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "vocab.txt",
                                    "vocab.json",
                                    "merges.txt",
                                    "spiece.model",
                                    "source.spm",
                                    "target.spm",
                                    "target_vocab.json",
                                    "added_tokens.json"};

std::string in(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

Json checksums(const std::string& folder) {
  Json sums = Json::object();
  for (const char* name : kChecked) {
    if (std::filesystem::exists(in(folder, name))) sums[name] = sha256_file(in(folder, name));
  }
  return sums;
}

// The manifest as text. Its last value is the checksum of all its other bytes.
std::string seal(Json manifest) {
  manifest[kSum] = "";
  std::string text = to_text(manifest, 2) + "\n";
  text.insert(text.rfind("\"\n}"), sha256(text));
  return text;
}

// Models of before have no such checksum.
void verify_seal(const Json& manifest, std::string text, const std::string& path) {
  if (!manifest.contains(kSum)) return;
  const std::string sum = manifest[kSum].is_string() ? manifest[kSum].get<std::string>() : "";
  const size_t at = text.rfind(sum);
  if (at != std::string::npos) text.erase(at, sum.size());
  if (sha256(text) == sum) return;
  throw Error(ErrorKind::kModel, {path},
              fmt::format("the file is not the one that was saved: it differs from its own "
                          "checksum. If you changed it on purpose, remove its line \"{}\".",
                          kSum));
}

void check_keys(const Json& manifest, const std::string& path) {
  static const std::vector<std::string> known = {
      "format", "task", "state", "precision", "data", "base", "base_form", "files", kSum};
  if (!manifest.is_object()) throw Error(ErrorKind::kModel, {path}, "must be a JSON object.");
  for (const char* key : {"format", "task", "state", "files"}) {
    if (!manifest.contains(key))
      throw Error(ErrorKind::kModel, {path}, fmt::format("\"{}\" is missing.", key));
  }
  for (const auto& [key, value] : manifest.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("\"{}\" is no key of this file: it is damaged, or a newer version "
                              "made it.",
                              key));
  }
}

Json read_checked(const std::string& folder) {
  const std::string path = in(folder, kManifest);
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kModel, {folder},
                fmt::format("no {} here: this is not a model that hone trained. To fine-tune a "
                            "pre-trained model, name it in a "
                            "configuration and run \"hone train\".",
                            kManifest));
  }
  const std::string text = read_file(path, ErrorKind::kModel);
  Json manifest = parse_json(text, {path, 1}, ErrorKind::kModel);
  check_keys(manifest, path);
  if (!manifest["files"].is_object())
    throw Error(ErrorKind::kModel, {path}, "\"files\" must be an object of names and checksums.");
  if (!manifest["format"].is_number_integer() || manifest["format"].get<int64_t>() > kFormat) {
    throw Error(ErrorKind::kModel, {path},
                fmt::format("written by format {}, this program reads up to {}; it was probably "
                            "made by a newer version.",
                            manifest["format"].dump(), kFormat));
  }
  verify_seal(manifest, text, path);
  return manifest;
}

void verify_checksums(const Json& files, const std::string& folder) {
  for (const auto& [name, sum] : files.items()) {
    if (std::find(std::begin(kChecked), std::end(kChecked), name) == std::end(kChecked))
      throw Error(ErrorKind::kModel, {in(folder, kManifest)},
                  fmt::format("\"files\" lists \"{}\", which is no file of a model.", name));
    const std::string path = in(folder, name.c_str());
    if (!std::filesystem::exists(path))
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("the file is gone, but {} lists it.", kManifest));
    if (sha256_file(path) != sum) {
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("the file is not the one that was saved: its checksum differs from "
                              "the one in {}. If you changed it on "
                              "purpose, remove its line from \"files\" there, and the line \"{}\".",
                              kManifest, kSum));
    }
  }
}

}  // namespace

std::string manifest_path(const std::string& folder) { return in(folder, kManifest); }

Json read_manifest(const std::string& folder) {
  Json manifest = read_checked(folder);
  verify_checksums(manifest["files"], folder);
  return manifest;
}

void write_manifest(const std::string& folder, const Json& content) {
  Json manifest = {{"format", kFormat}};
  manifest.update(content);
  manifest["files"] = checksums(folder);
  write_file(manifest_path(folder), seal(std::move(manifest)));
}

void verify_source(const std::string& folder) {
  if (std::filesystem::exists(manifest_path(folder))) {
    read_manifest(folder);
    return;
  }
  const bool is_of_hub = std::filesystem::is_symlink(in(folder, "config.json"));
  if (!is_of_hub && !verify_kept_sums(folder))
    log_info(
        "{}: has no checksums, as models that hone saved and the hub's cache have them; a damaged "
        "byte in it will not be noticed until \"hone check\" has kept some",
        folder);
}

}  // namespace hone
