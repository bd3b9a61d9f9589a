#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "data/tokenizer/wordpiece.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  Vocabulary out;
  for (size_t i = 0; i < tokens.size(); ++i) out.set(tokens[i], static_cast<int32_t>(i));
  return out;
}

// The definition, word for word: try ever shorter strings.
std::vector<std::string> by_definition(const std::set<std::string>& tokens, const std::string& word,
                                       size_t most_characters) {
  if (from_utf8(word).size() > most_characters) return {"[UNK]"};
  std::vector<std::string> out;
  for (std::string rest = word; !rest.empty();) {
    std::string part = rest;
    while (!part.empty() && !tokens.contains((out.empty() ? "" : "##") + part)) {
      std::u32string shorter = from_utf8(part);
      shorter.pop_back();
      part = to_utf8(shorter);
    }
    if (part.empty()) return {"[UNK]"};
    out.push_back((out.empty() ? "" : "##") + part);
    rest = rest.substr(part.size());
  }
  return out;
}

TEST(WordPiece, TakesTheLongestPieceEachTime) {
  const WordPiece model(
      vocabulary_of({"[UNK]", "un", "unaff", "##aff", "##able", "##a", "##ffable"}), {}, {});
  std::vector<Piece> pieces;
  model.tokenize("unaffable", pieces);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(model.vocabulary().token(pieces[0].id), "unaff");
  EXPECT_EQ(model.vocabulary().token(pieces[1].id), "##able");
  EXPECT_EQ(pieces[1].begin, 5);
  EXPECT_EQ(pieces[1].end, 9);
}

TEST(WordPiece, MakesAWordThatCannotBeCoveredUnknownAsAWhole) {
  const WordPiece model(vocabulary_of({"[UNK]", "un", "##a"}), {}, {});
  std::vector<Piece> pieces;
  model.tokenize("unab", pieces);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].id, 0);
  EXPECT_EQ(pieces[0].end, 4);
}

TEST(WordPiece, CountsCharactersNotBytesForTheLongestWord) {
  WordPieceOptions options;
  options.max_input_chars_per_word = 3;
  const WordPiece model(vocabulary_of({"[UNK]", "\u4e2d", "##\u4e2d"}), options, {});
  std::vector<Piece> pieces;
  model.tokenize("\u4e2d\u4e2d\u4e2d", pieces);
  EXPECT_EQ(pieces.size(), 3U);
  pieces.clear();
  model.tokenize("\u4e2d\u4e2d\u4e2d\u4e2d", pieces);
  EXPECT_EQ(pieces.size(), 1U);
}

TEST(WordPiece, NeedsItsUnknownToken) {
  EXPECT_EQ(error_of([] { WordPiece(vocabulary_of({"a"}), {}, Where{"v.txt"}); }),
            "v.txt: the unknown token \"[UNK]\" is not in the vocabulary");
}

RC_GTEST_PROP(WordPiece, EqualsItsDefinition, ()) {
  // Few letters, so that pieces overlap in every way; words up to the length that the word cache
  // holds and beyond.
  const auto letters =
      rc::gen::elementOf(std::vector<std::string>{"a", "b", "c", "\u00e9", "\u4e2d"});
  const auto word = [&](size_t most) {
    const auto size = *rc::gen::inRange<size_t>(1, most);
    std::string out;
    for (size_t i = 0; i < size; ++i) out += *letters;
    return out;
  };
  std::set<std::string> tokens{"[UNK]"};
  for (int i = *rc::gen::inRange(0, 40); i > 0; --i)
    tokens.insert((*rc::gen::arbitrary<bool>() ? "##" : "") + word(5));
  WordPieceOptions options;
  options.max_input_chars_per_word = 20;
  const WordPiece model(vocabulary_of({tokens.begin(), tokens.end()}), options, {});
  for (int i = 0; i < 20; ++i) {
    const std::string text = word(25);
    std::vector<Piece> pieces;
    model.tokenize(text, pieces);
    std::vector<std::string> got;
    int32_t end = 0;
    for (const Piece& piece : pieces) {
      RC_ASSERT(piece.begin == end);
      end = piece.end;
      got.emplace_back(model.vocabulary().token(piece.id));
    }
    RC_ASSERT(end == static_cast<int32_t>(text.size()));
    RC_ASSERT(got == by_definition(tokens, text, 20));
  }
}

RC_GTEST_PROP(Vocabulary, FindsWhatWasSetAndNothingElse, (std::map<std::string, bool> words)) {
  Vocabulary vocabulary;
  std::vector<std::string> known;
  for (const auto& [word, is_set] : words) {
    if (!is_set) continue;
    vocabulary.set(word, static_cast<int32_t>(known.size()));
    known.push_back(word);
  }
  for (const auto& [word, is_set] : words)
    RC_ASSERT((vocabulary.find(word) != Vocabulary::kNone) == is_set);
  for (size_t i = 0; i < known.size(); ++i) {
    RC_ASSERT(vocabulary.token(static_cast<int32_t>(i)) == known[i]);
    RC_ASSERT(vocabulary.find(known[i]) == static_cast<int32_t>(i));
  }
}

TEST(Vocabulary, LetsTheLaterOfTwoEqualTokensWin) {
  Vocabulary vocabulary;
  EXPECT_TRUE(vocabulary.set("a", 0));
  EXPECT_FALSE(vocabulary.set("a", 3));
  EXPECT_EQ(vocabulary.find("a"), 3);
  EXPECT_FALSE(vocabulary.has(0));
  EXPECT_EQ(vocabulary.token(0), "");
  EXPECT_EQ(vocabulary.end_id(), 4);
}

}  // namespace
}  // namespace hone
