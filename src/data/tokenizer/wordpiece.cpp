#include "data/tokenizer/wordpiece.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/lines.h"
#include "base/log.h"
#include "base/utf8.h"
#include "data/tokenizer/unicode.h"
#include "data/tokenizer/word_cache.h"

namespace hone {
namespace {

bool is_start_of_code_point(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::string_view without_trailing_space(std::string_view line) {
  size_t end = 0;
  for (size_t at = 0; at < line.size();) {
    if (!unicode::is_white_space(next_code_point(line, at))) end = at;
  }
  return line.substr(0, end);
}

}  // namespace

WordPiece::WordPiece(Vocabulary vocabulary, WordPieceOptions options, const Where& where)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      unk_id_(vocabulary_.find(options_.unk_token)),
      serial_(WordCache::new_serial()) {
  if (unk_id_ == Vocabulary::kNone) {
    throw Error(
        ErrorKind::kModel, where,
        fmt::format("the unknown token \"{}\" is not in the vocabulary", options_.unk_token));
  }
  const std::string_view prefix = options_.continuing_subword_prefix;
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (token.size() > prefix.size() && token.starts_with(prefix))
      continuations_.set(token.substr(prefix.size()), id);
  }
}

std::unique_ptr<WordPiece> WordPiece::load(const JsonNode& model) {
  WordPieceOptions options;
  options.unk_token = model.at("unk_token").text();
  options.continuing_subword_prefix = model.at("continuing_subword_prefix").text();
  options.max_input_chars_per_word = model.at("max_input_chars_per_word").integer(0, INT32_MAX);
  return std::make_unique<WordPiece>(read_vocabulary(model.at("vocab")), std::move(options),
                                     Where{model.file()});
}

std::unique_ptr<WordPiece> WordPiece::load_vocab_txt(const std::string& path) {
  return std::make_unique<WordPiece>(read_vocab_txt(path), WordPieceOptions{}, Where{path});
}

bool WordPiece::is_too_long(std::string_view word) const {
  const auto most = static_cast<size_t>(options_.max_input_chars_per_word);
  return word.size() > most && count_code_points(word) > most;
}

void WordPiece::tokenize(std::string_view word, std::vector<Piece>& out) const {
  WordCache::of_this_thread().tokenize(
      serial_, word, out,
      [this](std::string_view w, std::vector<Piece>& pieces) { tokenize_anew(w, pieces); });
}

void WordPiece::tokenize_anew(std::string_view word, std::vector<Piece>& out) const {
  const auto size = static_cast<int32_t>(word.size());
  if (is_too_long(word)) {
    out.push_back({unk_id_, 0, size});
    return;
  }
  if (const int32_t id = vocabulary_.find(word); id != Vocabulary::kNone) {
    out.push_back({id, 0, size});
    return;
  }
  const size_t before = out.size();
  if (!tokenize_parts(word, out)) {
    out.resize(before);
    out.push_back({unk_id_, 0, size});
  }
}

bool WordPiece::tokenize_parts(std::string_view word, std::vector<Piece>& out) const {
  for (size_t begin = 0; begin < word.size();) {
    const Vocabulary& vocabulary = begin == 0 ? vocabulary_ : continuations_;
    size_t end = std::min(word.size(), begin + vocabulary.longest());
    int32_t id = Vocabulary::kNone;
    for (; end > begin; --end) {
      if (end < word.size() && !is_start_of_code_point(word[end])) continue;
      id = vocabulary.find(word.substr(begin, end - begin));
      if (id != Vocabulary::kNone) break;
    }
    if (id == Vocabulary::kNone) return false;
    out.push_back({id, static_cast<int32_t>(begin), static_cast<int32_t>(end)});
    begin = end;
  }
  return true;
}

void WordPiece::append_json(std::string& out) const {
  out += R"({"type":"WordPiece","unk_token":)";
  hone::append_json(options_.unk_token, out);
  out += R"(,"continuing_subword_prefix":)";
  hone::append_json(options_.continuing_subword_prefix, out);
  out +=
      fmt::format(R"(,"max_input_chars_per_word":{},"vocab":)", options_.max_input_chars_per_word);
  hone::append_json(vocabulary_, out);
  out += '}';
}

void WordPiece::save_files(const std::string& folder) const {
  std::string text;
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    // A gap in the ids keeps its line, so that the ids after it stay.
    text += vocabulary_.has(id) ? std::string(vocabulary_.token(id))
                                : fmt::format("[no token has the id {}]", id);
    text += '\n';
  }
  write_file(folder + "/vocab.txt", text);
}

Vocabulary read_vocab_txt(const std::string& path) {
  const std::string text = read_file(path, ErrorKind::kModel);
  Vocabulary out;
  int32_t id = 0;
  int64_t repeated = 0;
  std::string first_repeated;
  for (size_t at = 0; at < text.size(); ++id) {
    const std::string_view line = take_line(text, at);
    const Where where{path, id + 1, 0};
    if (const size_t bad = invalid_utf8(line); bad != std::string_view::npos) {
      throw Error(ErrorKind::kModel, Where{path, id + 1, static_cast<int64_t>(bad) + 1},
                  "not valid UTF-8; is this a vocabulary, one token a line?");
    }
    if (id >= Vocabulary::kMostIds)
      throw Error(ErrorKind::kModel, where,
                  fmt::format("more than {} tokens", Vocabulary::kMostIds));
    const std::string_view token = without_trailing_space(line);
    if (const int32_t earlier = out.find(token);
        earlier != Vocabulary::kNone && !token.empty() && ++repeated == 1) {
      first_repeated =
          fmt::format("{}: \"{}\" stands in line {} too", where.str(), token, earlier + 1);
    }
    out.set(token, id);
  }
  if (repeated > 0)
    log_warn("{}; the later line gives the id ({} such lines)", first_repeated, repeated);
  if (id == 0)
    throw Error(ErrorKind::kModel, Where{path},
                "the file is empty; a vocabulary has one token a line");
  return out;
}

}  // namespace hone
