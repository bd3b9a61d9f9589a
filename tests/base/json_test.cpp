#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"

namespace hone {
namespace {

using ::testing::HasSubstr;

Json parse(std::string_view text) {
  return parse_json(text, Where{"f.json", 10, 0}, ErrorKind::kData);
}

std::string message_of(std::string_view text) {
  try {
    parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "no error";
}

TEST(ParseJson, ReadsEveryKindOfValue) {
  const Json value = parse(
      R"( {"s": "a\"\\\/\b\f\n\r\tz", "u": "\u00e9\u4e2d\ud83d\ude00", "i": -12, "big": 18446744073709551615,
    "d": 1.5e-3, "huge": 123456789012345678901234567890, "t": true, "f": false, "n": null, "a": [1, [], {}]} )");
  EXPECT_EQ(value["s"], "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(value["u"], "é中😀");
  EXPECT_TRUE(value["i"].is_number_integer());
  EXPECT_EQ(value["i"], -12);
  EXPECT_EQ(value["big"], UINT64_MAX);
  EXPECT_EQ(value["d"], 1.5e-3);
  EXPECT_EQ(value["huge"], 1.2345678901234568e29);
  EXPECT_EQ(value["a"].dump(), "[1,[],{}]");
  EXPECT_EQ(value.begin().key(), "s") << "the order of the keys is kept";
}

TEST(ParseJson, AgreesWithAnotherParserOnNumbers) {
  for (const char* text :
       {"0", "-0", "1", "-1", "0.1", "1E5", "1e+5", "1e-5", "9223372036854775807",
        "-9223372036854775808", "4.9e-324", "1e-400", "1.7976931348623157e308"}) {
    EXPECT_EQ(parse(text), Json::parse(text)) << text;
    EXPECT_EQ(parse(text).type(), Json::parse(text).type()) << text;
  }
}

TEST(ParseJson, NamesLineAndColumn) {
  EXPECT_THAT(message_of("{\"a\": 1,\n  \"b\" 2}"),
              HasSubstr("f.json:11:7: not valid JSON: found '2' where ':' was expected"));
  EXPECT_THAT(message_of("{\"a\": 1, \"b\": 2, \"a\": 3}"),
              HasSubstr("f.json:10:18: not valid JSON: the key \"a\" stands twice"));
  EXPECT_THAT(message_of("[1, 2"),
              HasSubstr("f.json:10:6: not valid JSON: the text ends where ',' or ']'"));
  EXPECT_THAT(message_of("[1] x"),
              HasSubstr("f.json:10:5: not valid JSON: found 'x' after the end"));
  EXPECT_THAT(message_of("[\"a\xff\"]"),
              HasSubstr("f.json:10:4: not valid JSON: found the byte 0xFF, which is not UTF-8"));
  EXPECT_THAT(message_of("[\"abc"),
              HasSubstr("f.json:10:2: not valid JSON: this string has no closing quote"));
}

TEST(ParseJson, RefusesWhatTheStandardRefuses) {
  for (const std::string text : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "[1,]",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "'a'",
                                 "01",
                                 "1.",
                                 ".5",
                                 "+1",
                                 "-",
                                 "1e",
                                 "1e+",
                                 "NaN",
                                 "Infinity",
                                 "tru",
                                 "nul",
                                 "1 2",
                                 "\"\t\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\ud800\"",
                                 "\"\\ud800\\u0041\"",
                                 "\"\\udc00\"",
                                 "\"\xc0\x80\"",
                                 "\"\xed\xa0\x80\"",
                                 "[1e999]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "// c\n1",
                                 "\"\\"}) {
    EXPECT_NE(message_of(text), "no error") << text;
  }
  EXPECT_NE(message_of(std::string("\"a\0b\"", 5)), "no error");
}

TEST(ParseJson, FindsADuplicateAmongManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) text += "\"k" + std::to_string(i) + "\": 0, ";
  EXPECT_EQ(parse(text + "\"last\": 0}").size(), 1001U);
  EXPECT_THAT(message_of(text + "\"k3\": 0}"), HasSubstr("the key \"k3\" stands twice"));
  EXPECT_THAT(message_of(text + "\"k999\": 0}"), HasSubstr("the key \"k999\" stands twice"));
}

TEST(ParseJson, LimitsNesting) {
  EXPECT_NO_THROW(parse(std::string(512, '[') + std::string(512, ']')));
  EXPECT_THAT(message_of(std::string(513, '[') + std::string(513, ']')),
              HasSubstr("nested deeper than 512"));
  EXPECT_THAT(message_of(std::string(1000000, '[')), HasSubstr("nested deeper"));
}

// Every truncation and thousands of changed bytes: an error or a value that another parser accepts
// too, never a crash.
TEST(ParseJson, AgreesWithAnotherParserOnDamagedText) {
  const std::string text =
      R"({"a": [1, -2.5e3, "x\u00e9\n", true, false, null], "b": {"c": "中文", "d": [[], {}]}, "e": 0})";
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_THROW(parse(text.substr(0, size)), Error);
  RandomStream random(1);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = text;
    for (uint64_t change = 0; change <= random.below(3); ++change)
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    try {
      const Json value = parse(damaged);
      EXPECT_EQ(value, Json::parse(damaged)) << damaged;
      ++accepted;
    } catch (const Error& error) {
      // The one thing we refuse beyond the standard is a duplicate key.
      if (error.message().find("stands twice") == std::string::npos) {
        EXPECT_FALSE(Json::accept(damaged)) << damaged;
      }
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace hone
