// Tokenizer::load: from the files of a folder to the parts of a tokenizer.
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/model_files.h"
#include "data/tokenizer/formats/bpe_files.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/marian_tokenizer.h"
#include "data/tokenizer/sentencepiece_files.h"
#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

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

// MPNet has RoBERTa's tokens around BERT's pieces.
Json mpnet_processing(const std::string& cls, int32_t cls_id, const std::string& sep,
                      int32_t sep_id) {
  return {{"type", "RobertaProcessing"},
          {"sep", Json::array({sep, sep_id})},
          {"cls", Json::array({cls, cls_id})},
          {"trim_offsets", true},
          {"add_prefix_space", false}};
}

void take_blank_before(const std::string& mask, Json& added_tokens) {
  for (Json& token : added_tokens) {
    if (token["content"] == mask) token["lstrip"] = true;
  }
}

// vocab.txt says nothing of how its tokens were made, so what BERT does is assumed, and lower case
// must be told.
TokenizerParts read_vocab_txt_parts(const fs::path& file, const TokenizerOptions& options,
                                    const Json& config, const std::string& config_file) {
  const JsonNode node(config, config_file);
  const auto stated = node.find("do_lower_case");
  if (!stated && !options.do_lower_case) {
    throw Error(ErrorKind::kModel, Where{file.string()},
                "a vocabulary alone does not say whether its tokens are lower-case; write "
                "{\"do_lower_case\": true} or false into a tokenizer_config.json beside it (hone "
                "tokenize takes --do-lower-case true or false too)");
  }
  const bool lowercase = options.do_lower_case ? *options.do_lower_case : stated->boolean();
  const auto strip = node.find("strip_accents");
  const bool is_mpnet = node.text_or("tokenizer_class", "").starts_with("MPNetTokenizer");
  const std::string cls = token_text(node, "cls_token", is_mpnet ? "<s>" : "[CLS]"),
                    sep = token_text(node, "sep_token", is_mpnet ? "</s>" : "[SEP]"),
                    pad = token_text(node, "pad_token", is_mpnet ? "<pad>" : "[PAD]"),
                    mask = token_text(node, "mask_token", is_mpnet ? "<mask>" : "[MASK]"),
                    unk = token_text(node, "unk_token", "[UNK]");
  TokenizerParts parts;
  auto model = std::make_unique<WordPiece>(read_vocab_txt(file.string()), WordPieceOptions{unk},
                                           Where{file.string()});
  const Vocabulary& vocabulary = model->vocabulary();
  parts.added_tokens = with_added_tokens(Json::array(), node, file.parent_path(), vocabulary,
                                         {pad, unk, cls, sep, mask});
  parts.normalizer = {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", node.boolean_or("tokenize_chinese_chars", true)},
                      {"strip_accents", strip ? Json(strip->boolean()) : Json()},
                      {"lowercase", lowercase}};
  parts.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  const int32_t cls_id = require_token(vocabulary, cls, file.string()),
                sep_id = require_token(vocabulary, sep, file.string());
  parts.post_processor = bert_template(cls, cls_id, sep, sep_id);
  if (is_mpnet) {
    parts.post_processor = mpnet_processing(cls, cls_id, sep, sep_id);
    take_blank_before(mask, parts.added_tokens);
  }
  parts.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  parts.model = std::move(model);
  parts.config = config;
  parts.config_file = config_file;
  parts.file = file.string();
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

// CLIP's file leaves its "</w>" to be replaced by the class that reads it.
void take_suffix_along(TokenizerParts& parts) {
  const auto* bpe = dynamic_cast<const Bpe*>(parts.model.get());
  if (bpe == nullptr || bpe->options().end_of_word_suffix.empty()) return;
  if (parts.decoder.is_object() && parts.decoder.value("type", "") == "ByteLevel")
    parts.decoder = decoder_with_suffix(bpe->options().end_of_word_suffix);
}

TokenizerParts read_tokenizer_json(const fs::path& file, const TokenizerOptions& options,
                                   const Json& config, const std::string& config_file) {
  const Json json = read_json(file.string(), ErrorKind::kModel);
  const JsonNode root(json, file.string());
  if (const auto version = root.find("version"); version && version->text() != "1.0") {
    throw version->error(
        fmt::format("written by version {}, this program reads 1.0", version->text()));
  }
  require_known_model(root.at("model"));
  TokenizerParts parts;
  parts.file = file.string();
  const auto take = [&](const char* key, Json& to) {
    if (const auto found = root.find(key)) to = found->json();
  };
  if (const auto tokens = root.find("added_tokens")) parts.added_tokens = tokens->array();
  take("normalizer", parts.normalizer);
  take("pre_tokenizer", parts.pre_tokenizer);
  take("post_processor", parts.post_processor);
  take("decoder", parts.decoder);
  const auto pre_tokenizer =
      make_pre_tokenizer({parts.pre_tokenizer, file.string(), "pre_tokenizer"});
  parts.model =
      make_model(root.at("model"), pre_tokenizer != nullptr && pre_tokenizer->is_byte_level());
  take_suffix_along(parts);
  refuse_contradiction({parts.normalizer, file.string(), "normalizer"}, options);
  parts.config = config;
  parts.config_file = config_file;
  settle_conflicts(parts, root);
  parts.added_tokens = with_added_tokens(std::move(parts.added_tokens), {parts.config, config_file},
                                         file.parent_path(), parts.model->vocabulary());
  return parts;
}

// Texts that are too long lose their end.
void tell_left_truncation(const Json& config, const std::string& file) {
  if (config.value("truncation_side", Json()) == "left")
    log_warn("{}: \"truncation_side\" is left, but texts that are too long are cut at their end",
             file);
}

// The model's file may name the class in the place of the tokenizer's (mT5's does), as Transformers
// has it.
void take_class_of_model(const fs::path& folder, Json& config) {
  constexpr const char* kClass = "tokenizer_class";
  const fs::path file = folder / "config.json";
  if (!config.value(kClass, Json()).is_null() || !fs::exists(file)) return;
  const Json model = read_json(file.string(), ErrorKind::kModel);
  if (const auto named = JsonNode(model, file.string()).find(kClass))
    config[kClass] = named->text();
}

TokenizerParts read_parts(const std::string& path, const TokenizerOptions& options) {
  if (!fs::exists(path))
    throw Error(
        ErrorKind::kModel, Where{path},
        fmt::format("no such file or folder{}; a model folder or a tokenizer file was expected",
                    looked_from(path)));
  const bool is_folder = fs::is_directory(path);
  const fs::path folder = is_folder ? fs::path(path) : fs::path(path).parent_path();
  const std::string config_file = (folder / "tokenizer_config.json").string();
  Json config = read_tokenizer_config(folder);
  tell_left_truncation(config, config_file);
  const auto has = [&](const char* name) { return is_folder && fs::exists(folder / name); };
  const std::string extension = is_folder ? "" : fs::path(path).extension().string();
  if (extension == ".json" || has("tokenizer.json"))
    return read_tokenizer_json(is_folder ? folder / "tokenizer.json" : fs::path(path), options,
                               config, config_file);
  take_class_of_model(folder, config);
  if (auto parts = has("vocab.txt") ? std::nullopt : read_bpe_parts(path, {config, config_file})) {
    parts->config_file = config_file;
    return std::move(*parts);
  }
  if (extension == ".txt" || has("vocab.txt"))
    return read_vocab_txt_parts(is_folder ? folder / "vocab.txt" : fs::path(path), options, config,
                                config_file);
  if (extension == ".model" || extension == ".spm")
    return read_sentencepiece_parts(path, config, config_file);
  if (const fs::path file = is_folder ? find_sentencepiece(folder) : fs::path(); !file.empty())
    return read_sentencepiece_parts(file, config, config_file);
  throw Error(ErrorKind::kModel, Where{path},
              "no tokenizer here" +
                  foreign_in(path,
                             ": tokenizer.json, vocab.txt, vocab.json with merges.txt, a "
                             "SentencePiece model (spiece.model, sentencepiece.bpe.model, "
                             "spm.model, tokenizer.model), source.spm with target.spm and "
                             "vocab.json, or a rank file (tokenizer.model, NAME.tiktoken) were "
                             "looked for"));
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::string& path,
                                                 const TokenizerOptions& options) {
  if (is_marian_folder(path)) return MarianTokenizer::load(path);
  return std::make_shared<HfTokenizer>(read_parts(path, options));
}

}  // namespace hone
