#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <sstream>
#include <thread>

#include "data/shared_files.h"
#include "data/tokenizer/tokenize_lines.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;

class SmallTokenizer : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  const std::shared_ptr<const Tokenizer> tokenizer_ =
      load_text(folder_, "vocab.txt", kSmallVocabulary, {true});
};

TEST_F(SmallTokenizer, GivesIdsByteOffsetsAndWords) {
  const Encoding encoding = tokenizer_->encode("The caf\u00e9s, playing! \u4e2d\u56fd");
  EXPECT_EQ(tokens_of(*tokenizer_, encoding), "the cafe ##s , play ##ing ! \u4e2d \u56fd");
  EXPECT_EQ(
      encoding.offsets,
      (std::vector<Span>{
          {0, 3}, {4, 9}, {9, 10}, {10, 11}, {12, 16}, {16, 19}, {19, 20}, {21, 24}, {24, 27}}));
  EXPECT_THAT(encoding.words, ElementsAre(0, 1, 1, 2, 3, 3, 4, 5, 6));
}

TEST_F(SmallTokenizer, FindsSpecialTokensWrittenInTheText) {
  const Encoding encoding = tokenizer_->encode("the[SEP] [MASK]. [sep]");
  EXPECT_EQ(tokens_of(*tokenizer_, encoding), "the [SEP] [MASK] . [UNK] [UNK] [UNK]");
  EXPECT_EQ(encoding.offsets[1], (Span{3, 8}));
}

TEST_F(SmallTokenizer, FollowsRemovedAndDecomposedCharacters) {
  const Encoding encoding = tokenizer_->encode("t\u200dhe\u0301 \ud55c");
  EXPECT_EQ(tokens_of(*tokenizer_, encoding), "the \u1112 ##\u1161 ##\u11ab");
  EXPECT_EQ(encoding.offsets, (std::vector<Span>{{0, 6}, {9, 12}, {9, 12}, {9, 12}}));
}

TEST_F(SmallTokenizer, MakesNothingOfNothing) {
  for (const std::string_view text :
       {std::string_view(""), std::string_view(" \t\n"), std::string_view("\0\0", 2)}) {
    EXPECT_TRUE(tokenizer_->encode(text).ids.empty());
  }
}

TEST_F(SmallTokenizer, SurvivesBytesThatAreNotUtf8) {
  EXPECT_EQ(tokens_of(*tokenizer_, tokenizer_->encode("the\xFF\xC3 the\x80")), "the the");
}

TEST_F(SmallTokenizer, PutsSpecialTokensAroundOneAndTwoTexts) {
  const Encoding first = tokenizer_->encode("the ."), second = tokenizer_->encode("playing");
  const Sequence one = tokenizer_->post_process(first);
  EXPECT_THAT(one.ids, ElementsAre(1, 5, 12, 2));
  EXPECT_THAT(one.segments, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(one.texts, ElementsAre(-1, 0, 0, -1));
  EXPECT_THAT(one.words, ElementsAre(-1, 0, 1, -1));
  const Sequence two = tokenizer_->post_process(first, &second);
  EXPECT_THAT(two.ids, ElementsAre(1, 5, 12, 2, 9, 10, 2));
  EXPECT_THAT(two.segments, ElementsAre(0, 0, 0, 0, 1, 1, 1));
  EXPECT_THAT(two.texts, ElementsAre(-1, 0, 0, -1, 1, 1, -1));
  EXPECT_THAT(two.words, ElementsAre(-1, 0, 1, -1, 0, 0, -1));
  EXPECT_EQ(two.offsets,
            (std::vector<Span>{{0, 0}, {0, 3}, {4, 5}, {0, 0}, {0, 4}, {4, 7}, {0, 0}}));
  EXPECT_EQ(tokenizer_->special_tokens_added(false), 2);
  EXPECT_EQ(tokenizer_->special_tokens_added(true), 3);
}

TEST_F(SmallTokenizer, DecodesWithAndWithoutSpecialTokens) {
  const std::vector<int32_t> ids =
      tokenizer_->post_process(tokenizer_->encode("playing the , .")).ids;
  EXPECT_EQ(tokenizer_->decode(ids, true), "playing the,.");
  EXPECT_EQ(tokenizer_->decode(ids, false), "[CLS] playing the,. [SEP]");
  EXPECT_EQ(tokenizer_->decode({5, 12345, -1}, true), "the");
}

TEST_F(SmallTokenizer, PrintsALineForALine) {
  std::istringstream in("The.\r\n\r\r\n");
  std::ostringstream out;
  tokenize_lines(*tokenizer_, in, "in", {}, out);
  EXPECT_EQ(
      out.str(),
      "{\"ids\": [1, 5, 12, 2], \"tokens\": [\"[CLS]\", \"the\", \".\", \"[SEP]\"], \"offsets\": "
      "[[0, 0], [0, 3], [3, 4], [0, 0]]}\n"
      "{\"ids\": [1, 2], \"tokens\": [\"[CLS]\", \"[SEP]\"], \"offsets\": [[0, 0], [0, 0]]}\n");
}

TEST_F(SmallTokenizer, EndsLinesAsDataFilesDo) {
  const auto tokenized = [&](const std::string& text) {
    std::istringstream in(text);
    std::ostringstream out;
    tokenize_lines(*tokenizer_, in, "in", {}, out);
    return out.str();
  };
  EXPECT_EQ(tokenized("the\rplay\r\r.\r"), tokenized("the\nplay\n\n.\n"));
  EXPECT_EQ(tokenized("the\r\r\nplay"), tokenized("the\nplay\n"));
}

TEST_F(SmallTokenizer, NamesTheLineAndColumnOfBadText) {
  std::istringstream in("the\nth\xFF\n");
  std::ostringstream out;
  EXPECT_EQ(error_of([&] { tokenize_lines(*tokenizer_, in, "in.txt", {}, out); }),
            "in.txt:2:3: not valid UTF-8: byte 0xFF");
  std::istringstream json("\"a\\nb\"\n[1]\n");
  TokenizeLinesOptions options;
  options.is_json = true;
  EXPECT_EQ(error_of([&] { tokenize_lines(*tokenizer_, json, "in.jsonl", options, out); }),
            "in.jsonl:2: expected a JSON string, or an array of two");
  std::istringstream returns("the\rthe\rth\xFF\r");
  EXPECT_EQ(error_of([&] { tokenize_lines(*tokenizer_, returns, "in.txt", {}, out); }),
            "in.txt:3:3: not valid UTF-8: byte 0xFF");
}

TEST_F(SmallTokenizer, GivesTheSameFromAnyNumberOfThreads) {
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; ++i)
    texts.push_back("The " + std::string(i % 7, '.') + " unaffable \u4e2d" +
                    to_utf8(std::u32string(1, 0x100 + i)));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<Encoding> one, four;
  encode_lines(*tokenizer_, views, 1, one);
  encode_lines(*tokenizer_, views, 4, four);
  ASSERT_EQ(one.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    ASSERT_TRUE(one[i] == four[i] && one[i] == tokenizer_->encode(texts[i])) << texts[i];
}

// The fast path is the separate parts, whatever the text and the options.
class FastPath : public ::testing::TestWithParam<std::tuple<bool, int, bool, bool>> {};

TEST_P(FastPath, EqualsTheParts) {
  const auto [lowercase, strip, chinese, clean] = GetParam();
  Json json = parse_json(kSmallJson, {}, ErrorKind::kModel);
  json["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", clean},
                        {"handle_chinese_chars", chinese},
                        {"strip_accents", strip == 2 ? Json() : Json(strip == 1)},
                        {"lowercase", lowercase}};
  Json& vocab = json["model"]["vocab"];
  for (char32_t c = 0x21; c < 0x250; ++c) {  // enough to see letters apart
    const std::string letter = to_utf8(std::u32string(1, c));
    for (const std::string& token : {letter, "##" + letter}) {
      if (!vocab.contains(token)) vocab[token] = vocab.size();
    }
  }
  const TemporaryFolder folder;
  const auto loaded = load_text(folder, "tokenizer.json", json.dump());
  const auto& tokenizer = dynamic_cast<const HfTokenizer&>(*loaded);
  EXPECT_TRUE(rc::check([&] {
    std::string text;
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i)
      text += *any_text() + *rc::gen::element<std::string>("", " ", "[SEP]", "e\u0301");
    Encoding fast, slow;
    tokenizer.encode(text, fast);
    tokenizer.encode_by_parts(text, slow);
    RC_ASSERT(fast.ids == slow.ids);
    RC_ASSERT(fast.offsets == slow.offsets);
    RC_ASSERT(fast.words == slow.words);
  }));
  for (char32_t c = 0; c < 0x110000; c += c < 0x20000 ? 1 : 13) {  // nearly all that are assigned
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const std::string text = to_utf8(std::u32string{U'e', c, U'a'});
    Encoding fast, slow;
    tokenizer.encode(text, fast);
    tokenizer.encode_by_parts(text, slow);
    ASSERT_TRUE(fast == slow) << std::hex << static_cast<uint32_t>(c);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, FastPath,
    ::testing::Values(std::tuple(true, 2, true, true), std::tuple(false, 2, true, true),
                      std::tuple(true, 0, true, true), std::tuple(false, 1, false, true),
                      std::tuple(true, 2, false, false), std::tuple(false, 0, true, false)));

TEST(Tokenizer, GivesTheExpectedIdsOfPublishedTokenizers) {
  HONE_NEEDS_SHARED(shared_path("tokenizers/expected/expected.jsonl"));
  const Json texts = read_json(shared_path("tokenizers/expected/texts.json"), ErrorKind::kData);
  std::ifstream expected(shared_path("tokenizers/expected/expected.jsonl"));
  int compared = 0;
  for (std::string line; std::getline(expected, line);) {
    const Json row = parse_json(line, {}, ErrorKind::kData);
    const std::string name = row["tokenizer"];
    if (!name.starts_with("bert-") && name != "gpt2" && name != "roberta-base") continue;
    const TokenizerOptions options{
        name.starts_with("bert-")
            ? std::optional(name == "bert-base-uncased" || name == "bert-base-chinese")
            : std::nullopt};
    const auto tokenizer = Tokenizer::load(shared_path("tokenizers/" + name), options);
    EXPECT_EQ(tokenizer->vocab_size(), row["vocab_size"]);
    for (size_t i = 0; i < texts.size(); ++i) {
      const Encoding encoding = tokenizer->encode(texts[i].get_ref<const std::string&>());
      EXPECT_EQ(Json(tokenizer->post_process(encoding).ids), row["ids"][i])
          << name << ": " << texts[i];
      ++compared;
    }
  }
  EXPECT_EQ(compared, 6 * 15);
}

}  // namespace
}  // namespace hone
