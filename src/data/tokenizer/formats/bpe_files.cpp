#include "data/tokenizer/formats/bpe_files.h"

#include <algorithm>
#include <iterator>

namespace hone {
namespace {

namespace fs = std::filesystem;

bool is_clip_file(const fs::path& file) {
  return std::find(std::begin(kClipFiles), std::end(kClipFiles), file.filename().string()) !=
         std::end(kClipFiles);
}

std::optional<TokenizerParts> read_bpe_folder(const fs::path& folder, const JsonNode& config) {
  if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt"))
    return read_merges_parts(folder, config);
  for (const std::string_view name : kClipFiles) {
    if (fs::exists(folder / name)) return read_clip_parts(folder / name, config);
  }
  const auto ranks = find_rank_file(folder);
  return ranks ? std::optional(read_rank_parts(*ranks, config)) : std::nullopt;
}

}  // namespace

std::optional<TokenizerParts> read_bpe_parts(const fs::path& path, const JsonNode& config) {
  if (fs::is_directory(path)) return read_bpe_folder(path, config);
  if (is_clip_file(path)) return read_clip_parts(path, config);
  if (path.extension() == kRankEnding || is_rank_file(path)) return read_rank_parts(path, config);
  return std::nullopt;
}

}  // namespace hone
