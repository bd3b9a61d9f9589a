#include "data/tokenizer/sentencepiece_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/piece_trie.h"
#include "data/tokenizer/sentencepiece_model.h"
#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/unigram.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "\xE2\x96\x81";  // U+2581, a blank made visible

// What a form is made from.
struct Source {
  const SentencePieceModel& model;
  const JsonNode& config;
};

// The pieces with the ids that the model's embeddings have, and what surrounds them.
struct Form {
  Unigram::Pieces pieces;
  int64_t unk_id = 0;
  Json normalizer, pre_tokenizer, post_processor, decoder;
  std::vector<std::string> special;  // tokens that its class always has
  std::string mask;                  // of them the one that takes the blank before it along
};

Json sequence(const char* key, Json items) {
  return {{"type", "Sequence"}, {key, std::move(items)}};
}

Json replace(const char* kind, const char* what, const char* by) {
  return {{"type", "Replace"}, {"pattern", {{kind, what}}}, {"content", by}};
}

Json strip(bool left) { return {{"type", "Strip"}, {"strip_left", left}, {"strip_right", true}}; }

void add_charsmap(const Source& source, Json& normalizers) {
  if (source.model.charsmap.empty()) return;
  normalizers.push_back(
      {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(source.model.charsmap)}});
}

Json metaspace(const char* scheme, bool splits) {
  return {
      {"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", scheme}, {"split", splits}};
}

const char* scheme_of(const Source& source) {
  return source.config.boolean_or("add_prefix_space", true) ? "always" : "never";
}

// A template like "<s> A </s> </s> B:1 </s>:1": A and B are the texts, what follows a colon is the
// segment. Tokens get their ids later.
Json template_side(const std::string& text) {
  Json out = Json::array();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    std::string name = text.substr(at, end - at);
    at = end + 1;
    int segment = 0;
    if (const size_t colon = name.rfind(':'); colon != std::string::npos) {
      segment = name.back() - '0';
      name.resize(colon);
    }
    const char* kind = name == "A" || name == "B" ? "Sequence" : "SpecialToken";
    out.push_back({{kind, {{"id", name}, {"type_id", segment}}}});
  }
  return out;
}

Json make_template(const std::string& single, const std::string& pair) {
  return {{"type", "TemplateProcessing"},
          {"single", template_side(single)},
          {"pair", template_side(pair)},
          {"special_tokens", Json::object()}};
}

// A digit before a comma at a piece's end: the original cuts such a piece in two, so it is made
// unlikely.
bool ends_in_number_comma(const std::string& piece) {
  return piece.size() >= 2 && piece.back() == ',' && piece[piece.size() - 2] >= '0' &&
         piece[piece.size() - 2] <= '9';
}

Unigram::Pieces pieces_of(const Source& source, size_t from = 0) {
  Unigram::Pieces out;
  const auto& pieces = source.model.pieces;
  for (size_t id = std::min(from, pieces.size()); id < pieces.size(); ++id)
    out.emplace_back(pieces[id].text, pieces[id].score);
  return out;
}

// What all of SentencePiece's converters share.
Form common_form(const Source& source) {
  Form form;
  form.pieces = pieces_of(source);
  form.unk_id = source.model.unk_id;
  Json normalizers = Json::array();
  add_charsmap(source, normalizers);
  normalizers.push_back(strip(false));
  normalizers.push_back(replace("Regex", " {2,}", kMark));
  form.normalizer = sequence("normalizers", normalizers);
  form.pre_tokenizer = form.decoder = metaspace(scheme_of(source), true);
  return form;
}

// Marks to blanks, bytes to characters, and without the blank that was put before the text.
Json byte_decoder(bool has_prefix) {
  Json decoders = {replace("String", kMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (has_prefix)
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return sequence("decoders", decoders);
}

// SentencePiece itself.
Form plain_form(const Source& source) {
  Form form = common_form(source);
  const bool has_prefix = source.model.adds_prefix;
  Json normalizers = Json::array();
  add_charsmap(source, normalizers);
  if (source.model.removes_extra_whitespace) {
    // Pieces of a BPE model may have several marks.
    const bool splits = source.model.splits_by_whitespace &&
                        source.model.kind == SentencePieceModel::Kind::kUnigram;
    normalizers.push_back(strip(false));
    normalizers.push_back(replace("Regex", " {2,}", " "));
    form.pre_tokenizer = form.decoder = metaspace(has_prefix ? "always" : "never", splits);
  } else {
    if (has_prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kMark}});
    normalizers.push_back(replace("String", " ", kMark));
    form.pre_tokenizer = nullptr;
  }
  form.normalizer = sequence("normalizers", normalizers);
  if (source.model.byte_fallback || !source.model.removes_extra_whitespace)
    form.decoder = byte_decoder(has_prefix);
  return form;
}

// ALBERT and XLNet.
Form quoted_form(const Source& source, bool lowercases) {
  Form form = common_form(source);
  for (auto& [piece, score] : form.pieces) score -= ends_in_number_comma(piece) ? 100 : 0;
  Json normalizers = {replace("String", "``", "\""), replace("String", "''", "\"")};
  if (!source.config.boolean_or("keep_accents", false)) {
    normalizers.push_back({{"type", "NFKD"}});
    normalizers.push_back({{"type", "StripAccents"}});
  }
  if (source.config.boolean_or("do_lower_case", lowercases))
    normalizers.push_back({{"type", "Lowercase"}});
  add_charsmap(source, normalizers);
  normalizers.push_back(replace("Regex", " {2,}", " "));
  form.normalizer = sequence("normalizers", normalizers);
  return form;
}

Form albert_form(const Source& source) {
  Form form = quoted_form(source, true);
  form.post_processor = make_template("[CLS] A [SEP]", "[CLS] A [SEP] B:1 [SEP]:1");
  form.special = {"[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]"};
  form.mask = "[MASK]";
  return form;
}

Form xlnet_form(const Source& source) {
  Form form = quoted_form(source, false);
  form.post_processor = make_template("A <sep> <cls>:2", "A <sep> B:1 <sep>:1 <cls>:2");
  form.special = {"<s>", "</s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>", "<eop>", "<eod>"};
  form.mask = "<mask>";
  return form;
}

Form deberta_form(const Source& source) {
  Form form = common_form(source);
  Json normalizers = Json::array();
  if (source.config.boolean_or("do_lower_case", false))
    normalizers.push_back({{"type", "Lowercase"}});
  normalizers.push_back(strip(true));
  add_charsmap(source, normalizers);
  normalizers.push_back(replace("Regex", " {2,}", " "));
  form.normalizer = sequence("normalizers", normalizers);
  Json pre_tokenizers = Json::array();
  if (source.config.boolean_or("split_by_punct", false))
    pre_tokenizers.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  pre_tokenizers.push_back(form.pre_tokenizer);
  form.pre_tokenizer = sequence("pretokenizers", pre_tokenizers);
  form.post_processor = make_template("[CLS] A [SEP]", "[CLS] A [SEP] B:1 [SEP]:1");
  form.special = {"[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"};
  return form;
}

// RoBERTa's template on pieces whose first ids are fairseq's.
Form fairseq_form(const Source& source, Unigram::Pieces first, size_t from) {
  Form form = common_form(source);
  form.pieces = std::move(first);
  const Unigram::Pieces rest = pieces_of(source, from);
  form.pieces.insert(form.pieces.end(), rest.begin(), rest.end());
  form.pieces.emplace_back("<mask>", 0);
  form.unk_id = 3;
  form.post_processor = make_template("<s> A </s>", "<s> A </s> </s> B </s>");
  form.special = {"<s>", "</s>", "<unk>", "<pad>", "<mask>"};
  form.mask = "<mask>";
  return form;
}

Form xlm_roberta_form(const Source& source) {
  return fairseq_form(source, {{"<s>", 0}, {"<pad>", 0}, {"</s>", 0}, {"<unk>", 0}}, 3);
}

Form camembert_form(const Source& source) {
  Form form = fairseq_form(
      source,
      {{"<s>NOTUSED", 0}, {"<pad>", 0}, {"</s>NOTUSED", 0}, {"<unk>", 0}, {"<unk>NOTUSED", -100}},
      1);
  for (const char* name : {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"})
    form.special.emplace_back(name);
  return form;
}

// mBART-50's, in the order of their ids; mBART has the first 25.
constexpr const char* kLanguages[] = {
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN",
    "hi_IN", "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP",
    "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN", "af_ZA", "az_AZ",
    "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN",
    "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN",
    "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES", "sl_SI"};

// XLM-R's pieces, then languages, the mask last. The source's language stands around a text.
Form mbart_form_of(const Source& source, size_t languages, const char* single, const char* pair) {
  Form form = xlm_roberta_form(source);
  for (size_t i = 0; i < languages; ++i) {
    form.pieces.emplace(form.pieces.end() - 1, kLanguages[i], 0);
    form.special.emplace_back(kLanguages[i]);
  }
  const std::string language = source.config.text_or("src_lang", "en_XX");
  form.post_processor = make_template(fmt::format(fmt::runtime(single), language),
                                      fmt::format(fmt::runtime(pair), language));
  return form;
}

Form mbart_form(const Source& source) {
  return mbart_form_of(source, 25, "A </s> {}", "A B </s> {}");
}

Form mbart50_form(const Source& source) {
  return mbart_form_of(source, std::size(kLanguages), "{} A </s>", "{} A B </s>");
}

Form t5_form(const Source& source) {
  Form form = common_form(source);
  int64_t extra = 100;
  if (const auto stated = source.config.find("extra_ids")) extra = stated->integer(0, 100'000);
  form.special = {"</s>", "<unk>", "<pad>"};
  for (int64_t i = extra - 1; i >= 0; --i) {
    form.special.push_back(fmt::format("<extra_id_{}>", i));
    form.pieces.emplace_back(form.special.back(), 0);
  }
  form.post_processor = make_template("A </s>", "A </s> B </s>");
  return form;
}

Form llama_form(const Source& source) {
  Form form = common_form(source);
  const bool has_prefix = source.config.boolean_or("add_prefix_space", true);
  form.normalizer = form.pre_tokenizer = nullptr;
  if (source.config.boolean_or("legacy", true)) {
    Json normalizers = Json::array();
    if (has_prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kMark}});
    normalizers.push_back(replace("String", " ", kMark));
    form.normalizer = sequence("normalizers", normalizers);
  } else {
    form.pre_tokenizer = metaspace(has_prefix ? "first" : "never", false);
  }
  form.decoder = byte_decoder(has_prefix);
  form.special = {"<s>", "</s>", "<unk>"};
  const bool bos = source.config.boolean_or("add_bos_token", true),
             eos = source.config.boolean_or("add_eos_token", false);
  const std::string before = bos ? "<s>" : "", after = eos ? " </s>" : "";
  form.post_processor = make_template(
      fmt::format("{} A{}", before, after).substr(bos ? 0 : 1),
      fmt::format("{} A{}{} B:1{}", before, after, bos ? " <s>:1" : "", eos ? " </s>:1" : "")
          .substr(bos ? 0 : 1));
  return form;
}

struct FormOf {
  const char *tokenizer_class, *model_type;
  Form (*make)(const Source& source);
};

constexpr FormOf kForms[] = {
    {"AlbertTokenizer", "albert", albert_form},
    {"XLNetTokenizer", "xlnet", xlnet_form},
    {"DebertaV2Tokenizer", "deberta-v2", deberta_form},
    {"XLMRobertaTokenizer", "xlm-roberta", xlm_roberta_form},
    {"CamembertTokenizer", "camembert", camembert_form},
    {"MBartTokenizer", "mbart", mbart_form},
    {"MBart50Tokenizer", "mbart50", mbart50_form},
    {"T5Tokenizer", "t5", t5_form},
    {"T5Tokenizer", "mt5", t5_form},
    {"LlamaTokenizer", "llama", llama_form},
    {"PreTrainedTokenizer", "", plain_form},
};

std::string model_type_of(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  if (!fs::exists(file)) return "";
  const Json config = read_json(file.string(), ErrorKind::kModel);
  return JsonNode(config, file.string()).text_or("model_type", "");
}

Form form_of_model(const Source& source, const fs::path& folder) {
  const std::string model_type = model_type_of(folder);
  for (const FormOf& form : kForms) {
    if (model_type == form.model_type) return form.make(source);
  }
  log_warn(
      "{}: no \"tokenizer_class\", and \"model_type\": \"{}\" does not say what stands around a "
      "text: nothing is put there. Name the class in tokenizer_config.json",
      folder.string(), model_type);
  return plain_form(source);
}

Form make_form(const Source& source, const fs::path& folder) {
  std::string name = source.config.text_or("tokenizer_class", "");
  if (name.empty()) return form_of_model(source, folder);
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  std::set<std::string> known;
  for (const FormOf& form : kForms) {
    if (name == form.tokenizer_class) return form.make(source);
    known.insert(form.tokenizer_class);
  }
  throw source.config.at("tokenizer_class")
      .error(
          fmt::format("\"{}\" is not known how to make from a SentencePiece model; known are {}. "
                      "Save the tokenizer with Transformers: tokenizer.json has all of it",
                      name, fmt::join(known, ", ")));
}

// Pairs that make a piece, the best piece first, and of one piece by the ids of its parts: the
// order of the merges that Transformers makes.
Bpe::Merges merges_of(const Unigram::Pieces& pieces, const Vocabulary& vocabulary,
                      const Where& where) {
  constexpr size_t kMostMerges = 8'000'000;
  struct Merge {
    double score;
    int32_t left, right;
  };
  std::vector<PieceTrie::Entry> entries;
  for (int32_t id = 0; id < vocabulary.end_id(); ++id)
    entries.emplace_back(vocabulary.token(id), id);
  const PieceTrie trie(std::move(entries));
  std::vector<Merge> merges;
  for (const auto& [piece, score] : pieces) {
    const size_t first = merges.size();
    trie.prefixes(piece, 0, [&](size_t end, int32_t left) {
      const int32_t right = vocabulary.find(std::string_view(piece).substr(end));
      if (end < piece.size() && right != Vocabulary::kNone) merges.push_back({score, left, right});
    });
    std::sort(merges.begin() + static_cast<int64_t>(first), merges.end(),
              [](const Merge& a, const Merge& b) {
                return std::pair(a.left, a.right) < std::pair(b.left, b.right);
              });
    if (merges.size() > kMostMerges)
      throw Error(ErrorKind::kModel, where, "its pieces make more merges than any model has");
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.score > b.score; });
  Bpe::Merges out;
  out.reserve(merges.size());
  for (const Merge& merge : merges)
    out.emplace_back(vocabulary.token(merge.left), vocabulary.token(merge.right));
  return out;
}

std::unique_ptr<Model> make_bpe(const Form& form, const SentencePieceModel& source,
                                const Where& where) {
  Vocabulary vocabulary;
  for (const auto& [piece, score] : form.pieces) {
    if (!std::isfinite(score) || piece.size() > Unigram::kMostPieceBytes)
      throw Error(
          ErrorKind::kModel, where,
          fmt::format("piece {} is too long, or its score is no number", vocabulary.end_id()));
    if (!vocabulary.append(piece))
      log_warn("{}: the piece \"{}\" ({}) stands there twice; the later one is found", where.file,
               piece, vocabulary.end_id() - 1);
  }
  BpeOptions options;
  options.unk_token = form.pieces[form.unk_id].first;
  options.fuse_unk = true;
  options.byte_fallback = source.byte_fallback;
  const Bpe::Merges merges = merges_of(form.pieces, vocabulary, where);
  return std::make_unique<Bpe>(std::move(vocabulary), merges, options, where);
}

// SentencePiece takes a symbol that its user defined whatever else could be made of the text: the
// score that it reckons with is better than that of any piece as long.
void prefer_user_defined(const SentencePieceModel& source, Form& form) {
  double best = source.pieces[0].score;
  for (const auto& piece : source.pieces) {
    if (piece.type == SentencePieceModel::Type::kNormal) best = std::max<double>(best, piece.score);
  }
  std::unordered_set<std::string_view> symbols;
  for (const auto& piece : source.pieces) {
    if (piece.type == SentencePieceModel::Type::kUserDefined) symbols.insert(piece.text);
  }
  for (auto& [text, score] : form.pieces) {
    if (symbols.contains(text)) score = static_cast<double>(count_code_points(text)) * best - 0.1;
  }
}

std::unique_ptr<Model> make_pieces(Form& form, const SentencePieceModel& source,
                                   const Where& where) {
  if (source.kind == SentencePieceModel::Kind::kBpe) return make_bpe(form, source, where);
  prefer_user_defined(source, form);
  return std::make_unique<Unigram>(form.pieces, form.unk_id, source.byte_fallback, where);
}

SentencePieceModel parse_supported(std::string_view bytes, const Where& where) {
  SentencePieceModel model = parse_sentencepiece(bytes, where);
  if (model.kind == SentencePieceModel::Kind::kUnigram ||
      model.kind == SentencePieceModel::Kind::kBpe)
    return model;
  throw Error(ErrorKind::kModel, where,
              "a SentencePiece model of words or characters; unigram and bpe are supported");
}

// Control symbols and unused pieces are found in no text.
SentencePieceModel without_symbols(SentencePieceModel model) {
  using Type = SentencePieceModel::Type;
  const int64_t unknown = model.unk_id;
  std::vector<SentencePieceModel::Piece> kept;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const bool is_unknown = static_cast<int64_t>(id) == unknown;
    const Type type = model.pieces[id].type;
    if (!is_unknown && (type == Type::kControl || type == Type::kUnused)) continue;
    if (is_unknown) model.unk_id = static_cast<int64_t>(kept.size());
    kept.push_back(std::move(model.pieces[id]));
  }
  model.pieces = std::move(kept);
  return model;
}

Json control_tokens(const SentencePieceModel& source, const Vocabulary& vocabulary) {
  Json out = Json::array();
  for (const auto& piece : source.pieces) {
    if (piece.type != SentencePieceModel::Type::kControl) continue;
    const int32_t id = vocabulary.find(piece.text);
    if (id == Vocabulary::kNone) continue;
    out.push_back({{"id", id},
                   {"content", piece.text},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", false},
                   {"special", true}});
  }
  return out;
}

// The names in a template become the tokens that the configuration has for them, with their ids.
void fill_template(Json& post_processor, const Vocabulary& vocabulary, const Where& where) {
  if (post_processor.is_null()) return;
  for (const char* side : {"single", "pair"}) {
    for (const Json& part : post_processor[side]) {
      if (!part.contains("SpecialToken")) continue;
      const std::string token = part["SpecialToken"]["id"];
      const int32_t id = vocabulary.find(token);
      if (id == Vocabulary::kNone)
        throw Error(
            ErrorKind::kModel, where,
            fmt::format("\"{}\", which stands around each text, is not in the vocabulary", token));
      post_processor["special_tokens"][token] = {
          {"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
    }
  }
}

}  // namespace

fs::path find_sentencepiece(const fs::path& folder) {
  for (const char* name :
       {"spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return "";
}

TokenizerParts read_sentencepiece_parts(const fs::path& file, const Json& config,
                                        const std::string& config_file) {
  const Where where{file.string()};
  const SentencePieceModel source =
      parse_supported(read_file(file.string(), ErrorKind::kModel), where);
  const JsonNode node(config, config_file);
  Form form = make_form({source, node}, file.parent_path());
  TokenizerParts parts;
  parts.model = make_pieces(form, source, where);
  const Vocabulary& vocabulary = parts.model->vocabulary();
  parts.added_tokens = with_added_tokens(control_tokens(source, vocabulary), node,
                                         file.parent_path(), vocabulary, form.special);
  for (Json& token : parts.added_tokens) {
    if (token["content"] == form.mask) token["lstrip"] = true;
  }
  fill_template(form.post_processor, vocabulary, where);
  parts.normalizer = std::move(form.normalizer);
  parts.pre_tokenizer = std::move(form.pre_tokenizer);
  parts.post_processor = std::move(form.post_processor);
  parts.decoder = std::move(form.decoder);
  parts.config = config;
  parts.config_file = config_file;
  parts.file = file.string();
  return parts;
}

BareSentencePiece read_bare_sentencepiece(std::string_view bytes, const Where& where) {
  const SentencePieceModel source = without_symbols(parse_supported(bytes, where));
  const Json none = Json::object();
  Form form = plain_form({source, JsonNode(none, where.file)});
  for (Json& step : form.normalizer["normalizers"]) {
    if (step["type"] == "Precompiled") step[kLongestKeys] = true;
    if (step["type"] == "Strip") step[kBlanksAlone] = true;
  }
  return {make_pieces(form, source, where), form.unk_id, std::move(form.normalizer),
          std::move(form.pre_tokenizer)};
}

}  // namespace hone
