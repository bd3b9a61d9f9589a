#include "data/tokenizer/marian_tokenizer.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/mapped_pieces.h"
#include "data/tokenizer/sentencepiece_files.h"
#include "data/tokenizer/special_tokens.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char *kSource = "source.spm", *kTarget = "target.spm", *kIds = "vocab.json",
                     *kTargetIds = "target_vocab.json", *kConfig = "tokenizer_config.json";
constexpr std::string_view kPieceMark = "\xE2\x96\x81";  // U+2581, a blank made visible

// Keys of tokenizer_config.json and what MarianTokenizer takes where they are missing.
constexpr std::pair<const char*, const char*> kNamed[] = {
    {"unk_token", "<unk>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}};

// Bytes of the language code that the text begins with; 0: it begins with none.
size_t language_code_size(std::string_view text) {
  if (!text.starts_with(">>")) return 0;
  const size_t end = text.find("<<");
  return end == std::string_view::npos ? 0 : end + 2;
}

bool is_separate(const Json& config, const fs::path& folder) {
  return JsonNode(config, (folder / kConfig).string()).boolean_or("separate_vocabs", false);
}

std::string read_needed(const fs::path& folder, const char* name) {
  if (fs::exists(folder / name)) return read_file((folder / name).string(), ErrorKind::kModel);
  throw Error(ErrorKind::kModel, Where{folder.string()},
              fmt::format("{} is missing: a Marian tokenizer is {}, {} and {} (with \"{}\" also "
                          "{})",
                          name, kSource, kTarget, kIds, "separate_vocabs", kTargetIds));
}

int32_t require_id(const Vocabulary& vocabulary, const std::string& token, const Where& where) {
  if (const int32_t id = vocabulary.find(token); id != Vocabulary::kNone) return id;
  throw Error(ErrorKind::kModel, where, fmt::format("\"{}\" is not in the vocabulary", token));
}

// What both files have in common is what can be written; a few characters that the vocabulary has
// left out are usual.
void check_belonging(const MappedPieces& model, const Where& pieces, const char* vocabulary) {
  if (model.missing() == model.pieces() - 1)
    throw Error(ErrorKind::kModel, pieces,
                fmt::format("none of its {} pieces is in {}: they do not belong together",
                            model.pieces() - 1, vocabulary));
  if (10 * model.missing() > model.pieces())
    log_warn("{}: {} of its {} pieces are not in {}; texts with them get the unknown token",
             pieces.file, model.missing(), model.pieces() - 1, vocabulary);
}

// A </s>, and A B </s>.
Json end_template(const std::string& token, int32_t id) {
  const auto text = [](const char* name) {
    return Json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  const Json end = {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
  Json special = Json::object();
  special[token] = {{"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({text("A"), end})},
          {"pair", Json::array({text("A"), text("B"), end})},
          {"special_tokens", special}};
}

// One side: `pieces` and `vocabulary` are names of files.
TokenizerParts read_side(const fs::path& folder, const MarianTokenizer::Files& files,
                         const char* pieces, const char* vocabulary, const Json& config) {
  const Where of_pieces{(folder / pieces).string()}, of_ids{(folder / vocabulary).string()};
  const JsonNode node(config, (folder / kConfig).string());
  const Json list = parse_json(files.at(vocabulary), of_ids, ErrorKind::kModel);
  Vocabulary ids = read_vocabulary(JsonNode(list, of_ids.file));
  BareSentencePiece bare = read_bare_sentencepiece(files.at(pieces), of_pieces);
  std::vector<std::string> named;
  for (const auto& [key, token] : kNamed) named.push_back(token_text(node, key, token));
  const int32_t unknown = require_id(ids, named[0], of_ids),
                end = require_id(ids, named[1], of_ids);
  auto model = std::make_unique<MappedPieces>(std::move(bare.model), bare.unknown_piece,
                                              std::move(ids), unknown);
  check_belonging(*model, of_pieces, vocabulary);
  TokenizerParts parts;
  parts.added_tokens = with_added_tokens(Json::array(), node, folder, model->vocabulary(), named);
  parts.normalizer = std::move(bare.normalizer);
  parts.pre_tokenizer = std::move(bare.pre_tokenizer);
  parts.post_processor = end_template(named[1], end);
  parts.model = std::move(model);
  parts.config = config;
  parts.config_file = node.file();
  parts.file = of_pieces.file;
  return parts;
}

// The text of a stretch without special tokens: no blank at its beginning.
void append_pieces(std::string pieces, std::string& out) {
  for (size_t at = 0; (at = pieces.find(kPieceMark, at)) != std::string::npos; ++at)
    pieces.replace(at, kPieceMark.size(), " ");
  const size_t first = pieces.find_first_not_of(' ');
  if (first != std::string::npos) out += pieces.substr(first);
}

}  // namespace

bool is_marian_folder(const fs::path& folder) {
  return fs::exists(folder / kSource) || fs::exists(folder / kTarget);
}

std::shared_ptr<const MarianTokenizer> MarianTokenizer::load(const fs::path& folder) {
  Json config = read_tokenizer_config(folder);
  const char* target_ids = is_separate(config, folder) ? kTargetIds : kIds;
  Files read;
  for (const char* name : {kSource, kTarget, kIds, target_ids})
    read[name] = read_needed(folder, name);
  config["tokenizer_class"] = "MarianTokenizer";
  for (const auto& [key, token] : kNamed) {
    if (!config.contains(key)) config[key] = token;
  }
  read[kConfig] = to_text(config, 2) + "\n";
  const auto files = std::make_shared<const Files>(std::move(read));
  auto target = std::make_unique<const MarianTokenizer>(
      read_side(folder, *files, kTarget, target_ids, config), files, nullptr);
  return std::make_shared<const MarianTokenizer>(read_side(folder, *files, kSource, kIds, config),
                                                 files, std::move(target));
}

void MarianTokenizer::encode(std::string_view text, Encoding& out) const {
  const size_t size = language_code_size(text);
  HfTokenizer::encode(text.substr(size), out);
  if (size == 0) return;
  for (Span& span : out.offsets) {
    span.start += static_cast<int32_t>(size);
    span.end += static_cast<int32_t>(size);
  }
  for (int32_t& word : out.words) ++word;
  out.ids.insert(out.ids.begin(), id(text.substr(0, size)).value_or(unk_id()));
  out.offsets.insert(out.offsets.begin(), Span{0, static_cast<int32_t>(size)});
  out.words.insert(out.words.begin(), 0);
}

std::string MarianTokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::string out, pieces;
  for (const int32_t id : ids) {
    if (!is_special(id)) {
      pieces += token(id);
    } else if (!skip_special) {
      append_pieces(std::exchange(pieces, ""), out);
      out += token(id) + " ";
    }
  }
  append_pieces(std::move(pieces), out);
  out.resize(out.find_last_not_of(' ') + 1);
  return out;
}

void MarianTokenizer::save(const std::string& folder) const {
  fs::create_directories(folder);
  for (const auto& [name, bytes] : *files_) write_file((fs::path(folder) / name).string(), bytes);
}

}  // namespace hone
