#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <limits>

#include "data/tokenizer/piece_trie.h"
#include "data/tokenizer/unigram.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::HasSubstr;

const Where kWhere{"m.json"};

std::string cut(const Unigram& model, std::string_view word) {
  std::vector<Piece> pieces;
  model.tokenize(word, pieces);
  std::string out;
  for (const Piece& piece : pieces) {
    out += std::string(out.empty() ? "" : " ") + std::string(model.vocabulary().token(piece.id)) +
           "[" + std::to_string(piece.begin) + "," + std::to_string(piece.end) + "]";
  }
  return out;
}

TEST(Unigram, FindsTheBestSum) {
  const Unigram model(
      {{"<unk>", 0}, {"a", 0}, {"b", 0}, {"cd", 1}, {"ab", 2}, {"abc", 5}, {"abcd", 10}}, 0, false,
      kWhere);
  EXPECT_EQ(cut(model, "abcdacdxx"), "abcd[0,4] a[4,5] cd[5,7] <unk>[7,9]");
  EXPECT_EQ(cut(model, "abab"), "ab[0,2] ab[2,4]");
}

TEST(Unigram, TakesUnknownCharactersTogetherAndTheirBytesWhereAllArePieces) {
  Unigram::Pieces pieces{{"<unk>", 0}, {"a", -1}};
  EXPECT_EQ(cut(Unigram(pieces, 0, true, kWhere), "aéé"), "a[0,1] <unk>[1,5]");
  for (const char* byte : {"<0xC3>", "<0xA9>"}) pieces.emplace_back(byte, -9);
  const Unigram model(pieces, 0, true, kWhere);
  EXPECT_EQ(cut(model, "aé"), "a[0,1] <0xC3>[1,3] <0xA9>[1,3]");
  EXPECT_EQ(cut(model, "aè"), "a[0,1] <unk>[1,3]");
}

TEST(Unigram, FindsTheLaterOfEqualPieces) {
  const Unigram model({{"<unk>", 0}, {"a", -1}, {"a", -2}}, 0, false, kWhere);
  std::vector<Piece> pieces;
  model.tokenize("a", pieces);
  EXPECT_EQ(pieces[0].id, 2);
  EXPECT_EQ(model.vocabulary().token(1), "a");
}

TEST(Unigram, RefusesPiecesThatNoModelHas) {
  const auto error = [](const Unigram::Pieces& pieces, std::optional<int64_t> unk) {
    return error_of([&] { Unigram(pieces, unk, false, kWhere); });
  };
  EXPECT_EQ(error({}, std::nullopt), "m.json: the vocabulary has no piece");
  EXPECT_EQ(error({{"a", 0}}, 1), "m.json: unk_id is 1, but the pieces are 0 to 0");
  EXPECT_EQ(error({{"a", std::numeric_limits<double>::quiet_NaN()}}, 0),
            "m.json: piece 0 (\"a\") has a score that is no number");
  EXPECT_EQ(error({{std::string(5000, 'a'), 0}}, 0),
            "m.json: piece 0 has 5000 bytes; the most is 4096");
}

TEST(Unigram, TellsOfACharacterItHasNothingFor) {
  const Unigram model({{"a", 0}}, std::nullopt, false, kWhere);
  EXPECT_EQ(cut(model, "aa"), "a[0,1] a[1,2]");
  EXPECT_THAT(error_of([&] { cut(model, "ab"); }),
              HasSubstr("no piece for \"b\" and no unknown token"));
}

// The best sum by trying every way to cut the word.
double best_sum(std::string_view word, const std::map<std::string, double>& scores,
                double unknown) {
  if (word.empty()) return 0;
  double best = -1e9;
  for (size_t size = 1; size <= word.size(); ++size) {
    const auto found = scores.find(std::string(word.substr(0, size)));
    const double score = found != scores.end() ? found->second : size == 1 ? unknown : -1e9;
    best = std::max(best, score + best_sum(word.substr(size), scores, unknown));
  }
  return best;
}

RC_GTEST_PROP(Unigram, IsAsGoodAsTheBestOfAllWays, ()) {
  const auto letters = rc::gen::elementOf(std::string("abc"));
  auto scores = *rc::gen::container<std::map<std::string, double>>(
      rc::gen::nonEmpty(rc::gen::resize(4, rc::gen::container<std::string>(letters))),
      rc::gen::map(rc::gen::inRange(-40, 0), [](int tenth) { return tenth / 8.0; }));
  const std::string word = *rc::gen::resize(9, rc::gen::container<std::string>(letters));
  RC_PRE(!word.empty());
  Unigram::Pieces pieces{{"<unk>", 0}};
  double least = 0;
  for (const auto& [piece, score] : scores) {
    pieces.emplace_back(piece, score);
    least = std::min(least, score);
  }
  const Unigram model(pieces, 0, false, kWhere);
  std::vector<Piece> cuts;
  model.tokenize(word, cuts);
  double sum = 0;
  int32_t end = 0;
  for (const Piece& piece : cuts) {
    RC_ASSERT(piece.begin == end);
    end = piece.end;
    sum += piece.id == 0 ? (piece.end - piece.begin) * (least - 10) : pieces[piece.id].second;
  }
  RC_ASSERT(end == static_cast<int32_t>(word.size()));
  RC_ASSERT(sum == best_sum(word, scores, least - 10));
}

RC_GTEST_PROP(PieceTrie, FindsExactlyThePiecesThatATextBeginsWith, ()) {
  const auto byte = rc::gen::map(rc::gen::elementOf(std::vector<int>{'a', 'b', 0xC3, 0xFF, 1}),
                                 [](int value) { return static_cast<char>(value); });
  const auto some = rc::gen::nonEmpty(rc::gen::resize(5, rc::gen::container<std::string>(byte)));
  const auto pieces = *rc::gen::container<std::vector<std::string>>(some);
  const std::string text = *rc::gen::container<std::string>(byte);
  std::vector<PieceTrie::Entry> entries;
  std::map<std::string, int32_t> ids;
  for (size_t i = 0; i < pieces.size(); ++i) {
    entries.emplace_back(pieces[i], static_cast<int32_t>(i));
    ids[pieces[i]] = static_cast<int32_t>(i);
  }
  const PieceTrie trie(entries);
  std::vector<std::pair<size_t, int32_t>> found, expected;
  trie.prefixes(text, 0, [&](size_t end, int32_t id) { found.emplace_back(end, id); });
  for (size_t size = 1; size <= text.size(); ++size) {
    if (const auto piece = ids.find(text.substr(0, size)); piece != ids.end())
      expected.emplace_back(size, piece->second);
  }
  RC_ASSERT(found == expected);
}

}  // namespace
}  // namespace hone
