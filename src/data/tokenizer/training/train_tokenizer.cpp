#include "data/tokenizer/training/train_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/file.h"
#include "base/progress.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/unigram.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "the new tokenizer";  // for messages

Json bert_normalizer(bool is_lowercase) {
  return {{"type", "BertNormalizer"},
          {"clean_text", true},
          {"handle_chinese_chars", true},
          {"strip_accents", nullptr},
          {"lowercase", is_lowercase}};
}

Json normalizer_step(const std::string& name) {
  if (name == "bert_uncased" || name == "bert_cased")
    return bert_normalizer(name == "bert_uncased");
  if (name == "lowercase") return {{"type", "Lowercase"}};
  if (name == "strip_accents") return {{"type", "StripAccents"}};
  if (name == "nmt") return {{"type", "Nmt"}};
  if (name == "strip") return {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return {{"type", upper}};
}

Json normalizer_part(const std::vector<std::string>& names) {
  if (names.empty()) return nullptr;
  if (names.size() == 1) return normalizer_step(names[0]);
  Json steps = Json::array();
  for (const std::string& name : names) steps.push_back(normalizer_step(name));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json byte_level() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", true}};
}

Json metaspace() {
  return {{"type", "Metaspace"},
          {"replacement", "\u2581"},
          {"prepend_scheme", "always"},
          {"split", true}};
}

Json pre_tokenizer_part(const TrainTokenizerOptions& options) {
  if (options.algorithm == "byte_level_bpe") return byte_level();
  if (options.pre_tokenizer == "metaspace") return metaspace();
  if (options.pre_tokenizer == "bert") return {{"type", "BertPreTokenizer"}};
  if (options.pre_tokenizer == "whitespace") return {{"type", "Whitespace"}};
  return {{"type", "WhitespaceSplit"}};
}

Json decoder_part(const TrainTokenizerOptions& options) {
  if (options.algorithm == "byte_level_bpe") return byte_level();
  if (options.algorithm == "wordpiece")
    return {{"type", "WordPiece"},
            {"prefix", options.bpe.continuing_subword_prefix},
            {"cleanup", true}};
  if (options.pre_tokenizer == "metaspace") return metaspace();
  if (!options.bpe.end_of_word_suffix.empty())
    return {{"type", "BPEDecoder"}, {"suffix", options.bpe.end_of_word_suffix}};
  return nullptr;
}

bool has(const std::vector<std::string>& tokens, const char* token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

// [CLS] A [SEP] B [SEP], or <s> A </s></s> B </s>, where these tokens are there.
Json post_processor_part(const TrainTokenizerOptions& options) {
  const auto with_id = [&](const char* token) {
    const auto& all = options.special_tokens;
    return Json::array({token, std::find(all.begin(), all.end(), token) - all.begin()});
  };
  if (has(options.special_tokens, "[CLS]") && has(options.special_tokens, "[SEP]"))
    return {{"type", "BertProcessing"}, {"sep", with_id("[SEP]")}, {"cls", with_id("[CLS]")}};
  if (has(options.special_tokens, "<s>") && has(options.special_tokens, "</s>"))
    return {{"type", "RobertaProcessing"},
            {"sep", with_id("</s>")},
            {"cls", with_id("<s>")},
            {"trim_offsets", options.algorithm == "byte_level_bpe"},
            {"add_prefix_space", false}};
  return nullptr;
}

Json added_tokens_part(const std::vector<std::string>& special_tokens) {
  Json out = Json::array();
  for (const std::string& token : special_tokens) {
    out.push_back({{"id", out.size()},
                   {"content", token},
                   {"single_word", false},
                   {"lstrip", token == "<mask>"},  // it takes the blank before it along
                   {"rstrip", false},
                   {"normalized", false},
                   {"special", true}});
  }
  return out;
}

std::string unk_of(const std::vector<std::string>& special_tokens) {
  if (has(special_tokens, "[UNK]")) return "[UNK]";
  return has(special_tokens, "<unk>") ? "<unk>" : "";
}

// What models that write begin and end a text with: the first of these that there is. GPT-2's token
// is both. The other roles follow from their usual spellings wherever a tokenizer is saved.
constexpr std::pair<const char*, std::array<const char*, 4>> kRoles[] = {
    {"bos_token", {"<s>", "<bos>", "[BOS]", "<|endoftext|>"}},
    {"eos_token", {"</s>", "<eos>", "[EOS]", "<|endoftext|>"}},
};

void name_roles(const std::vector<std::string>& special_tokens, Json& config) {
  for (const auto& [role, spellings] : kRoles) {
    const auto found = std::find_if(spellings.begin(), spellings.end(),
                                    [&](const char* token) { return has(special_tokens, token); });
    if (found != spellings.end()) config[role] = *found;
  }
}

std::unique_ptr<Model> train_model(const WordCounts& words, const TrainTokenizerOptions& options) {
  const Where where{kFile};
  if (options.algorithm == "unigram") {
    const TrainedUnigram trained = train_unigram(words, options.unigram);
    return std::make_unique<Unigram>(trained.pieces, trained.unk_id, false, where);
  }
  const TrainedBpe trained = train_bpe(words, options.bpe);
  Vocabulary vocabulary;
  for (const std::string& token : trained.tokens) vocabulary.set(token, vocabulary.end_id());
  const std::string unk = unk_of(options.special_tokens);
  const std::string& prefix = options.bpe.continuing_subword_prefix;
  if (options.algorithm == "wordpiece")
    return std::make_unique<WordPiece>(std::move(vocabulary), WordPieceOptions{unk, prefix}, where);
  BpeOptions bpe;
  bpe.is_byte_level = options.algorithm == "byte_level_bpe";
  if (!bpe.is_byte_level && !unk.empty()) bpe.unk_token = unk;  // no byte is unknown
  bpe.end_of_word_suffix = options.bpe.end_of_word_suffix;
  return std::make_unique<Bpe>(std::move(vocabulary), trained.merges, std::move(bpe), where);
}

// The texts of a row's fields: strings, or lists of words.
class TextsOf {
 public:
  explicit TextsOf(const TrainTokenizerOptions& options) : fields_(options.text) {}

  template <typename Visit>
  void operator()(const Record& record, const Visit& visit) const {
    for (const std::string& name : fields_) {
      const auto found = record.fields.find(name);
      if (found == record.fields.end()) refuse(record, name);
      if (found->is_null()) continue;
      visit(text_of(record, name, *found));
    }
  }

 private:
  const std::vector<std::string>& fields_;

  [[noreturn]] static void refuse(const Record& record, const std::string& name) {
    std::vector<std::string> names;
    for (const auto& [key, value] : record.fields.items()) names.push_back(key);
    throw Error(
        ErrorKind::kData, record.where(),
        fmt::format("no field \"{}\" here; there are {}{}. text=… names those to learn from", name,
                    fmt::join(names, ", "), did_you_mean(name, names)));
  }

  static std::string text_of(const Record& record, const std::string& name, const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    std::string out;
    bool is_text = value.is_array();
    for (const Json& word : is_text ? value : Json::array()) {
      is_text = is_text && word.is_string();
      if (is_text) out += (out.empty() ? "" : " ") + word.get<std::string>();
    }
    if (!is_text)
      throw Error(ErrorKind::kData, record.where(),
                  fmt::format("\"{}\" is neither a text nor a list of words", name));
    return out;
  }
};

// Cuts texts into words and counts them.
class WordCounter {
 public:
  WordCounter(const Json& normalizer, const Json& pre_tokenizer)
      : normalizer_(make_normalizer({normalizer, kFile, "normalizer"})),
        pre_tokenizer_(make_pre_tokenizer({pre_tokenizer, kFile, "pre_tokenizer"})) {}

  int64_t words = 0;
  WordCounts counts;

  void add(std::string_view text) {
    if (text.empty()) return;
    NormalizedText normalized(text, 0, static_cast<int32_t>(text.size()));
    if (normalizer_ != nullptr) normalizer_->apply(normalized);
    spans_.assign(1, {0, static_cast<int32_t>(normalized.view().size())});
    if (spans_[0].end == 0) return;
    pre_tokenizer_->apply(normalized, spans_);
    for (const Span span : spans_) {
      const std::string_view word = normalized.view().substr(span.start, span.end - span.start);
      counts.add(pre_tokenizer_->is_byte_level() ? to_byte_alphabet(word) : std::string(word));
    }
    words += std::ssize(spans_);
  }

 private:
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::vector<Span> spans_;
};

int64_t count_words(const TrainTokenizerOptions& options, const SourceOptions& source,
                    WordCounter& counter) {
  const std::unique_ptr<RecordReader> reader = open_reader(source);
  const TextsOf texts_of(options);
  Progress progress("counting words", 0, "texts");
  int64_t texts = 0;
  while (const auto record = reader->next()) {
    texts_of(*record, [&](const std::string& text) {
      counter.add(text);
      ++texts;
    });
    if (texts % 256 == 0)
      progress.advance_to(texts, fmt::format("{} different words", counter.counts.size()));
  }
  progress.advance_to(texts);
  if (counter.words == 0)
    throw Error(ErrorKind::kData, {source.path},
                texts == 0 ? "no texts in it" : fmt::format("no word in its {} texts", texts));
  return texts;
}

void refuse_used_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) || (fs::is_directory(folder) && fs::is_empty(folder))) return;
  throw Error(ErrorKind::kUsage, {folder.string()},
              "something is there already; remove it, or name another folder");
}

// All files or none: they are written beside the folder, which then takes its name.
void save(const HfTokenizer& tokenizer, const fs::path& folder) {
  fs::path whole = fs::absolute(folder).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();  // "name/"
  const fs::path unfinished =
      whole.parent_path() / ("." + whole.filename().string() + ".unfinished");
  fs::remove_all(unfinished);
  tokenizer.save(unfinished.string());
  fs::remove(whole);  // an empty one
  rename_path(unfinished.string(), whole.string());
}

}  // namespace

TrainedTokenizer train_tokenizer(const TrainTokenizerOptions& options, const SourceOptions& source,
                                 const std::string& folder) {
  refuse_used_folder(folder);
  TokenizerParts parts;
  parts.file = kFile;
  parts.config_file = kFile;
  parts.normalizer = normalizer_part(options.normalizer);
  parts.pre_tokenizer = pre_tokenizer_part(options);
  parts.post_processor = post_processor_part(options);
  parts.decoder = decoder_part(options);
  parts.added_tokens = added_tokens_part(options.special_tokens);
  WordCounter counter(parts.normalizer, parts.pre_tokenizer);
  TrainedTokenizer out;
  out.texts = count_words(options, source, counter);
  out.words = counter.words;
  out.different_words = static_cast<int64_t>(counter.counts.size());
  parts.model = train_model(counter.counts, options);
  const bool is_bert = options.normalizer.size() == 1 && options.normalizer[0].starts_with("bert_");
  parts.config["tokenizer_class"] =
      is_bert && options.algorithm == "wordpiece" ? "BertTokenizer" : "PreTrainedTokenizerFast";
  name_roles(options.special_tokens, parts.config);
  const HfTokenizer tokenizer(std::move(parts));
  out.vocab_size = tokenizer.vocab_size();
  save(tokenizer, folder);
  return out;
}

}  // namespace hone
