// Rows of JSON that stand below keys, and rows that are lists.
#include "format_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using JsonRowsTest = FormatTest;

constexpr const char* kSplits =
    "{\"dev\": [{\"a\": \"]}\"}],\n \"train\": [{\"a\": 1},\n  {\"a\": 2}], \"n\": {\"test\": "
    "[[3]]}}";

TEST_F(JsonRowsTest, AreTheListThatRowsNames) {
  write("a.json", kSplits);
  EXPECT_THAT(rows("a.json", "rows: train"), ElementsAre(R"({"a":1})", R"({"a":2})"));
  EXPECT_THAT(places_, ElementsAre("a.json:2:12", "a.json:3:3"));
  EXPECT_THAT(rows("a.json", "rows: dev"), ElementsAre(R"({"a":"]}"})"));
  EXPECT_THAT(rows("a.json", "rows: n.test, columns: [a]"), ElementsAre(R"({"a":3})"));
}

TEST_F(JsonRowsTest, ThatAreNotThereAreAskedFor) {
  write("a.json", kSplits);
  EXPECT_THAT(error("a.json", "rows: tran"),
              AllOf(HasSubstr("a.json:1:1: the object has no \"tran\""),
                    HasSubstr("it has dev, train, n; did you mean \"train\"?")));
  EXPECT_THAT(error("a.json", "rows: n"), HasSubstr("\"n\" must be the list of rows; found '{'"));
  EXPECT_THAT(error("a.json", "rows: train.x"),
              HasSubstr("a.json:2:11: \"rows\" names \"x\", but there is no object here"));
}

TEST_F(JsonRowsTest, SkipABadElementAndGoOn) {
  write("a.json", R"({"x": [{"a": 1}, 7, {"a": nil}, {"a": 2}]})");
  EXPECT_THAT(rows("a.json", "rows: x, on_bad_row: skip"), ElementsAre(R"({"a":1})", R"({"a":2})"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("a.json:1:18: a row must be a JSON object"),
                                HasSubstr("not valid JSON")));
}

TEST_F(JsonRowsTest, OfADocumentThatIsCutOffAreAnErrorAlsoBehindThem) {
  const std::string whole = kSplits;
  for (size_t size = 1; size < whole.size(); ++size) {
    write("a.json", whole.substr(0, size));
    EXPECT_NE(error("a.json", "rows: train, on_bad_row: skip"), "") << size;
  }
  write("a.json", whole + "{}");
  EXPECT_THAT(error("a.json", "rows: train"), HasSubstr("text after the end of the object"));
  write("a.json", R"({"x": [], "x": []})");
  EXPECT_THAT(error("a.json", "rows: x"), HasSubstr("the key \"x\" stands twice"));
}

TEST_F(JsonRowsTest, EndWhereAKeyAroundThemIsBroken) {
  for (const char* text : {R"({"b\z": 1, "x": [{"a": 1}]})", R"({"x": [{"a": 1}], "b\z": 1})",
                           R"({"n": {"b\z": 1}, "x": [{"a": 1}]})"}) {
    write("a.json", text);
    EXPECT_THAT(error("a.json", "rows: x, on_bad_row: skip"), HasSubstr("a.json:1:")) << text;
  }
}

TEST_F(JsonRowsTest, ThatAreListsHaveTheirNamesFromColumns) {
  write("a.jsonl", "[\"good\", \"x\"]\n[\"bad\"]\n{\"text\": \"fine\", \"label\": \"z\"}\n");
  EXPECT_THAT(rows("a.jsonl", "columns: [text, label], on_bad_row: skip"),
              ElementsAre(R"({"text":"good","label":"x"})", R"({"text":"fine","label":"z"})"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("a.jsonl:2: 1 values, but \"columns\" names 2")));
}

}  // namespace
}  // namespace hone
