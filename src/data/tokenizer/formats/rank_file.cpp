#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <tuple>

#include "base/file.h"
#include "base/letters.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/formats/bpe_files.h"
#include "data/tokenizer/formats/bpe_patterns.h"
#include "data/tokenizer/special_tokens.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// Longer tokens than any vocabulary has (cl100k_base: 128 blanks).
constexpr size_t kLongestToken = 1024;

struct RankLine {
  std::string bytes;
  int32_t rank;
};

// Nothing where it is no such line.
std::optional<RankLine> parse_rank_line(std::string_view line) {
  const size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0) return std::nullopt;
  const auto bytes = from_base64(line.substr(0, blank));
  const std::string_view digits = line.substr(blank + 1);
  int32_t rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (!bytes || bytes->empty() || error != std::errc() || end != digits.data() + digits.size() ||
      digits.front() == '-')
    return std::nullopt;
  return RankLine{*bytes, rank};
}

// The tokens by their bytes, each once, with an id each.
class RankReader {
 public:
  explicit RankReader(const std::string& path)
      : path_(path), text_(read_file(path, ErrorKind::kModel)) {}

  Vocabulary run() {
    for (size_t at = 0; at < text_.size();) {
      const size_t end = std::min(text_.find('\n', at), text_.size());
      ++line_;
      add(std::string_view(text_).substr(at, end - at));
      at = end + 1;
    }
    for (int byte = 0; byte < 256; ++byte) {
      if (tokens_.find(std::string(1, static_cast<char>(byte))) == Vocabulary::kNone)
        throw Error(ErrorKind::kModel, {path_},
                    fmt::format("no token for the byte 0x{:02X}, which any text may hold; is the "
                                "file cut short?",
                                byte));
    }
    return std::move(tokens_);
  }

 private:
  const std::string& path_;
  std::string text_;
  Vocabulary tokens_;
  int64_t line_ = 0;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kModel, {path_, line_}, what);
  }

  void add(std::string_view line) {
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) return;
    const auto token = parse_rank_line(line);
    if (!token) fail("not a token in base64 and its rank, with a blank between them");
    if (token->rank >= Vocabulary::kMostIds)
      fail(fmt::format("the rank {} is not below {}", token->rank, Vocabulary::kMostIds));
    if (token->bytes.size() > kLongestToken)
      fail(fmt::format("a token of {} bytes; the most is {}", token->bytes.size(), kLongestToken));
    if (const int32_t earlier = tokens_.find(token->bytes); earlier != Vocabulary::kNone)
      fail(fmt::format("\"{}\" has the rank {} already", to_byte_alphabet(token->bytes), earlier));
    if (tokens_.has(token->rank))
      fail(fmt::format("\"{}\" has the rank {} already",
                       to_byte_alphabet(tokens_.token(token->rank)), token->rank));
    tokens_.set(token->bytes, token->rank);
  }
};

// tiktoken merges the neighbours that make the token of the lowest rank, whichever two they are. So
// each pair of tokens that makes a token is a merge.
Bpe::Merges merges_of(const Vocabulary& tokens) {
  struct Pair {
    int32_t rank, left, right;
  };
  Bpe::Merges out;
  std::vector<Pair> pairs;
  for (int32_t rank = 0; rank < tokens.end_id(); ++rank) {
    const std::string_view token = tokens.token(rank);
    pairs.clear();
    for (size_t size = 1; size < token.size(); ++size) {
      const int32_t left = tokens.find(token.substr(0, size));
      const int32_t right = left == Vocabulary::kNone ? left : tokens.find(token.substr(size));
      if (right != Vocabulary::kNone) pairs.push_back({rank, left, right});
    }
    std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
      return std::tie(a.left, a.right) < std::tie(b.left, b.right);
    });
    for (const Pair& pair : pairs)
      out.emplace_back(to_byte_alphabet(tokens.token(pair.left)),
                       to_byte_alphabet(tokens.token(pair.right)));
  }
  return out;
}

struct RankFamily {
  std::string_view
      name;  // with which the file's name begins, or "tokenizer_class", in small letters
  const char* pattern;
  bool is_composed;  // NFC first
};

constexpr RankFamily kRankFamilies[] = {
    {"qwen", kQwenPattern, true},     {"cl100k", kCl100kPattern, false},
    {"llama", kCl100kPattern, false}, {"o200k", kO200kPattern, false},
    {"r50k", kGpt2Pattern, false},    {"p50k", kGpt2Pattern, false},
    {"gpt2", kGpt2Pattern, false},
};

const RankFamily* family_named(const std::string& shown) {
  const std::string name = small_letters(shown);
  for (const RankFamily& family : kRankFamilies) {
    if (name.starts_with(family.name)) return &family;
  }
  return nullptr;
}

// A tokenizer.model is taken for Llama 3's where nothing says otherwise, as Transformers does.
const RankFamily& family_of(const fs::path& file, const JsonNode& config) {
  if (const RankFamily* family = family_named(config.text_or("tokenizer_class", "")))
    return *family;
  if (file.extension() == ".model") return *family_named("llama");
  if (const RankFamily* family = family_named(file.filename().string())) return *family;
  std::string names;
  for (const RankFamily& family : kRankFamilies)
    names += fmt::format("{}{}…{}", names.empty() ? "" : ", ", family.name, kRankEnding);
  throw Error(ErrorKind::kModel, {file.string()},
              fmt::format("nothing tells by which pattern this tokenizer cuts a text into words; "
                          "name the file after its family: {}",
                          names));
}

// Ranks may have holes (p50k_base has one), where special tokens stand.
void add_tokens_with_ids(const JsonNode& config, Vocabulary& vocabulary) {
  const auto decoder = config.find("added_tokens_decoder");
  if (!decoder) return;
  for (const auto& [key, token] : decoder->object().items()) {
    const JsonNode node = decoder->at(key);
    const std::string content = node.at("content").text();
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 ||
        id >= Vocabulary::kMostIds)
      throw decoder->error(fmt::format("\"{}\" is not an id", key));
    const int32_t known = vocabulary.find(content);
    if (known != Vocabulary::kNone ? known != id : vocabulary.has(id))
      throw node.error(fmt::format("\"{}\" cannot have the id {}: {}", content, id,
                                   known != Vocabulary::kNone
                                       ? fmt::format("it has {} already", known)
                                       : fmt::format("\"{}\" has it", vocabulary.token(id))));
    vocabulary.set(content, id);
  }
}

}  // namespace

bool is_rank_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string start(4096, '\0');
  in.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(in.gcount()));
  std::string_view line = std::string_view(start).substr(0, start.find('\n'));
  while (line.ends_with('\r')) line.remove_suffix(1);
  return parse_rank_line(line).has_value();
}

std::optional<fs::path> find_rank_file(const fs::path& folder) {
  for (const char* name : {"tokenizer.model", "tiktoken.model"}) {
    if (fs::is_regular_file(folder / name) && is_rank_file(folder / name)) return folder / name;
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == kRankEnding) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.size() > 1)
    throw Error(ErrorKind::kModel, {folder.string()},
                fmt::format("more than one rank file: {} and {}; name the one that is meant",
                            found[0].filename().string(), found[1].filename().string()));
  return found.empty() ? std::nullopt : std::optional(found[0]);
}

RankFile read_rank_file(const std::string& path) {
  const Vocabulary tokens = RankReader(path).run();
  RankFile out;
  out.merges = merges_of(tokens);
  for (int32_t id = 0; id < tokens.end_id(); ++id) {
    if (tokens.has(id)) out.vocabulary.set(to_byte_alphabet(tokens.token(id)), id);
  }
  return out;
}

TokenizerParts read_rank_parts(const fs::path& file, const JsonNode& config) {
  const RankFamily& family = family_of(file, config);
  RankFile ranks = read_rank_file(file.string());
  add_tokens_with_ids(config, ranks.vocabulary);
  TokenizerParts parts;
  parts.file = file.string();
  BpeOptions options;
  options.is_byte_level = true;
  options.ignore_merges = true;  // tiktoken looks a word up before it merges
  parts.model =
      std::make_unique<Bpe>(std::move(ranks.vocabulary), ranks.merges, options, Where{parts.file});
  if (family.is_composed) parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = split_by_pattern(family.pattern);
  parts.post_processor = byte_level_part(true, false);
  parts.decoder = byte_level_part(true, true);
  parts.added_tokens =
      with_added_tokens(Json::array(), config, file.parent_path(), parts.model->vocabulary());
  parts.config = config.json();
  // A vocabulary of everything has "</s>" too, which marks nothing there.
  for (const char* name : {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!parts.config.contains(name)) parts.config[name] = nullptr;
  }
  // The class that made the file reads it by its own code; what is saved is a tokenizer.json.
  parts.config.erase("auto_map");
  parts.config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return parts;
}

}  // namespace hone
