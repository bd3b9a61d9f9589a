// Tokenizer::load: from the files of a folder to the parts of a tokenizer.
#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

Json added_token(const std::string& content, int32_t id, bool is_special) {
  return {{"id", id},        {"content", content},        {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", !is_special}, {"special", is_special}};
}

// tokenizer_config.json, completed from special_tokens_map.json as older folders have it; an empty
// object where neither is there.
Json read_config(const fs::path& folder) {
  Json config = Json::object();
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path file = folder / name;
    if (!fs::is_regular_file(file)) continue;
    const Json found = read_json(file.string(), ErrorKind::kModel);
    for (const auto& [key, value] : JsonNode(found, file.string()).object().items()) {
      if (!config.contains(key)) config[key] = value;
    }
  }
  return config;
}

std::string text_of(const JsonNode& config, const std::string& name, const std::string& fallback) {
  const auto found = config.find(name);
  if (!found) return fallback;
  return found->json().is_object() ? found->at("content").text() : found->text();
}

// The tokens that a folder without tokenizer.json adds: tokenizer_config.json's
// "added_tokens_decoder", then added_tokens.json, then the special tokens by their names.
Json collect_added_tokens(const JsonNode& config, const fs::path& folder,
                          const Vocabulary& vocabulary, const std::vector<std::string>& special) {
  Json out = Json::array();
  std::set<std::string> known;
  const auto add = [&](Json token) {
    if (known.insert(token["content"].get<std::string>()).second) out.push_back(std::move(token));
  };
  if (const auto list = config.find("added_tokens_decoder")) {
    for (const auto& [id, token] : list->object().items()) {
      Json entry = JsonNode(token, config.file(), "added_tokens_decoder." + id).object();
      JsonNode(entry, config.file(), "added_tokens_decoder." + id).at("content").text();
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos)
        throw list->error(fmt::format("\"{}\" is not an id", id));
      entry["id"] = std::stoi(id);
      add(std::move(entry));
    }
  }
  if (const fs::path file = folder / "added_tokens.json"; fs::is_regular_file(file)) {
    const Json list = read_json(file.string(), ErrorKind::kModel);
    for (const auto& [content, id] : JsonNode(list, file.string()).object().items()) {
      add(added_token(
          content,
          static_cast<int32_t>(
              JsonNode(id, file.string(), content).integer(0, Vocabulary::kMostIds - 1)),
          false));
    }
  }
  for (const std::string& content : special) {
    if (const int32_t id = vocabulary.find(content); id != Vocabulary::kNone)
      add(added_token(content, id, true));
  }
  return out;
}

int32_t require_token(const Vocabulary& vocabulary, const std::string& token,
                      const std::string& file) {
  const int32_t id = vocabulary.find(token);
  if (id == Vocabulary::kNone)
    throw Error(ErrorKind::kModel, Where{file},
                fmt::format("\"{}\" is not in the vocabulary", token));
  return id;
}

Json part(const char* kind, const char* text, int type_id) {
  return {{kind, {{"id", text}, {"type_id", type_id}}}};
}

// [CLS] A [SEP], and [CLS] A [SEP] B [SEP] with B's segment 1.
Json bert_template(const std::string& cls, int32_t cls_id, const std::string& sep, int32_t sep_id) {
  const auto special = [](const std::string& token, int type_id) {
    return part("SpecialToken", token.c_str(), type_id);
  };
  const auto entry = [](const std::string& token, int32_t id) {
    return Json{{"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
  };
  const Json a = part("Sequence", "A", 0), b = part("Sequence", "B", 1);
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special(cls, 0), a, special(sep, 0)})},
          {"pair", Json::array({special(cls, 0), a, special(sep, 0), b, special(sep, 1)})},
          {"special_tokens", {{cls, entry(cls, cls_id)}, {sep, entry(sep, sep_id)}}}};
}

// vocab.txt says nothing of how its tokens were made, so what BERT does is assumed, and lower case
// must be told.
TokenizerParts read_vocab_txt_parts(const fs::path& file, const TokenizerOptions& options,
                                    Json config, const std::string& config_file) {
  const JsonNode node(config, config_file);
  const auto stated = node.find("do_lower_case");
  if (!stated && !options.do_lower_case) {
    throw Error(ErrorKind::kModel, Where{file.string()},
                "a vocabulary alone does not say whether its tokens are lower-case; give "
                "--do-lower-case true or false, "
                "or \"do_lower_case\" in a tokenizer_config.json beside it");
  }
  const bool lowercase = options.do_lower_case ? *options.do_lower_case : stated->boolean();
  const auto strip = node.find("strip_accents");
  const std::string cls = text_of(node, "cls_token", "[CLS]"),
                    sep = text_of(node, "sep_token", "[SEP]"),
                    unk = text_of(node, "unk_token", "[UNK]");
  TokenizerParts parts;
  auto model = std::make_unique<WordPiece>(read_vocab_txt(file.string()), WordPieceOptions{unk},
                                           Where{file.string()});
  const Vocabulary& vocabulary = model->vocabulary();
  parts.added_tokens = collect_added_tokens(
      node, file.parent_path(), vocabulary,
      {text_of(node, "pad_token", "[PAD]"), unk, cls, sep, text_of(node, "mask_token", "[MASK]")});
  parts.normalizer = {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", node.boolean_or("tokenize_chinese_chars", true)},
                      {"strip_accents", strip ? Json(strip->boolean()) : Json()},
                      {"lowercase", lowercase}};
  parts.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  const int32_t cls_id = require_token(vocabulary, cls, file.string()),
                sep_id = require_token(vocabulary, sep, file.string());
  parts.post_processor = bert_template(cls, cls_id, sep, sep_id);
  parts.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  parts.model = std::move(model);
  parts.file = file.string();
  return parts;
}

// RoBERTa's files have <s> and </s> and put them around a text; GPT-2's have <|endoftext|> and put
// nothing.
TokenizerParts read_bpe_parts(const fs::path& folder, const Json& config,
                              const std::string& config_file) {
  const JsonNode node(config, config_file);
  const std::string file = (folder / "vocab.json").string();
  TokenizerParts parts;
  parts.model = Bpe::load_files(file, (folder / "merges.txt").string());
  const Vocabulary& vocabulary = parts.model->vocabulary();
  const bool adds_prefix_space = node.boolean_or("add_prefix_space", false);
  const bool is_roberta =
      vocabulary.find("<s>") != Vocabulary::kNone && vocabulary.find("</s>") != Vocabulary::kNone;
  parts.pre_tokenizer = {{"type", "ByteLevel"},
                         {"add_prefix_space", adds_prefix_space},
                         {"trim_offsets", true},
                         {"use_regex", true}};
  parts.decoder = {{"type", "ByteLevel"},
                   {"add_prefix_space", true},
                   {"trim_offsets", true},
                   {"use_regex", true}};
  if (is_roberta) {
    const std::string cls = text_of(node, "cls_token", "<s>"),
                      sep = text_of(node, "sep_token", "</s>");
    parts.post_processor = {{"type", "RobertaProcessing"},
                            {"sep", Json::array({sep, require_token(vocabulary, sep, file)})},
                            {"cls", Json::array({cls, require_token(vocabulary, cls, file)})},
                            {"trim_offsets", node.boolean_or("trim_offsets", true)},
                            {"add_prefix_space", adds_prefix_space}};
    parts.added_tokens =
        collect_added_tokens(node, folder, vocabulary, {"<s>", "<pad>", "</s>", "<unk>", "<mask>"});
    for (Json& token : parts.added_tokens)
      token["lstrip"] = token["content"] == "<mask>";  // it takes the blank before it along
  } else {
    parts.post_processor = {{"type", "ByteLevel"},
                            {"add_prefix_space", true},
                            {"trim_offsets", false},
                            {"use_regex", true}};
    parts.added_tokens = collect_added_tokens(node, folder, vocabulary, {"<|endoftext|>"});
  }
  parts.file = file;
  return parts;
}

void refuse_contradiction(const JsonNode& normalizer, const TokenizerOptions& options) {
  if (!options.do_lower_case || !normalizer.json().is_object()) return;
  const bool lowercase = normalizer.boolean_or("lowercase", *options.do_lower_case);
  if (lowercase == *options.do_lower_case) return;
  throw Error(ErrorKind::kUsage, Where{normalizer.file()},
              fmt::format("its normalizer has \"lowercase\": {}, so --do-lower-case {} is refused; "
                          "leave the option out",
                          lowercase, !lowercase));
}

TokenizerParts read_tokenizer_json(const fs::path& file, const TokenizerOptions& options) {
  const Json json = read_json(file.string(), ErrorKind::kModel);
  const JsonNode root(json, file.string());
  if (const auto version = root.find("version"); version && version->text() != "1.0") {
    throw version->error(
        fmt::format("written by version {}, this program reads 1.0", version->text()));
  }
  require_known_model(root.at("model"));
  TokenizerParts parts;
  const auto take = [&](const char* key, Json& to) {
    if (const auto found = root.find(key)) to = found->json();
  };
  take("added_tokens", parts.added_tokens);
  take("normalizer", parts.normalizer);
  take("pre_tokenizer", parts.pre_tokenizer);
  take("post_processor", parts.post_processor);
  take("decoder", parts.decoder);
  const auto pre_tokenizer =
      make_pre_tokenizer({parts.pre_tokenizer, file.string(), "pre_tokenizer"});
  parts.model =
      make_model(root.at("model"), pre_tokenizer != nullptr && pre_tokenizer->is_byte_level());
  parts.file = file.string();
  refuse_contradiction({parts.normalizer, file.string(), "normalizer"}, options);
  return parts;
}

// tokenizer.json rules; Transformers, though, rebuilds BERT's normalizer from
// tokenizer_config.json, so a difference is worth a word.
void warn_of_contradiction(const TokenizerParts& parts) {
  const auto stated = parts.config.find("do_lower_case");
  if (!parts.normalizer.is_object() || stated == parts.config.end() || !stated->is_boolean())
    return;
  const auto found = parts.normalizer.find("lowercase");
  if (found != parts.normalizer.end() && *found != *stated) {
    log_warn(
        "{}: \"do_lower_case\" is {}, but tokenizer.json lower-cases: {}; the latter is followed",
        parts.config_file, stated->dump(), found->dump());
  }
}

TokenizerParts read_parts(const std::string& path, const TokenizerOptions& options) {
  if (!fs::exists(path))
    throw Error(ErrorKind::kModel, Where{path},
                "no such file or folder; a model folder or a tokenizer file was expected");
  const bool is_folder = fs::is_directory(path);
  const fs::path folder = is_folder ? fs::path(path) : fs::path(path).parent_path();
  const std::string config_file = (folder / "tokenizer_config.json").string();
  Json config = read_config(folder);
  const auto has = [&](const char* name) {
    return is_folder && fs::is_regular_file(folder / name);
  };
  const std::string extension = is_folder ? "" : fs::path(path).extension().string();
  TokenizerParts parts;
  if (extension == ".json" || has("tokenizer.json")) {
    parts = read_tokenizer_json(is_folder ? folder / "tokenizer.json" : fs::path(path), options);
  } else if (extension == ".txt" || has("vocab.txt")) {
    parts = read_vocab_txt_parts(is_folder ? folder / "vocab.txt" : fs::path(path), options, config,
                                 config_file);
  } else if (has("vocab.json") && has("merges.txt")) {
    parts = read_bpe_parts(folder, config, config_file);
  } else {
    throw Error(ErrorKind::kModel, Where{path},
                "no tokenizer here: tokenizer.json, vocab.txt, or vocab.json with merges.txt were "
                "looked for");
  }
  parts.config = std::move(config);
  parts.config_file = config_file;
  warn_of_contradiction(parts);
  return parts;
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::string& path,
                                                 const TokenizerOptions& options) {
  return std::make_shared<HfTokenizer>(read_parts(path, options));
}

}  // namespace hone
