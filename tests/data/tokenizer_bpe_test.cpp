#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/unicode.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<Span> words;
  split_like_gpt2(text, {0, static_cast<int32_t>(text.size())}, words);
  std::vector<std::string> out;
  for (const Span word : words) out.emplace_back(text.substr(word.start, word.end - word.start));
  return out;
}

using Words = std::vector<std::string>;

TEST(SplitLikeGpt2, FollowsThePattern) {
  EXPECT_EQ(split("It's 1,234 dollars"), (Words{"It", "'s", " 1", ",", "234", " dollars"}));
  EXPECT_EQ(split("a  b"), (Words{"a", " ", " b"}));
  EXPECT_EQ(split("a \n b\n\n"), (Words{"a", " \n", " b", "\n\n"}));
  EXPECT_EQ(split("we'll WE'LL 'tis"), (Words{"we", "'ll", " WE", "'", "LL", " '", "tis"}));
  EXPECT_EQ(split("caf\u00e9\u3000\u4e2d\u00bd!?"),
            (Words{"caf\u00e9", "\u3000", "\u4e2d", "\u00bd", "!?"}));
  EXPECT_EQ(split("\n\u3000a"), (Words{"\n", "\u3000", "a"}));
  EXPECT_EQ(split("   "), (Words{"   "}));
  EXPECT_EQ(split("x''s"), (Words{"x", "''", "s"}));
}

RC_GTEST_PROP(SplitLikeGpt2, LosesNothing, ()) {
  const std::string text = *any_text();
  std::string joined;
  for (const std::string& word : split(text)) {
    RC_ASSERT(!word.empty());
    joined += word;
  }
  RC_ASSERT(joined == text);
}

TEST(ByteAlphabet, IsReadableAndReversible) {
  EXPECT_EQ(to_byte_alphabet(" the\n"), "\u0120the\u010a");
  EXPECT_EQ(from_byte_alphabet("\u0120the"), " the");
  EXPECT_EQ(from_byte_alphabet("a b"), std::nullopt);  // a blank is no letter of it
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(one)), one);
  }
}

// Merging one pair at a time, the strongest first, the leftmost among equals.
Words by_definition(const Bpe::Merges& merges, const std::string& word) {
  Words parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (;;) {
    size_t best = merges.size(), place = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = std::find(merges.begin(), merges.end(), std::pair(parts[i], parts[i + 1]));
      const auto rank = static_cast<size_t>(found - merges.begin());
      if (rank < best) {
        best = rank;
        place = i;
      }
    }
    if (best == merges.size()) return parts;
    parts[place] += parts[place + 1];
    parts.erase(parts.begin() + static_cast<int64_t>(place) + 1);
  }
}

RC_GTEST_PROP(Bpe, EqualsItsDefinition, ()) {
  Vocabulary vocabulary;
  Words tokens{"a", "b", "c"};
  Bpe::Merges merges;
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    const std::string left = *rc::gen::elementOf(tokens), right = *rc::gen::elementOf(tokens);
    // Two merges that make the same token are told apart by neither program, so there is one for
    // each.
    if (std::find(tokens.begin(), tokens.end(), left + right) != tokens.end()) continue;
    merges.emplace_back(left, right);
    tokens.push_back(left + right);
  }
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary.set(tokens[i], static_cast<int32_t>(i));
  const Bpe model(std::move(vocabulary), merges, {}, {});
  for (int i = 0; i < 10; ++i) {
    const auto word =
        *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc"))));
    std::vector<Piece> pieces;
    model.tokenize(word, pieces);
    Words got;
    for (const Piece& piece : pieces) {
      got.emplace_back(model.vocabulary().token(piece.id));
      RC_ASSERT(got.back() == word.substr(piece.begin, piece.end - piece.begin));
    }
    RC_ASSERT(got == by_definition(merges, word));
  }
}

TEST(Bpe, MergesAMegabyteWithoutABlankInReasonableTime) {
  Vocabulary vocabulary;
  vocabulary.set("a", 0);
  vocabulary.set("aa", 1);
  const Bpe model(std::move(vocabulary), {{"a", "a"}}, {}, {});
  std::vector<Piece> pieces;
  model.tokenize(std::string(1 << 20, 'a'), pieces);
  EXPECT_EQ(pieces.size(), 1U << 19);
}

TEST(Bpe, FusesUnknownCharactersWhereAsked) {
  const auto pieces_of = [](bool fuses, std::optional<std::string> unk) {
    Vocabulary vocabulary;
    vocabulary.set("a", 0);
    vocabulary.set("<unk>", 1);
    BpeOptions options;
    options.unk_token = std::move(unk);
    options.fuse_unk = fuses;
    const Bpe model(std::move(vocabulary), {}, options, {});
    std::vector<Piece> pieces;
    model.tokenize("axya", pieces);
    return pieces.size();
  };
  EXPECT_EQ(pieces_of(true, "<unk>"), 3U);
  EXPECT_EQ(pieces_of(false, "<unk>"), 4U);
  EXPECT_EQ(pieces_of(false, std::nullopt), 2U);
}

TEST(Bpe, NamesTheMergeThatCannotBe) {
  Vocabulary vocabulary;
  vocabulary.set("a", 0);
  vocabulary.set("b", 1);
  EXPECT_EQ(error_of([&] { Bpe(vocabulary, {{"a", "b"}}, {}, Where{"m.txt"}); }),
            "m.txt: merge 1 (\"a b\"): \"ab\" is not in the vocabulary");
}

TEST(ByteLevelTokenizer, TrimsBlanksFromOffsetsAndTakesThemAlongBeforeTheMask) {
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "tokenizer.json", kSmallBpeJson);
  const Encoding encoding = tokenizer->encode("the the <mask>!");
  EXPECT_EQ(tokens_of(*tokenizer, encoding), "the \u0120the <mask> !");
  EXPECT_EQ(encoding.offsets, (std::vector<Span>{{0, 3}, {4, 7}, {8, 14}, {14, 15}}));
  EXPECT_EQ(encoding.words, (std::vector<int32_t>{0, 1, 2, 3}));
  const Sequence pair = tokenizer->post_process(encoding, &encoding);
  EXPECT_EQ(pair.size(), 12);
  EXPECT_EQ(tokenizer->special_tokens_added(true), 4);
  EXPECT_EQ(std::vector<int32_t>(pair.segments), std::vector<int32_t>(12, 0));
}

TEST(ByteLevelTokenizer, GivesEachByteOfACharacterTheWholeOfIt) {
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "tokenizer.json", kSmallBpeJson);
  const Encoding encoding = tokenizer->encode("t\u00e9");
  EXPECT_EQ(encoding.offsets, (std::vector<Span>{{0, 1}, {1, 3}, {1, 3}}));
  EXPECT_EQ(tokenizer->decode(encoding.ids, true), "t\u00e9");
  EXPECT_EQ(tokenizer->decode({11}, true), "\uFFFD");
}

}  // namespace
}  // namespace hone
