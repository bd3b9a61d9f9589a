#include "tasks/relation/pairs.h"

#include <algorithm>

#include "tasks/text_places.h"
#include "tasks/windows.h"

namespace hone::relation {
namespace {

int64_t count_of(const Encoding& pieces) { return static_cast<int64_t>(pieces.ids.size()); }

// Marks to be put before a piece.
struct Insertion {
  int64_t at;
  int64_t rank;  // of those before one piece: inner ends first, then outer beginnings
  size_t entity;
  bool opens;
};

// Entities may overlap, be nested or have no piece of their own.
std::array<Insertion, 4> insertions_of(const std::array<TokenRange, 2>& ranges) {
  std::array<Insertion, 4> all{};
  for (size_t i = 0; i < 2; ++i) {
    const TokenRange& range = ranges[i];
    const int64_t size = range.end - range.begin;
    const auto order = static_cast<int64_t>(i);
    // An empty one closes behind its own beginning.
    all[2 * i] = {range.begin, 1'000'000'000 - 2 * size + order, i, true};
    all[2 * i + 1] = {range.end, size == 0 ? 2'000'000'000 + order : 2 * size - order, i, false};
  }
  std::sort(all.begin(), all.end(), [](const Insertion& a, const Insertion& b) {
    return a.at != b.at ? a.at < b.at : a.rank < b.rank;
  });
  return all;
}

void add_pieces(const Encoding& from, const Window& window, Encoding& to) {
  const Encoding part = part_of(from, window);
  to.ids.insert(to.ids.end(), part.ids.begin(), part.ids.end());
  to.offsets.insert(to.offsets.end(), part.offsets.begin(), part.offsets.end());
  to.words.insert(to.words.end(), part.words.begin(), part.words.end());
}

void add_mark(const std::vector<int32_t>& ids, Encoding& to) {
  const int32_t word = to.words.empty() ? 0 : to.words.back();
  for (const int32_t id : ids) {
    to.ids.push_back(id);
    to.offsets.push_back({});
    to.words.push_back(word);
  }
}

struct MarkedText {
  Encoding pieces;
  std::array<int64_t, 2> opens{}, ends{};  // of each entity with its marks
};

MarkedText marked_text(const Encoding& text, const std::array<Span, 2>& entities,
                       const std::array<EntityMarks, 2>& marks) {
  MarkedText marked;
  int64_t at = 0;
  for (const Insertion& next : insertions_of({tokens_touching(text.offsets, entities[0]),
                                              tokens_touching(text.offsets, entities[1])})) {
    add_pieces(text, {at, next.at}, marked.pieces);
    at = next.at;
    if (next.opens) marked.opens[next.entity] = count_of(marked.pieces);
    add_mark(next.opens ? marks[next.entity].open : marks[next.entity].close, marked.pieces);
    if (!next.opens) marked.ends[next.entity] = count_of(marked.pieces);
  }
  add_pieces(text, {at, count_of(text)}, marked.pieces);
  return marked;
}

// Both entities with as much around them as fits.
PairPieces around(const MarkedText& marked, int64_t begin, int64_t end, int64_t room) {
  const int64_t total = count_of(marked.pieces);
  begin = std::max<int64_t>(begin - (room - (end - begin)) / 2, 0);
  end = std::min(begin + room, total);
  begin = std::max<int64_t>(end - room, 0);
  return {part_of(marked.pieces, {begin, end}),
          {marked.opens[0] - begin, marked.opens[1] - begin},
          false};
}

// The beginnings of both entities, where not even they fit as a whole.
PairPieces beginnings(const MarkedText& marked, int64_t room) {
  const size_t first = marked.opens[0] <= marked.opens[1] ? 0 : 1;
  const int64_t open = marked.opens[first], other = marked.opens[1 - first],
                middle = std::min(open + room / 2, other);
  PairPieces result;
  result.is_cut = true;
  add_pieces(marked.pieces, {open, middle}, result.pieces);
  result.starts[1 - first] = count_of(result.pieces);
  add_pieces(marked.pieces,
             {other, std::min(other + room - (middle - open), count_of(marked.pieces))},
             result.pieces);
  return result;
}

}  // namespace

EntityMarks entity_marks(bool is_second, const std::string& type, const Tokenizer& tokenizer) {
  const std::string mark = is_second ? "#" : "@", of_type = is_second ? "^" : "*";
  EntityMarks marks{tokenizer.encode(mark).ids, tokenizer.encode(mark).ids};
  if (type.empty()) return marks;
  const std::vector<int32_t> named = tokenizer.encode(of_type + " " + type + " " + of_type).ids;
  marks.open.insert(marks.open.end(), named.begin(), named.end());
  return marks;
}

PairPieces pair_pieces(const Encoding& text, const std::array<Span, 2>& entities,
                       const std::array<EntityMarks, 2>& marks, int64_t room) {
  const MarkedText marked = marked_text(text, entities, marks);
  const int64_t begin = std::min(marked.opens[0], marked.opens[1]),
                end = std::max(marked.ends[0], marked.ends[1]);
  return end - begin <= room ? around(marked, begin, end, room) : beginnings(marked, room);
}

}  // namespace hone::relation
