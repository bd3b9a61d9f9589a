#include "data/tokenizer/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

constexpr std::pair<const char*, std::array<const char*, 2>> kSpecialNames[] = {
    {"unk_token", {"[UNK]", "<unk>"}},    {"sep_token", {"[SEP]", "</s>"}},
    {"pad_token", {"[PAD]", "<pad>"}},    {"cls_token", {"[CLS]", "<s>"}},
    {"mask_token", {"[MASK]", "<mask>"}},
};

bool is_blank(char32_t c) {
  return c == 0x120 || unicode::is_white_space(c);
}  // U+0120: a blank in the byte alphabet

size_t count_leading_blanks(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size() && is_blank(next_code_point(text, at));) ++count;
  return count;
}

size_t count_trailing_blanks(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size();)
    count = is_blank(next_code_point(text, at)) ? count + 1 : 0;
  return count;
}

// Moves `count` code points on from `from`, not past `end`; and back from `from`, not before
// `begin`.
int32_t step_on(std::string_view text, int32_t from, int32_t end, size_t count) {
  auto at = static_cast<size_t>(from);
  for (; count > 0 && at < static_cast<size_t>(end); --count) next_code_point(text, at);
  return std::min(static_cast<int32_t>(at), end);
}
int32_t step_back(std::string_view text, int32_t from, int32_t begin, size_t count) {
  for (; count > 0 && from > begin; --count) {
    do --from;
    while (from > begin && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80);
  }
  return from;
}

void check_size(std::string_view text) {
  if (text.size() <= INT32_MAX) return;
  throw Error(ErrorKind::kData,
              fmt::format("a text of {} bytes; the most is {}", text.size(), INT32_MAX));
}

int64_t read_max_length(const Json& config) {
  const auto found = config.find("model_max_length");
  if (found == config.end() || !found->is_number()) return 0;
  const double length = found->get<double>();
  return length >= 1 && length < 1e9 ? static_cast<int64_t>(length) : 0;  // 1e30 means "none"
}

}  // namespace

HfTokenizer::HfTokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      normalizer_(make_normalizer({parts_.normalizer, parts_.file, "normalizer"})),
      pre_tokenizer_(make_pre_tokenizer({parts_.pre_tokenizer, parts_.file, "pre_tokenizer"})),
      added_({parts_.added_tokens, parts_.file, "added_tokens"}, parts_.model->vocabulary(),
             normalizer_.get()),
      post_processor_({parts_.post_processor, parts_.file, "post_processor"}),
      decoder_(make_decoder({parts_.decoder, parts_.file, "decoder"})) {
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(normalizer_.get());
  const auto* wordpiece = dynamic_cast<const WordPiece*>(parts_.model.get());
  if (normalizer != nullptr && wordpiece != nullptr && pre_tokenizer_ != nullptr &&
      pre_tokenizer_->is_bert() && added_.in_normalized().is_empty()) {
    bert_ = std::make_unique<BertEncoder>(normalizer->options(), *wordpiece);
  }
  vocab_size_ = parts_.model->vocabulary().end_id();
  for (const AddedToken& token : added_.tokens())
    vocab_size_ = std::max<int64_t>(vocab_size_, token.id + 1);
  for (const int32_t special : post_processor_.special_ids()) {
    if (special < vocab_size_) continue;
    throw JsonNode(parts_.post_processor, parts_.file, "post_processor")
        .error(fmt::format("no token has the id {}", special));
  }
  const auto id_of_special = [&](const char* name) {
    const std::string token = special_token(name);
    return token.empty() ? -1 : id(token).value_or(-1);
  };
  pad_id_ = id_of_special("pad_token");
  unk_id_ = id_of_special("unk_token");
  mask_id_ = id_of_special("mask_token");
  max_length_ = read_max_length(parts_.config);
  if (post_processor_.trims_offsets()) {
    find_spaces();
  } else if (bert_ == nullptr && (pre_tokenizer_ == nullptr || !pre_tokenizer_->is_byte_level())) {
    pieces_ = PieceEncoder::make({parts_.normalizer, parts_.file, "normalizer"},
                                 {parts_.pre_tokenizer, parts_.file, "pre_tokenizer"},
                                 *parts_.model, added_.in_normalized());
  }
}

void HfTokenizer::find_spaces() {
  const Vocabulary& vocabulary = parts_.model->vocabulary();
  spaces_.resize(vocabulary.end_id());
  for (int32_t id = 0; id < vocabulary.end_id(); ++id) {
    const std::string_view token = vocabulary.token(id);
    spaces_[id] = {static_cast<uint8_t>(std::min<size_t>(255, count_leading_blanks(token))),
                   static_cast<uint8_t>(std::min<size_t>(255, count_trailing_blanks(token)))};
  }
}

// Appends tokens, and knows which word they belong to.
class HfTokenizer::Writer {
 public:
  Writer(const HfTokenizer& tokenizer, std::string_view text, Encoding& out)
      : tokenizer_(tokenizer), text_(text), out_(out) {}

  int32_t word = 0;
  std::vector<Piece>& pieces = scratch().pieces;  // for use in between
  std::vector<Span>& words = scratch().words;

  Encoding& out() { return out_; }

  void add(int32_t id, Span span) {
    if (!tokenizer_.spaces_.empty())
      trim(tokenizer_.spaces_[id].leading, tokenizer_.spaces_[id].trailing, span);
    push(id, span);
  }

  // An added token; `text` is what stands for it in the (normalised) text.
  void add(const AddedToken& token, std::string_view text, Span span) {
    if (!tokenizer_.spaces_.empty())
      trim(count_leading_blanks(text), count_trailing_blanks(text), span);
    push(token.id, span);
    ++word;
  }

 private:
  const HfTokenizer& tokenizer_;
  std::string_view text_;
  Encoding& out_;

  struct Scratch {
    std::vector<Piece> pieces;
    std::vector<Span> words;
  };
  static Scratch& scratch() {
    thread_local Scratch scratch;
    return scratch;
  }

  void push(int32_t id, Span span) {
    out_.ids.push_back(id);
    out_.offsets.push_back(span);
    out_.words.push_back(word);
  }

  void trim(size_t leading, size_t trailing, Span& span) const {
    const bool is_first = out_.ids.empty() || span.start == 0;
    if (leading == 1 && is_first && tokenizer_.post_processor_.adds_prefix_space())
      leading = 0;  // that blank is not in the text
    if (leading > 0) span.start = step_on(text_, span.start, span.end, leading);
    if (trailing > 0) span.end = step_back(text_, span.end, span.start, trailing);
  }
};

void HfTokenizer::encode(std::string_view text, Encoding& out) const {
  encode_all(text, /*is_fast=*/true, out);
}

void HfTokenizer::encode_by_parts(std::string_view text, Encoding& out) const {
  encode_all(text, /*is_fast=*/false, out);
}

void HfTokenizer::encode_all(std::string_view text, bool is_fast, Encoding& out) const {
  out.ids.clear();
  out.offsets.clear();
  out.words.clear();
  check_size(text);
  Writer writer(*this, text, out);
  const auto encode_part = [&](Span range) {
    if (!is_fast || !encode_fast(text, range, writer.word, out)) encode_piece(text, range, writer);
  };
  thread_local std::vector<TokenMatcher::Part> parts;
  parts.clear();
  added_.in_text().split(text, added_.tokens(), parts);
  for (const auto& [begin, end, token] : parts) {
    if (token < 0) {
      encode_part({begin, end});
    } else {
      writer.add(added_.tokens()[token], text.substr(begin, end - begin), {begin, end});
    }
  }
}

bool HfTokenizer::encode_fast(std::string_view text, Span range, int32_t& word,
                              Encoding& out) const {
  if (bert_ != nullptr) return bert_->encode(text, range, word, out);
  return pieces_ != nullptr && pieces_->encode(text, range, word, out);
}

// The borders of a text while it is encoded from left to right.
class HfTokenizer::Cutter {
 public:
  Cutter(const TextBorders& borders, CutEncoding& out) : borders_(borders), out_(out) {}

  // Tokens of what stands from byte `at` on follow.
  void pass(int32_t at) {
    while (out_.before.size() < borders_.cuts.size() && borders_.cuts[out_.before.size()] <= at)
      out_.before.push_back(out_.encoding.ids.size());
  }

  bool has_cut_in(int32_t begin, int32_t end) const {
    const auto next = std::upper_bound(borders_.cuts.begin(), borders_.cuts.end(), begin);
    return next != borders_.cuts.end() && *next < end;
  }

  bool allows(int32_t begin, int32_t end, const AddedToken& token) const {
    return !has_cut_in(begin, end) && !(token.special && touches_plain(borders_, {begin, end}));
  }

  static bool touches_plain(const TextBorders& borders, Span span) {
    const auto next = std::partition_point(borders.plain.begin(), borders.plain.end(),
                                           [&](Span plain) { return plain.end <= span.start; });
    return next != borders.plain.end() && next->start < span.end;
  }

  // What lies between cuts within `range`.
  std::vector<Span> pieces(Span range) const {
    std::vector<Span> pieces;
    for (int32_t at = range.start; at < range.end;) {
      const auto next = std::upper_bound(borders_.cuts.begin(), borders_.cuts.end(), at);
      const int32_t end = next == borders_.cuts.end() ? range.end : std::min(*next, range.end);
      pieces.push_back({at, end});
      at = end;
    }
    return pieces;
  }

 private:
  const TextBorders& borders_;
  CutEncoding& out_;
};

// Bytes `piece` of the text, normalised as the end of what begins at `begin`: nothing is put before
// them that stands at a beginning only. Where the character before takes the first one in (an
// accent of its own), they are normalised alone.
NormalizedText HfTokenizer::normalized(std::string_view text, int32_t begin, Span piece) const {
  NormalizedText whole(text, begin, piece.end);
  if (normalizer_ != nullptr) normalizer_->apply(whole);
  if (begin == piece.start) return whole;
  const auto size = static_cast<int32_t>(whole.view().size());
  int32_t at = 0;
  while (at < size && whole.source(at, at + 1).start < piece.start) ++at;
  if (at == 0 || whole.source(at - 1, at).end <= piece.start) return whole.slice(at, size);
  return normalized(text, piece.start, piece);
}

std::string HfTokenizer::normalized(std::string_view text) const {
  const auto size = static_cast<int32_t>(text.size());
  return size == 0 ? "" : std::string(normalized(text, 0, {0, size}).view());
}

void HfTokenizer::encode_piece(std::string_view text, Span range, Writer& writer,
                               Cutter* cutter) const {
  std::vector<Span> pieces{range};
  if (cutter != nullptr) pieces = cutter->pieces(range);
  for (const Span piece : pieces) {
    if (cutter != nullptr) cutter->pass(piece.start);
    NormalizedText part = normalized(text, range.start, piece);
    encode_normalized(part, writer, cutter);
  }
}

void HfTokenizer::encode_normalized(NormalizedText& normalized, Writer& writer,
                                    const Cutter* cutter) const {
  thread_local std::vector<TokenMatcher::Part> parts;
  parts.clear();
  TokenMatcher::Allowed allowed;
  if (cutter != nullptr) {
    allowed = [&](size_t begin, size_t end, const AddedToken& token) {
      const Span source = normalized.source(static_cast<int32_t>(begin), static_cast<int32_t>(end));
      return cutter->allows(source.start, source.end, token);
    };
  }
  added_.in_normalized().split(normalized.view(), added_.tokens(), parts, allowed);
  for (const auto& [begin, end, token] : parts) {
    if (token >= 0) {
      writer.add(added_.tokens()[token], normalized.view().substr(begin, end - begin),
                 normalized.source(begin, end));
    } else if (parts.size() > 1 && pre_tokenizer_ != nullptr && pre_tokenizer_->changes_text()) {
      NormalizedText part = normalized.slice(begin, end);
      encode_words(part, {0, end - begin}, writer);
    } else {
      encode_words(normalized, {begin, end}, writer);
    }
  }
}

void HfTokenizer::encode_between(std::string_view text, const TextBorders& borders,
                                 CutEncoding& out) const {
  Writer writer(*this, text, out.encoding);
  Cutter cutter(borders, out);
  std::vector<TokenMatcher::Part> parts;
  added_.in_text().split(
      text, added_.tokens(), parts, [&](size_t begin, size_t end, const AddedToken& token) {
        return cutter.allows(static_cast<int32_t>(begin), static_cast<int32_t>(end), token);
      });
  for (const auto& [begin, end, token] : parts) {
    cutter.pass(begin);
    if (token >= 0) {
      writer.add(added_.tokens()[token], text.substr(begin, end - begin), {begin, end});
    } else if (cutter.has_cut_in(begin, end) ||
               !encode_fast(text, {begin, end}, writer.word, out.encoding)) {
      encode_piece(text, {begin, end}, writer, &cutter);
    }
  }
  cutter.pass(static_cast<int32_t>(text.size()));
}

std::vector<int32_t> HfTokenizer::missing_cuts(std::string_view text, const TextBorders& borders,
                                               const Encoding& encoding) const {
  std::vector<int32_t> cuts;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const AddedToken* added = added_.find(encoding.ids[i]);
    const Span span = encoding.offsets[i];
    if (added == nullptr || !added->special || !Cutter::touches_plain(borders, span)) continue;
    if (text.substr(span.start, span.end - span.start) != added->content) continue;
    size_t behind_first = static_cast<size_t>(span.start);
    next_code_point(text, behind_first);
    if (static_cast<int32_t>(behind_first) < span.end)
      cuts.push_back(static_cast<int32_t>(behind_first));
  }
  return cuts;
}

CutEncoding HfTokenizer::encode(std::string_view text, const TextBorders& borders) const {
  check_size(text);
  TextBorders all = borders;
  CutEncoding out;
  for (;;) {
    out = {};
    encode_between(text, all, out);
    const std::vector<int32_t> more = missing_cuts(text, borders, out.encoding);
    if (more.empty()) break;
    all.cuts.insert(all.cuts.end(), more.begin(), more.end());
    std::sort(all.cuts.begin(), all.cuts.end());
  }
  std::vector<size_t> before;  // of the cuts that were asked for
  for (const int32_t cut : borders.cuts) {
    const auto at = std::lower_bound(all.cuts.begin(), all.cuts.end(), cut) - all.cuts.begin();
    before.push_back(out.before[static_cast<size_t>(at)]);
  }
  out.before = std::move(before);
  return out;
}

void HfTokenizer::encode_words(NormalizedText& text, Span range, Writer& writer) const {
  writer.words.assign(1, range);
  if (pre_tokenizer_ != nullptr) pre_tokenizer_->apply(text, writer.words);
  for (const Span word : writer.words) {
    writer.pieces.clear();
    parts_.model->tokenize(text.view().substr(word.start, word.end - word.start), writer.pieces);
    for (const Piece& piece : writer.pieces)
      writer.add(piece.id, text.source(word.start + piece.begin, word.start + piece.end));
    ++writer.word;
  }
}

std::string HfTokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    const AddedToken* added = added_.find(id);
    if (added != nullptr && skip_special && added->special) continue;
    if (added != nullptr || parts_.model->vocabulary().has(id)) tokens.push_back(token(id));
  }
  return decoder_(tokens);
}

bool HfTokenizer::is_special(int32_t id) const {
  const AddedToken* added = added_.find(id);
  return added != nullptr && added->special;
}

std::string HfTokenizer::token(int32_t id) const {
  const AddedToken* added = added_.find(id);
  return added != nullptr ? added->content : std::string(parts_.model->vocabulary().token(id));
}

std::optional<int32_t> HfTokenizer::id(std::string_view token) const {
  if (const AddedToken* added = added_.find(token)) return added->id;
  const int32_t id = parts_.model->vocabulary().find(token);
  return id == Vocabulary::kNone ? std::nullopt : std::optional(id);
}

// What tokenizer_config.json says "name" is, else the usual spelling if there is such a token, else
// "".
std::string HfTokenizer::special_token(const std::string& name) const {
  if (const auto found = parts_.config.find(name); found != parts_.config.end()) {
    if (found->is_null()) return "";
    const JsonNode node(*found, parts_.config_file, name);
    return found->is_object() ? node.at("content").text() : node.text();
  }
  for (const auto& [known, spellings] : kSpecialNames) {
    if (name != known) continue;
    for (const char* spelling : spellings) {
      if (id(spelling)) return spelling;
    }
  }
  return "";
}

Json HfTokenizer::saved_config() const {
  Json config = parts_.config;
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(normalizer_.get());
  if (normalizer != nullptr) {  // Transformers builds the normalizer anew from these
    const BertNormalizerOptions& options = normalizer->options();
    config["do_lower_case"] = options.lowercase;
    config["strip_accents"] = options.strip_accents ? Json(*options.strip_accents) : Json();
    config["tokenize_chinese_chars"] = options.handle_chinese_chars;
  }
  if (!config.contains("tokenizer_class")) {
    const bool is_roberta = parts_.post_processor.is_object() &&
                            parts_.post_processor.value("type", "") == "RobertaProcessing";
    config["tokenizer_class"] = normalizer != nullptr ? "BertTokenizer"
                                : is_roberta          ? "RobertaTokenizer"
                                                      : "PreTrainedTokenizerFast";
  }
  if (max_length_ > 0) config["model_max_length"] = max_length_;
  for (const auto& [name, spellings] : kSpecialNames) {
    if (const std::string token = special_token(name); !token.empty() && !config.contains(name))
      config[name] = token;
  }
  return config;
}

void HfTokenizer::save(const std::string& folder) const {
  std::filesystem::create_directories(folder);
  std::string model;
  parts_.model->append_json(model);
  Json added = parts_.added_tokens;
  for (Json& token : added) {  // the ids in force
    if (const AddedToken* known =
            added_.find(std::string_view(token["content"].get_ref<const std::string&>())))
      token["id"] = known->id;
  }
  write_file(
      folder + "/tokenizer.json",
      fmt::format(
          R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{},"normalizer":{},"pre_tokenizer":{},)"
          R"("post_processor":{},"decoder":{},"model":{}}})",
          added.dump(), parts_.normalizer.dump(), parts_.pre_tokenizer.dump(),
          parts_.post_processor.dump(), parts_.decoder.dump(), model));
  parts_.model->save_files(folder);
  const Json config = saved_config();
  write_file(folder + "/tokenizer_config.json", to_text(config, 2) + "\n");
  Json special = Json::object();
  const auto name = [&](const char* role) {
    if (config.contains(role) && !config[role].is_null()) special[role] = config[role];
  };
  for (const char* role : {"bos_token", "eos_token"}) name(role);
  for (const auto& [role, spellings] : kSpecialNames) name(role);
  write_file(folder + "/special_tokens_map.json", to_text(special, 2) + "\n");
}

}  // namespace hone
