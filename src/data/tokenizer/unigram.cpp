#include "data/tokenizer/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log.h"
#include "base/utf8.h"
#include "data/tokenizer/byte_fallback.h"
#include "data/tokenizer/word_cache.h"

namespace hone {
namespace {

// How much worse an unknown character is than the worst piece; SentencePiece's kUnkPenalty.
constexpr double kUnknownPenalty = 10;

Unigram::Pieces read_pieces(const JsonNode& vocab) {
  Unigram::Pieces out;
  out.reserve(vocab.array().size());
  for (const Json& item : vocab.array()) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      throw vocab.error(fmt::format("entry {}: expected [\"piece\", score]", out.size()));
    }
    out.emplace_back(item[0].get_ref<const std::string&>(), item[1].get<double>());
  }
  return out;
}

}  // namespace

// The best way to reach a place of the word.
struct Unigram::Step {
  double score = 0;
  int32_t start = -1, id = 0;  // of its last piece; -1 where the place is not reached yet
};

Unigram::Unigram(const Pieces& pieces, std::optional<int64_t> unk_id, bool byte_fallback,
                 const Where& where)
    : where_(where), byte_fallback_(byte_fallback), serial_(WordCache::new_serial()) {
  const auto refuse = [&](const std::string& message) {
    throw Error(ErrorKind::kModel, where, message);
  };
  if (pieces.empty()) refuse("the vocabulary has no piece");
  if (pieces.size() > Vocabulary::kMostIds) refuse("the vocabulary has too many pieces");
  if (unk_id && (*unk_id < 0 || *unk_id >= static_cast<int64_t>(pieces.size())))
    refuse(fmt::format("unk_id is {}, but the pieces are 0 to {}", *unk_id, pieces.size() - 1));
  double least = std::numeric_limits<double>::infinity();
  bool has_warned = false;
  for (const auto& [piece, score] : pieces) {
    if (!std::isfinite(score))
      refuse(fmt::format("piece {} (\"{}\") has a score that is no number", scores_.size(), piece));
    if (piece.size() > kMostPieceBytes)
      refuse(fmt::format("piece {} has {} bytes; the most is {}", scores_.size(), piece.size(),
                         kMostPieceBytes));
    if (!vocabulary_.append(piece) && !std::exchange(has_warned, true))
      log_warn("{}: the piece \"{}\" ({}) stands there twice; the later one is found", where.file,
               piece, scores_.size());
    scores_.push_back(score);
    least = std::min(least, score);
  }
  unk_score_ = least - kUnknownPenalty;
  if (unk_id) unk_id_ = static_cast<int32_t>(*unk_id);
  byte_ids_ = find_byte_ids(vocabulary_);
  if (byte_fallback_) warn_of_missing_bytes(byte_ids_, where);
  std::vector<PieceTrie::Entry> entries;
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    if (!vocabulary_.token(id).empty()) entries.emplace_back(vocabulary_.token(id), id);
  }
  trie_ = PieceTrie(std::move(entries));
}

std::unique_ptr<Unigram> Unigram::load(const JsonNode& model) {
  std::optional<int64_t> unk_id;
  if (const auto found = model.find("unk_id")) unk_id = found->integer(0, Vocabulary::kMostIds - 1);
  return std::make_unique<Unigram>(read_pieces(model.at("vocab")), unk_id,
                                   model.boolean_or("byte_fallback", false), Where{model.file()});
}

// Each code point must be covered, so each place where one begins is reached.
void Unigram::find_best(std::string_view word, std::vector<Step>& steps) const {
  steps.assign(word.size() + 1, Step{});
  const auto offer = [&](size_t start, size_t end, double score, int32_t id) {
    Step& step = steps[end];
    if (step.start < 0 || score > step.score) step = {score, static_cast<int32_t>(start), id};
  };
  for (size_t at = 0; at < word.size();) {
    size_t next = at;
    next_code_point(word, next);
    bool is_covered = false;
    const double so_far = steps[at].score;
    trie_.prefixes(word, at, [&](size_t end, int32_t id) {
      offer(at, end, scores_[id] + so_far, id);
      is_covered = is_covered || end == next;
    });
    if (!is_covered) {
      if (unk_id_ == Vocabulary::kNone) {
        throw Error(ErrorKind::kModel, where_,
                    fmt::format("the tokenizer has no piece for \"{}\" and no unknown token "
                                "(\"unk_id\") either",
                                word.substr(at, next - at)));
      }
      offer(at, next, unk_score_ + so_far, unk_id_);
    }
    at = next;
  }
}

// Neighbouring unknown characters are one piece, which may be in the vocabulary all the same.
void Unigram::append_unknown(std::string_view word, int32_t begin, int32_t end,
                             std::vector<Piece>& out) const {
  const std::string_view text = word.substr(begin, end - begin);
  if (const int32_t known = vocabulary_.find(text); known != Vocabulary::kNone) {
    out.push_back({known, begin, end});
    return;
  }
  const bool has_bytes = byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char byte) {
                           return byte_ids_[static_cast<unsigned char>(byte)] != Vocabulary::kNone;
                         });
  if (!has_bytes) {
    out.push_back({unk_id_, begin, end});
    return;
  }
  for (const char byte : text)  // each stands for all of them, as in the reference
    out.push_back({byte_ids_[static_cast<unsigned char>(byte)], begin, end});
}

void Unigram::tokenize_anew(std::string_view word, std::vector<Piece>& out) const {
  thread_local std::vector<Step> steps;
  thread_local std::vector<Piece> backwards;
  find_best(word, steps);
  backwards.clear();
  for (auto at = static_cast<int32_t>(word.size()); at > 0; at = steps[at].start) {
    const Step& step = steps[at];
    if (step.id == unk_id_ && !backwards.empty() && backwards.back().id == unk_id_) {
      backwards.back().begin = step.start;
    } else {
      backwards.push_back({step.id, step.start, at});
    }
  }
  for (size_t i = backwards.size(); i-- > 0;) {
    const auto& [id, begin, end] = backwards[i];
    if (id == unk_id_) {
      append_unknown(word, begin, end, out);
    } else {
      out.push_back(backwards[i]);
    }
  }
}

void Unigram::tokenize(std::string_view word, std::vector<Piece>& out) const {
  WordCache::of_this_thread().tokenize(
      serial_, word, out,
      [this](std::string_view w, std::vector<Piece>& pieces) { tokenize_anew(w, pieces); });
}

bool Unigram::cuts_before(std::string_view mark) const {
  if (vocabulary_.find(mark) == Vocabulary::kNone) return false;  // unknown ones would be joined
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    const std::string_view piece = vocabulary_.token(id);
    if (has_mark_after_other(piece, mark)) return false;
  }
  return true;
}

void Unigram::append_json(std::string& out) const {
  out += R"({"type":"Unigram","unk_id":)";
  out += unk_id_ == Vocabulary::kNone ? "null" : std::to_string(unk_id_);
  out += R"(,"vocab":[)";
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    out += id == 0 ? "[" : ",[";
    hone::append_json(vocabulary_.token(id), out);
    fmt::format_to(std::back_inserter(out), ",{}]", scores_[id]);
  }
  out += byte_fallback_ ? R"(],"byte_fallback":true})" : R"(],"byte_fallback":false})";
}

}  // namespace hone
