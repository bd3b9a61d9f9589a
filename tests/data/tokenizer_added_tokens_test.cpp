#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;

// The parts of `text` with the token's content in brackets.
std::string split(const std::string& token_json, std::string_view text) {
  const Json list = parse_json("[" + token_json + "]", Where{"t.json"}, ErrorKind::kModel);
  const AddedTokens tokens({list, "t.json", "added_tokens"}, Vocabulary(), nullptr);
  std::vector<TokenMatcher::Part> parts;
  (tokens.in_text().is_empty() ? tokens.in_normalized() : tokens.in_text())
      .split(text, tokens.tokens(), parts);
  std::string out;
  int32_t end = 0;
  for (const auto& part : parts) {
    EXPECT_EQ(part.begin, end);
    end = part.end;
    const std::string bytes(text.substr(part.begin, part.end - part.begin));
    out += part.token < 0 ? bytes : "{" + bytes + "}";
  }
  return out;
}

TEST(AddedTokens, AreFoundLeftmostAndLongest) {
  const std::string two =
      R"({"id": 0, "content": "ab"}, {"id": 1, "content": "abc"}, {"id": 2, "content": "bcd"})";
  EXPECT_EQ(split(two, "xabcdabx"), "x{abc}d{ab}x");
  EXPECT_EQ(split(two, "bcdab"), "{bcd}{ab}");
  EXPECT_EQ(split(two, ""), "");
  EXPECT_EQ(split(two, "aaa"), "aaa");
}

TEST(AddedTokens, TakeWhiteSpaceAlongWhereTheyStripIt) {
  EXPECT_EQ(split(R"({"id": 0, "content": "<m>", "lstrip": true})", "a \u3000<m> b"),
            "a{ \u3000<m>} b");
  EXPECT_EQ(split(R"({"id": 0, "content": "<m>", "rstrip": true})", "a <m> \n<m>b"),
            "a {<m> \n}{<m>}b");
  EXPECT_EQ(split(R"({"id": 0, "content": "<m>", "lstrip": true, "rstrip": true})", "<m>  <m>"),
            "{<m>  }{<m>}");
}

TEST(AddedTokens, StandBetweenNonWordCharactersWhereTheyAreSingleWords) {
  const std::string json = R"({"id": 0, "content": "is", "single_word": true})";
  EXPECT_EQ(split(json, "this is, isn't \u00e9is is_"), "this {is}, isn't \u00e9is is_");
  EXPECT_EQ(split(json, "is"), "{is}");
}

TEST(AddedTokens, FollowTheModelsIdsInTheirOrder) {
  Vocabulary vocabulary;
  vocabulary.set("known", 5);
  const Json list = parse_json(
      R"([{"id": 5, "content": "known"}, {"id": 6, "content": "new"}, {"id": 9, "content": "other"}])",
      {}, ErrorKind::kModel);
  const AddedTokens tokens({list, "t.json", ""}, vocabulary, nullptr);
  EXPECT_EQ(tokens.find("known")->id, 5);
  EXPECT_EQ(tokens.find("new")->id, 6);
  EXPECT_EQ(tokens.find("other")->id, 7)
      << "as the reference, which gives the next id whatever the file says";
  EXPECT_EQ(tokens.find(7)->content, "other");
  EXPECT_EQ(tokens.find("nothing"), nullptr);
}

TEST(AddedTokens, AreFoundInTheirNormalFormWhereTheySaySo) {
  const TemporaryFolder folder;
  std::string json = kSmallJson;
  json.replace(
      json.find("\"added_tokens\": ["), 17,
      R"("added_tokens": [{"id": 10, "content": "Day", "normalized": true, "special": false}, )");
  const auto tokenizer = load_text(folder, "tokenizer.json", json);
  const Encoding encoding = tokenizer->encode("the DAY. D\u00e1y [SEP] [sep]");
  EXPECT_EQ(tokens_of(*tokenizer, encoding), "the Day . Day [SEP] [UNK] [UNK] [UNK]");
  EXPECT_EQ(encoding.offsets[3], (Span{9, 13}));
  EXPECT_THAT(encoding.words, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(AddedTokens, ListedTwiceAreAnError) {
  EXPECT_EQ(error_of([] { split(R"({"id": 0, "content": "a"}, {"id": 1, "content": "a"})", ""); }),
            "t.json: \"added_tokens[1]\": \"a\" is listed twice");
}

}  // namespace
}  // namespace hone
