#include "data/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>

#include "base/file.h"
#include "base/lines.h"
#include "base/utf8.h"
#include "data/tokenizer/byte_fallback.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/word_cache.h"

namespace hone {
namespace {

// "a b", or ["a", "b"] as newer files have it.
std::pair<std::string, std::string> read_merge(const JsonNode& node) {
  if (node.json().is_array()) {
    const std::vector<JsonNode> parts = node.items();
    if (parts.size() != 2) throw node.error("expected the two parts of a merge");
    return {parts[0].text(), parts[1].text()};
  }
  const std::string text = node.text();
  const size_t blank = text.find(' ');
  if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos) {
    throw node.error(
        fmt::format("expected two parts with a blank between them, found \"{}\"", text));
  }
  return {text.substr(0, blank), text.substr(blank + 1)};
}

constexpr size_t kFewSymbols = 32;

void refuse(const JsonNode& model, const char* key) {
  const auto found = model.find(key);
  if (!found || found->json() == "" || found->json() == false || found->json() == 0.0) return;
  throw found->error("not supported");
}

}  // namespace

// A run of bytes with its id; runs merged into their left neighbour have size 0.
struct Bpe::Symbol {
  int32_t id, begin, size, previous, next;  // neighbours by index, -1 where there is none
};

Bpe::Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, const Where& where,
         const std::vector<int64_t>& lines)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      serial_(WordCache::new_serial()) {
  if (options_.unk_token) unk_id_ = vocabulary_.find(*options_.unk_token);
  if (options_.unk_token && unk_id_ == Vocabulary::kNone) {
    throw Error(
        ErrorKind::kModel, where,
        fmt::format("the unknown token \"{}\" is not in the vocabulary", *options_.unk_token));
  }
  if (options_.byte_fallback) {
    fallback_ids_ = find_byte_ids(vocabulary_);
    warn_of_missing_bytes(fallback_ids_, where);
  }
  find_letter_ids();
  size_t slots = 16;
  while (slots < 2 * merges.size()) slots *= 2;
  merges_.resize(slots);
  filter_.resize((slots << kFilterBits) / 64);
  hash_shift_ = 64 - std::countr_zero(slots << kFilterBits);
  for (size_t i = 0; i < merges.size(); ++i) {
    const Where place{where.file, i < lines.size() ? lines[i] : where.line};
    add_merge(merges[i].first, merges[i].second, static_cast<int32_t>(i), place);
  }
  find_letter_pairs();
}

void Bpe::find_letter_ids() {
  for (const bool is_first : {false, true}) {
    for (const bool is_last : {false, true}) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string letter(1, static_cast<char>(byte));
        if (options_.is_byte_level) letter = to_byte_alphabet(letter);
        letter_ids_[is_first][is_last][byte] = vocabulary_.find(written(letter, is_first, is_last));
      }
    }
  }
}

void Bpe::find_letter_pairs() {
  const auto& ids = letter_ids_[false][false];
  const bool is_any_missing = std::find(ids.begin(), ids.end(), Vocabulary::kNone) != ids.end();
  if (!options_.is_byte_level || is_any_missing || ids != letter_ids_[true][false] ||
      ids != letter_ids_[false][true])
    return;
  letter_pairs_.reserve(256 * 256);
  for (const int32_t left : ids) {
    for (const int32_t right : ids) letter_pairs_.push_back(join(left, right));
  }
}

Bpe::Joined Bpe::join(int32_t left, int32_t right) const {
  const Merge* merge = find_merge(left, right);
  return merge == nullptr ? Joined{} : Joined{merge->rank, merge->id};
}

// Of a symbol and the next one before anything is merged.
Bpe::Joined Bpe::join_first(std::string_view word, const std::vector<Symbol>& symbols,
                            size_t left) const {
  if (left + 1 >= symbols.size()) return {};
  if (letter_pairs_.empty()) return join(symbols[left].id, symbols[left + 1].id);
  return letter_pairs_[static_cast<unsigned char>(word[left]) << 8 |
                       static_cast<unsigned char>(word[left + 1])];
}

std::string Bpe::written(std::string_view character, bool is_first, bool is_last) const {
  std::string out(character);
  if (!is_first) out.insert(0, options_.continuing_subword_prefix);
  if (is_last) out += options_.end_of_word_suffix;
  return out;
}

void Bpe::add_merge(const std::string& left, const std::string& right, int32_t rank,
                    const Where& where) {
  const std::string& prefix = options_.continuing_subword_prefix;
  const std::string merged = left + right.substr(right.starts_with(prefix) ? prefix.size() : 0);
  const int32_t left_id = vocabulary_.find(left), right_id = vocabulary_.find(right),
                id = vocabulary_.find(merged);
  for (const auto& [token, found] : {std::pair{left, left_id}, {right, right_id}, {merged, id}}) {
    if (found == Vocabulary::kNone) {
      throw Error(ErrorKind::kModel, where,
                  fmt::format("merge {} (\"{} {}\"): \"{}\" is not in the vocabulary", rank + 1,
                              left, right, token));
    }
  }
  const uint64_t pair = static_cast<uint64_t>(left_id) << 32 | static_cast<uint32_t>(right_id);
  size_t at = hash_of(pair) >> kFilterBits;
  while (merges_[at].pair != UINT64_MAX && merges_[at].pair != pair)
    at = (at + 1) & (merges_.size() - 1);
  merges_[at] = {pair, rank, id};
  filter_[hash_of(pair) >> 6] |= uint64_t{1} << (hash_of(pair) & 63);
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const uint64_t pair = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  const uint64_t hash = hash_of(pair);
  if ((filter_[hash >> 6] >> (hash & 63) & 1) == 0) return nullptr;
  for (size_t at = hash >> kFilterBits;; at = (at + 1) & (merges_.size() - 1)) {
    if (merges_[at].pair == pair) return &merges_[at];
    if (merges_[at].pair == UINT64_MAX) return nullptr;
  }
}

std::unique_ptr<Bpe> Bpe::load(const JsonNode& model, bool is_byte_level) {
  refuse(model, "dropout");
  BpeOptions options;
  options.is_byte_level = is_byte_level;
  if (const auto unk = model.find("unk_token")) options.unk_token = unk->text();
  options.fuse_unk = model.boolean_or("fuse_unk", false);
  options.continuing_subword_prefix = model.text_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = model.text_or("end_of_word_suffix", "");
  options.ignore_merges = model.boolean_or("ignore_merges", false);
  options.byte_fallback = !is_byte_level && model.boolean_or("byte_fallback", false);
  Merges merges;
  for (const JsonNode& node : model.at("merges").items()) merges.push_back(read_merge(node));
  return std::make_unique<Bpe>(read_vocabulary(model.at("vocab")), merges, std::move(options),
                               Where{model.file()});
}

std::unique_ptr<Bpe> Bpe::load_merges(Vocabulary vocabulary, const std::string& merges_txt,
                                      BpeOptions options) {
  const std::string text = read_file(merges_txt, ErrorKind::kModel);
  Merges merges;
  std::vector<int64_t> lines;
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string line(take_line(text, at));
    ++number;
    if (line.empty() || line.starts_with("#version")) continue;
    if (std::count(line.begin(), line.end(), ' ') != 1 || line.front() == ' ' ||
        line.back() == ' ' || invalid_utf8(line) != std::string::npos) {
      throw Error(ErrorKind::kModel, Where{merges_txt, number, 0},
                  "not a merge: two tokens with a blank between them");
    }
    merges.emplace_back(line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1));
    lines.push_back(number);
  }
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options), Where{merges_txt},
                               lines);
}

int32_t Bpe::id_of_character(std::string_view word, size_t begin, size_t end) const {
  const bool is_first = begin == 0, is_last = end == word.size();
  const auto byte = static_cast<unsigned char>(word[begin]);
  if (options_.is_byte_level || byte < 0x80) return letter_ids_[is_first][is_last][byte];
  const std::string_view character = word.substr(begin, end - begin);
  const bool is_plain =
      options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  return vocabulary_.find(is_plain ? character
                                   : std::string_view(written(character, is_first, is_last)));
}

void Bpe::start_symbols(std::string_view word, std::vector<Symbol>& out) const {
  const auto add = [&](int32_t id, size_t begin, size_t end) {
    const auto index = static_cast<int32_t>(out.size());
    if (index > 0) out.back().next = index;
    out.push_back(
        {id, static_cast<int32_t>(begin), static_cast<int32_t>(end - begin), index - 1, -1});
  };
  bool is_after_unknown = false;
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    if (options_.is_byte_level) {
      ++at;
    } else {
      next_code_point(word, at);
    }
    const int32_t id = id_of_character(word, begin, at);
    const bool is_unknown = id == Vocabulary::kNone;
    if (is_unknown && has_bytes(word.substr(begin, at - begin))) {
      for (size_t i = begin; i < at; ++i)
        add(fallback_ids_[static_cast<unsigned char>(word[i])], i, i + 1);
      is_after_unknown = false;
    } else if (is_unknown && is_after_unknown && options_.fuse_unk) {
      out.back().size += static_cast<int32_t>(at - begin);
    } else if (!is_unknown || unk_id_ != Vocabulary::kNone) {
      add(is_unknown ? unk_id_ : id, begin, at);
      is_after_unknown = is_unknown;
    }
  }
}

bool Bpe::has_bytes(std::string_view character) const {
  return options_.byte_fallback && std::all_of(character.begin(), character.end(), [&](char byte) {
           return fallback_ids_[static_cast<unsigned char>(byte)] != Vocabulary::kNone;
         });
}

// In a word the best pair is found faster by a look at all of them than by a queue.
void Bpe::merge_few(std::string_view word, std::vector<Symbol>& symbols) const {
  std::array<int32_t, kFewSymbols> ranks, ids;  // of a symbol and the next, merged
  size_t count = symbols.size();
  const auto put = [&](size_t left, Joined joined) {
    ranks[left] = joined.rank;
    ids[left] = joined.id;
  };
  for (size_t i = 0; i < count; ++i) put(i, join_first(word, symbols, i));
  while (count > 1) {
    const size_t best = std::min_element(ranks.begin(), ranks.begin() + count) - ranks.begin();
    if (ranks[best] == kNoRank) break;
    symbols[best].id = ids[best];
    symbols[best].size += symbols[best + 1].size;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      ids[i] = ids[i + 1];
    }
    put(best, best + 1 < count ? join(symbols[best].id, symbols[best + 1].id) : Joined{});
    if (best > 0) put(best - 1, join(symbols[best - 1].id, symbols[best].id));
  }
  symbols.resize(count);
}

void Bpe::merge_all(std::string_view word, std::vector<Symbol>& symbols) const {
  thread_local std::vector<Joined> joined;   // of each symbol with the next one
  thread_local std::vector<uint64_t> queue;  // rank, then place: the least first
  joined.resize(symbols.size());
  queue.clear();
  const auto put = [&](size_t left, Joined with_next) {
    joined[left] = with_next;
    if (with_next.rank != kNoRank)
      queue.push_back(static_cast<uint64_t>(with_next.rank) << 32 | left);
    return with_next.rank != kNoRank;
  };
  const auto offer = [&](int32_t left) {
    const int32_t right = symbols[left].next;
    if (put(left, right < 0 ? Joined{} : join(symbols[left].id, symbols[right].id)))
      std::push_heap(queue.begin(), queue.end(), std::greater<>());
  };
  for (size_t i = 0; i < symbols.size(); ++i) put(i, join_first(word, symbols, i));
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const auto rank = static_cast<int32_t>(queue.back() >> 32);
    const auto best = static_cast<int32_t>(queue.back() & UINT32_MAX);
    queue.pop_back();
    if (joined[best].rank != rank) continue;  // one of the two has been merged since
    Symbol& left = symbols[best];
    Symbol& right = symbols[left.next];
    joined[left.next] = {};
    left.id = joined[best].id;
    left.size += right.size;
    right.size = 0;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best;
    if (left.previous >= 0) offer(left.previous);
    offer(best);
  }
}

// The word as a token of its own, whatever the merges say.
int32_t Bpe::find_whole(std::string_view word) const {
  if (!options_.ignore_merges || word.size() > vocabulary_.longest()) return Vocabulary::kNone;
  if (!options_.is_byte_level) return vocabulary_.find(word);
  thread_local std::string token;
  token.clear();
  append_byte_alphabet(word, token);
  return vocabulary_.find(token);
}

void Bpe::tokenize_anew(std::string_view word, std::vector<Piece>& out) const {
  if (const int32_t id = find_whole(word); id != Vocabulary::kNone) {
    out.push_back({id, 0, static_cast<int32_t>(word.size())});
    return;
  }
  thread_local std::vector<Symbol> symbols;
  symbols.clear();
  start_symbols(word, symbols);
  symbols.size() <= kFewSymbols ? merge_few(word, symbols) : merge_all(word, symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.size > 0) out.push_back({symbol.id, symbol.begin, symbol.begin + symbol.size});
  }
}

void Bpe::tokenize(std::string_view word, std::vector<Piece>& out) const {
  WordCache::of_this_thread().tokenize(
      serial_, word, out,
      [this](std::string_view w, std::vector<Piece>& pieces) { tokenize_anew(w, pieces); });
}

bool Bpe::cuts_before(std::string_view mark) const {
  if (vocabulary_.find(mark) == Vocabulary::kNone || options_.ignore_merges) return false;
  return std::none_of(merges_.begin(), merges_.end(), [&](const Merge& merge) {
    return merge.rank >= 0 && has_mark_after_other(vocabulary_.token(merge.id), mark);
  });
}

std::vector<Bpe::Merge> Bpe::merges_by_rank() const {
  std::vector<Merge> out;
  std::copy_if(merges_.begin(), merges_.end(), std::back_inserter(out),
               [](const Merge& merge) { return merge.rank >= 0; });
  std::sort(out.begin(), out.end(), [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
  return out;
}

void Bpe::append_json(std::string& out) const {
  out += R"({"type":"BPE","dropout":null,"unk_token":)";
  out += options_.unk_token ? Json(*options_.unk_token).dump() : "null";
  out += R"(,"continuing_subword_prefix":)";
  hone::append_json(options_.continuing_subword_prefix, out);
  out += R"(,"end_of_word_suffix":)";
  hone::append_json(options_.end_of_word_suffix, out);
  out += R"(,"fuse_unk":)";
  out += options_.fuse_unk ? "true" : "false";
  out += R"(,"byte_fallback":)";
  out += options_.byte_fallback ? "true" : "false";
  out += R"(,"ignore_merges":)";
  out += options_.ignore_merges ? "true" : "false";
  out += R"(,"vocab":)";
  hone::append_json(vocabulary_, out);
  out += R"(,"merges":[)";
  bool is_first = true;
  for (const Merge& merge : merges_by_rank()) {
    if (!is_first) out += ',';
    is_first = false;
    out += '[';
    hone::append_json(vocabulary_.token(static_cast<int32_t>(merge.pair >> 32)), out);
    out += ',';
    hone::append_json(vocabulary_.token(static_cast<int32_t>(merge.pair & UINT32_MAX)), out);
    out += ']';
  }
  out += "]}";
}

void Bpe::save_files(const std::string& folder) const {
  std::string vocab;
  hone::append_json(vocabulary_, vocab);
  write_file(folder + "/vocab.json", vocab);
  std::string merges = "#version: 0.2\n";
  for (const Merge& merge : merges_by_rank()) {
    merges += fmt::format("{} {}\n", vocabulary_.token(static_cast<int32_t>(merge.pair >> 32)),
                          vocabulary_.token(static_cast<int32_t>(merge.pair & UINT32_MAX)));
  }
  write_file(folder + "/merges.txt", merges);
}

}  // namespace hone
