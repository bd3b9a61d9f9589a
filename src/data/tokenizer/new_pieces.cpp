#include "data/tokenizer/new_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/utf8.h"

namespace hone {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";  // what SentencePiece writes for a blank
constexpr size_t kLongestWord = 100;  // characters; longer ones are unknown as they are

std::string json_file(const std::string& folder) { return folder + "/tokenizer.json"; }

// <0x0A>
bool is_byte(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with(">");
}

bool is_blank_point(char32_t point) { return point <= 0x20 || point == 0x2581; }

void append_word_pieces(Json& model, const std::vector<std::string>& pieces, int64_t first_id) {
  for (const std::string& piece : pieces) model["vocab"].push_back({piece, first_id++});
}

// A piece that is rarer than all: it wins over the unknown token alone.
void append_unigrams(Json& model, const std::vector<std::string>& pieces, int64_t first_id,
                     const std::string& file) {
  Json& vocab = model["vocab"];
  if (static_cast<int64_t>(vocab.size()) != first_id)
    throw Error(
        ErrorKind::kUsage, {file},
        "has added tokens behind its vocabulary, so that no piece can follow: pieces cannot "
        "be added to it");
  double lowest = 0;
  for (const Json& entry : vocab) lowest = std::min(lowest, entry.at(1).get<double>());
  for (const std::string& piece : pieces) vocab.push_back({piece, lowest});
}

// The older form, whose lines are ids; where they are not any more it goes.
void append_lines(const std::string& path, const std::vector<std::string>& pieces,
                  int64_t first_id) {
  if (!std::filesystem::exists(path)) return;
  std::string text = read_file(path, ErrorKind::kModel);
  if (std::count(text.begin(), text.end(), '\n') != first_id) {
    std::filesystem::remove(path);
    return;
  }
  for (const std::string& piece : pieces) text += piece + "\n";
  write_file(path, text);
}

}  // namespace

PieceForm piece_form(const std::string& folder) {
  const Json json = read_json(json_file(folder), ErrorKind::kModel);
  const Json& model = json.at("model");
  const std::string type = model.value("type", "");
  if (type == "WordPiece") return {true, model.value("continuing_subword_prefix", "##")};
  if (type == "Unigram") return {};
  throw Error(ErrorKind::kUsage,
              fmt::format("the model's tokenizer is of the kind {}, whose pieces come of merges: "
                          "characters cannot be added to it (to WordPiece and Unigram they can)",
                          type));
}

MissingPieces::MissingPieces(const Tokenizer& tokenizer, PieceForm form)
    : tokenizer_(tokenizer), form_(std::move(form)) {}

bool MissingPieces::is_unknown(int32_t id) const {
  return id == tokenizer_.unk_id() || is_byte(tokenizer_.token(id));
}

void MissingPieces::count(std::string_view text) {
  const Encoding encoding = tokenizer_.encode(text);
  Span last;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    ++tokens_;
    if (!is_unknown(encoding.ids[i])) continue;
    ++unknown_;
    const Span span = encoding.offsets[i];
    if (span == last) continue;  // further bytes of one character
    last = span;
    count_characters(
        text.substr(static_cast<size_t>(span.start), static_cast<size_t>(span.end - span.start)));
  }
}

void MissingPieces::count_characters(std::string_view word) {
  const std::u32string points = from_utf8(tokenizer_.normalized(word));
  if (points.size() > kLongestWord) return;
  bool is_first = true;
  for (const char32_t point : points) {
    if (is_blank_point(point)) continue;
    std::string piece = form_.is_word_piece && !is_first ? form_.inside : "";
    append_utf8(piece, point);
    is_first = false;
    if (!tokenizer_.id(piece)) ++pieces_[piece];
  }
}

std::vector<std::pair<std::string, int64_t>> MissingPieces::frequent(int64_t least) const {
  std::vector<std::pair<std::string, int64_t>> kept;
  std::copy_if(pieces_.begin(), pieces_.end(), std::back_inserter(kept),
               [&](const auto& piece) { return piece.second >= least; });
  std::stable_sort(kept.begin(), kept.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return kept;
}

std::vector<int32_t> former_pieces(const Tokenizer& tokenizer, const PieceForm& form,
                                   std::string_view piece) {
  if (!form.inside.empty() && piece.starts_with(form.inside))
    piece.remove_prefix(form.inside.size());
  std::vector<int32_t> ids = tokenizer.encode(piece).ids;
  std::erase_if(ids, [&](int32_t id) { return tokenizer.token(id) == kSpaceMark; });
  if (ids.empty()) ids.push_back(tokenizer.unk_id());
  return ids;
}

void append_pieces(const std::string& folder, const std::vector<std::string>& pieces,
                   int64_t first_id) {
  Json json = read_json(json_file(folder), ErrorKind::kModel);
  Json& model = json.at("model");
  if (model.at("type") == "Unigram")
    append_unigrams(model, pieces, first_id, json_file(folder));
  else
    append_word_pieces(model, pieces, first_id);
  write_file(json_file(folder), to_text(json));
  append_lines(folder + "/vocab.txt", pieces, first_id);
}

}  // namespace hone
