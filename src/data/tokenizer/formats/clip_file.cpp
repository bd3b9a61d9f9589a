#include <fmt/format.h>

#include "base/utf8.h"
#include "data/byte_stream.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/formats/bpe_files.h"
#include "data/tokenizer/formats/bpe_patterns.h"
#include "data/tokenizer/special_tokens.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// The file has more merges than CLIP uses: 512 ids are the bytes, the last two mark a text's ends.
constexpr int64_t kClipIds = 49'408, kClipMerges = kClipIds - 512 - 2;
constexpr size_t kLongestFile = size_t{64} << 20;
constexpr const char *kBegin = "<|startoftext|>", *kEnd = "<|endoftext|>", *kSuffix = "</w>";

std::string unpacked(const fs::path& file) {
  SourceOptions options;
  options.path = file.string();
  std::string out;
  try {
    const std::unique_ptr<ByteStream> bytes = open_bytes(options);
    std::string buffer(1 << 16, '\0');
    while (const size_t size = bytes->read(buffer.data(), buffer.size())) {
      out.append(buffer, 0, size);
      if (out.size() > kLongestFile)
        throw Error(ErrorKind::kModel, {options.path}, "too long for a list of merges");
    }
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel, error.where(), error.message());  // not data, but a model's file
  }
  return out;
}

Bpe::Merges read_clip_merges(const fs::path& file) {
  const std::string text = unpacked(file);
  Bpe::Merges out;
  int64_t number = 1;  // the first line is a title
  for (size_t at = text.find('\n'); at != std::string::npos && std::ssize(out) < kClipMerges;) {
    const size_t begin = at + 1;
    ++number;
    at = text.find('\n', begin);
    const std::string line = text.substr(begin, at == std::string::npos ? at : at - begin);
    const size_t blank = line.find(' ');
    if (blank == 0 || blank == std::string::npos ||
        line.find(' ', blank + 1) != std::string::npos || blank + 1 == line.size() ||
        invalid_utf8(line) != std::string::npos)
      throw Error(ErrorKind::kModel, {file.string(), number},
                  "not a merge: two tokens with a blank between them");
    out.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  if (std::ssize(out) < kClipMerges)
    throw Error(ErrorKind::kModel, {file.string(), number},
                fmt::format("the list ends after {} merges; CLIP has {}", out.size(), kClipMerges));
  return out;
}

// All bytes, the visible ones first; the same at a word's end; what merges make; the two marks.
Vocabulary clip_vocabulary(const Bpe::Merges& merges, const Where& where) {
  Vocabulary out;
  const auto add = [&](const std::string& token) {
    if (!out.set(token, out.end_id()))
      throw Error(ErrorKind::kModel, where, fmt::format("two merges make \"{}\"", token));
  };
  for (const char* suffix : {"", kSuffix}) {
    for (const bool is_visible : {true, false}) {
      for (int byte = 0; byte < 256; ++byte) {
        const std::string bytes(1, static_cast<char>(byte)), letter = to_byte_alphabet(bytes);
        size_t at = 0;
        if ((next_code_point(letter, at) < 0x100) == is_visible) add(letter + suffix);
      }
    }
  }
  for (const auto& [left, right] : merges) add(left + right);
  add(kBegin);
  add(kEnd);
  return out;
}

}  // namespace

void make_clip(TokenizerParts& parts, const JsonNode& config, const fs::path& folder) {
  const std::string begin = token_text(config, "bos_token", kBegin),
                    end = token_text(config, "eos_token", kEnd);
  for (const std::string& token : {begin, end}) {
    if (parts.model->vocabulary().find(token) == Vocabulary::kNone)
      throw Error(ErrorKind::kModel, {parts.file},
                  fmt::format("\"{}\" is not in the vocabulary", token));
  }
  const auto with_id = [&](const std::string& token) {
    return Json::array({token, parts.model->vocabulary().find(token)});
  };
  const Json blanks = {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kClipPattern}}},
                      {"behavior", "Removed"},
                      {"invert", true}};
  parts.normalizer = {
      {"type", "Sequence"},
      {"normalizers", Json::array({{{"type", "NFC"}}, blanks, {{"type", "Lowercase"}}})}};
  parts.pre_tokenizer = {{"type", "Sequence"},
                         {"pretokenizers", Json::array({split, byte_level_part(false, true)})}};
  parts.post_processor = {{"type", "RobertaProcessing"},
                          {"sep", with_id(end)},
                          {"cls", with_id(begin)},
                          {"trim_offsets", false},
                          {"add_prefix_space", false}};
  parts.decoder = decoder_with_suffix(kSuffix);
  parts.added_tokens =
      with_added_tokens(Json::array(), config, folder, parts.model->vocabulary(), {begin, end});
  for (const char* name : {"unk_token", "pad_token"}) {
    if (!parts.config.contains(name)) parts.config[name] = end;
  }
  if (!parts.config.contains("tokenizer_class")) parts.config["tokenizer_class"] = "CLIPTokenizer";
}

TokenizerParts read_clip_parts(const fs::path& file, const JsonNode& config) {
  const Bpe::Merges merges = read_clip_merges(file);
  TokenizerParts parts;
  parts.file = file.string();
  parts.config = config.json();
  BpeOptions options;
  options.is_byte_level = true;
  options.end_of_word_suffix = kSuffix;
  options.unk_token = kEnd;
  parts.model = std::make_unique<Bpe>(clip_vocabulary(merges, Where{parts.file}), merges, options,
                                      Where{parts.file});
  make_clip(parts, config, file.parent_path());
  return parts;
}

}  // namespace hone
