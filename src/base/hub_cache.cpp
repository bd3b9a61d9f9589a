#include "base/hub_cache.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/shard_index.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerFiles[] = {"tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "added_tokens.json",
                                           "vocab.txt",
                                           "vocab.json",
                                           "merges.txt",
                                           "spiece.model",
                                           "spm.model",
                                           "tokenizer.model",
                                           "sentencepiece.bpe.model",
                                           "source.spm",
                                           "target.spm",
                                           "target_vocab.json"};
constexpr const char* kOtherFiles[] = {"config.json", "generation_config.json", "hone.json"};
constexpr const char* kWeightFiles[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};

bool is_hex(std::string_view text, size_t length) {
  return text.size() == length &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string git_blob_id(const std::string& path) {
  const MappedFile file(path, ErrorKind::kModel);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const std::string header = fmt::format("blob {}", file.bytes().size());
  EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr);
  EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1);  // with the terminating zero
  EVP_DigestUpdate(context.get(), file.bytes().data(), file.bytes().size());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

bool has_any(const std::string& folder, std::span<const char* const> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return fs::exists(folder + "/" + name); });
}

bool has_weights(const std::string& folder) {
  for (const std::string name : weight_files()) {
    const std::string path = folder + "/" + name;
    if (!fs::exists(path)) continue;
    if (!name.ends_with("index.json")) return true;
    const ShardIndex shards = read_shard_index(path);
    if (std::all_of(shards.begin(), shards.end(),
                    [&](const auto& shard) { return fs::exists(folder + "/" + shard.first); }))
      return true;
  }
  return false;
}

bool is_complete(const std::string& folder) {
  return fs::exists(folder + "/config.json") && has_weights(folder) &&
         has_any(folder, tokenizer_files());
}

}  // namespace

std::span<const char* const> tokenizer_files() { return kTokenizerFiles; }
std::span<const char* const> other_files() { return kOtherFiles; }
std::span<const char* const> weight_files() { return kWeightFiles; }

bool is_commit(const std::string& revision) { return is_hex(revision, 40); }

bool is_checksum(const std::string& name) { return is_hex(name, 64) || is_hex(name, 40); }

std::string checksum_like(const std::string& name, const std::string& path) {
  return is_hex(name, 64) ? sha256_file(path) : git_blob_id(path);
}

bool is_whole_blob(const std::string& blob) {
  const std::string name = fs::path(blob).filename().string();
  return fs::exists(blob) && checksum_like(name, blob) == name;
}

std::string cached_snapshot(const Repository& repository) {
  std::string commit = repository.revision;
  const std::string reference = repository.folder() + "/refs/" + repository.revision;
  if (fs::is_regular_file(reference)) {
    commit = read_file(reference, ErrorKind::kModel);
    std::erase_if(commit, [](unsigned char c) { return std::isspace(c); });
    if (!is_commit(commit)) return "";
  }
  const std::string folder = repository.folder() + "/snapshots/" + commit;
  return is_complete(folder) ? folder : "";
}

std::vector<std::string> model_files(const std::string& folder) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& name) {
    if (fs::exists(folder + "/" + name)) files.push_back(folder + "/" + name);
  };
  for (const char* name : kOtherFiles) add(name);
  for (const char* name : kTokenizerFiles) add(name);
  const auto weights =
      std::find_if(std::begin(kWeightFiles), std::end(kWeightFiles),
                   [&](const char* name) { return fs::exists(folder + "/" + name); });
  if (weights == std::end(kWeightFiles)) return files;
  add(*weights);
  if (files.back().ends_with("index.json")) {
    for (const auto& [shard, tensors] : read_shard_index(files.back())) add(shard);
  }
  return files;
}

std::string damaged_file(const std::string& snapshot) {
  for (const std::string& file : model_files(snapshot)) {
    std::error_code error;
    const fs::path blob = fs::read_symlink(file, error);
    if (!error && is_checksum(blob.filename().string()) &&
        !is_whole_blob((fs::path(snapshot) / blob).string()))
      return file;
  }
  return "";
}

}  // namespace hone
