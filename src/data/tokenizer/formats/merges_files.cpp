#include <fmt/format.h>

#include <iterator>

#include "base/json.h"
#include "data/tokenizer/formats/bpe_files.h"
#include "data/tokenizer/formats/bpe_patterns.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/special_tokens.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

bool has_tokens(const Vocabulary& vocabulary, std::initializer_list<const char*> tokens) {
  for (const char* token : tokens) {
    if (vocabulary.find(token) == Vocabulary::kNone) return false;
  }
  return true;
}

// "<s>" and its id, as RobertaProcessing has them. `name` is the key of tokenizer_config.json.
Json token_with_id(const TokenizerParts& parts, const JsonNode& config, const char* name,
                   const char* usual) {
  const std::string token = token_text(config, name, usual);
  const int32_t id = parts.model->vocabulary().find(token);
  if (id == Vocabulary::kNone)
    throw Error(ErrorKind::kModel, Where{parts.file},
                fmt::format("\"{}\" is not in the vocabulary", token));
  return Json::array({token, id});
}

// The mask takes the blank before it along.
void strip_before(const char* token, Json& added_tokens) {
  for (Json& added : added_tokens) {
    if (added["content"] == token) added["lstrip"] = true;
  }
}

void make_gpt2(TokenizerParts& parts, const JsonNode& config, const fs::path& folder) {
  parts.post_processor = byte_level_part(true, false);
  parts.added_tokens = with_added_tokens(Json::array(), config, folder, parts.model->vocabulary(),
                                         {"<|endoftext|>"});
}

void make_roberta(TokenizerParts& parts, const JsonNode& config, const fs::path& folder) {
  parts.post_processor = {{"type", "RobertaProcessing"},
                          {"sep", token_with_id(parts, config, "sep_token", "</s>")},
                          {"cls", token_with_id(parts, config, "cls_token", "<s>")},
                          {"trim_offsets", config.boolean_or("trim_offsets", true)},
                          {"add_prefix_space", config.boolean_or("add_prefix_space", false)}};
  parts.added_tokens = with_added_tokens(Json::array(), config, folder, parts.model->vocabulary(),
                                         {"<s>", "<pad>", "</s>", "<unk>", "<mask>"});
  strip_before("<mask>", parts.added_tokens);
}

// [CLS] A [SEP], and [CLS] A [SEP] [SEP] B [SEP], as Transformers 5 has it.
void make_deberta(TokenizerParts& parts, const JsonNode& config, const fs::path& folder) {
  const Json cls = token_with_id(parts, config, "cls_token", "[CLS]"),
             sep = token_with_id(parts, config, "sep_token", "[SEP]");
  const auto special = [](const Json& token) {
    return Json{{"SpecialToken", {{"id", token[0]}, {"type_id", 0}}}};
  };
  const auto text = [](const char* name) {
    return Json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  const auto entry = [](const Json& token) {
    return Json{
        {"id", token[0]}, {"ids", Json::array({token[1]})}, {"tokens", Json::array({token[0]})}};
  };
  parts.post_processor = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({special(cls), text("A"), special(sep)})},
      {"pair",
       Json::array({special(cls), text("A"), special(sep), special(sep), text("B"), special(sep)})},
      {"special_tokens",
       {{cls[0].get<std::string>(), entry(cls)}, {sep[0].get<std::string>(), entry(sep)}}}};
  parts.added_tokens = with_added_tokens(Json::array(), config, folder, parts.model->vocabulary(),
                                         {"[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"});
  strip_before("[MASK]", parts.added_tokens);
}

void make_qwen2(TokenizerParts& parts, const JsonNode& config, const fs::path& folder) {
  parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = split_by_pattern(kQwenPattern);
  make_gpt2(parts, config, folder);
}

struct MergesFamily {
  const char* class_name;                       // with which "tokenizer_class" begins
  bool (*is_it)(const Vocabulary& vocabulary);  // where no class says so; null: never
  void (*make)(TokenizerParts& parts, const JsonNode& config, const fs::path& folder);
  const char* suffix = "";  // with which a word's last token ends
};

constexpr MergesFamily kMergesFamilies[] = {
    {"CLIP", [](const Vocabulary& v) { return has_tokens(v, {"<|startoftext|>", "!</w>"}); },
     make_clip, "</w>"},
    {"Qwen2", nullptr, make_qwen2},
    {"Deberta", [](const Vocabulary& v) { return has_tokens(v, {"[CLS]", "[SEP]"}); },
     make_deberta},
    {"Roberta", [](const Vocabulary& v) { return has_tokens(v, {"<s>", "</s>"}); }, make_roberta},
    {"GPT2", [](const Vocabulary&) { return true; }, make_gpt2},
};

const MergesFamily& family_of(const Vocabulary& vocabulary, const JsonNode& config) {
  const std::string name = config.text_or("tokenizer_class", "");
  for (const MergesFamily& family : kMergesFamilies) {
    if (name.starts_with(family.class_name)) return family;
  }
  for (const MergesFamily& family : kMergesFamilies) {
    if (family.is_it != nullptr && family.is_it(vocabulary)) return family;
  }
  return std::end(kMergesFamilies)[-1];
}

}  // namespace

Json byte_level_part(bool adds_prefix_space, bool trims_offsets, bool uses_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", adds_prefix_space},
          {"trim_offsets", trims_offsets},
          {"use_regex", uses_regex}};
}

Json decoder_with_suffix(const std::string& suffix) {
  const Json blanks = {{"type", "Replace"}, {"pattern", {{"String", suffix}}}, {"content", " "}};
  const Json ends = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 1}};
  return {{"type", "Sequence"},
          {"decoders", Json::array({byte_level_part(true, true), blanks, ends})}};
}

Json split_by_pattern(const std::string& pattern) {
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({split, byte_level_part(false, true, false)})}};
}

TokenizerParts read_merges_parts(const fs::path& folder, const JsonNode& config) {
  TokenizerParts parts;
  parts.file = (folder / "vocab.json").string();
  parts.config = config.json();
  const Json vocab = read_json(parts.file, ErrorKind::kModel);
  Vocabulary vocabulary = read_vocabulary(JsonNode(vocab, parts.file));
  const MergesFamily& family = family_of(vocabulary, config);
  BpeOptions options;
  options.is_byte_level = true;
  options.end_of_word_suffix = family.suffix;
  parts.model = Bpe::load_merges(std::move(vocabulary), (folder / "merges.txt").string(), options);
  parts.pre_tokenizer = byte_level_part(config.boolean_or("add_prefix_space", false), true);
  parts.decoder = byte_level_part(true, true);
  family.make(parts, config, folder);
  return parts;
}

}  // namespace hone
