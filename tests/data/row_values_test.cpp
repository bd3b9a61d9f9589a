// Keys that go with every format: each, texts, forms, names.
#include "format_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RowValuesTest : public FormatTest {
 protected:
  std::vector<std::string> read(const std::string& row, const std::string& keys) {
    write("a.jsonl", row + "\n");
    return rows("a.jsonl", keys);
  }
  std::string fault(const std::string& row, const std::string& keys) {
    return error_of([&] { read(row, keys); });
  }
};

TEST_F(RowValuesTest, EachMakesARowOfEachElement) {
  const std::string row =
      R"({"id": 1, "text": "t", "terms": {"term": [{"id": 2, "of": "x"}, 5, {"of": "y"}]}})";
  EXPECT_THAT(
      read(row + "\n{\"text\": \"u\"}\n{\"text\": \"v\", \"terms\": {\"term\": {\"of\": \"z\"}}}",
           "each: terms.term, fields: {label: of}, on_bad_row: skip"),
      ElementsAre(R"({"id":2,"text":"t","terms":{"term":null},"label":"x"})",
                  R"({"id":1,"text":"t","terms":{"term":null},"label":"y"})",
                  R"({"text":"v","terms":{"term":null},"label":"z"})"));
  EXPECT_THAT(places_, ElementsAre("a.jsonl:1", "a.jsonl:1", "a.jsonl:3"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("a.jsonl:1: \"terms.term\" must hold objects")));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("1 rows have no \"terms.term\"")));
}

TEST_F(RowValuesTest, TextsComeFromTheFilesThatRowsName) {
  std::filesystem::create_directory(folder_ / "data");
  write("data/7.txt", "\xEF\xBB\xBFone\r\ntwo");
  EXPECT_THAT(read("{\"id\": 7}\n{\"id\": 8}\n{\"key\": 7}\n{\"id\": \"../a\"}\n{\"id\": \"/a\"}",
                   "texts: {text: 'data/{id}.txt'}, on_bad_row: skip"),
              ElementsAre(R"({"id":7,"text":"one\r\ntwo"})"));
  EXPECT_THAT(
      bad_, ElementsAre(
                AllOf(HasSubstr("a.jsonl:2: its text cannot be used: "),
                      HasSubstr("8.txt: no such file")),
                HasSubstr("a.jsonl:3: the row has no \"id\" that could name its text"),
                HasSubstr("a.jsonl:4: \"id\" is \"../a\": names of texts stay below their folder"),
                HasSubstr("a.jsonl:5: \"id\" is \"/a\"")));
  write("data/7.txt", "\xE9");
  EXPECT_THAT(fault("{\"id\": 7}", "texts: {text: 'data/{id}.txt'}"),
              HasSubstr("7.txt:1:1: the byte"));
  for (const char* pattern : {"data.txt", "{id", "{}.txt"})
    EXPECT_THAT(fault("{}", "texts: {text: '" + std::string(pattern) + "'}"),
                HasSubstr("needs the name of a field in braces"))
        << pattern;
}

TEST_F(RowValuesTest, NamesStandForNumbers) {
  write("names.txt", "O\r\nB-X\nI-X\n");
  const std::string row = R"({"tags": [0, 2, "1"], "label": 1, "other": 1})";
  EXPECT_THAT(read(row, "names: {tags: $/names.txt, label: [no, yes]}"),
              ElementsAre(R"({"tags":["O","I-X","B-X"],"label":"yes","other":1})"));
  for (const char* wrong : {"3", "-1", "\"O\"", "1.5", "null", "true", "18446744073709551615"})
    EXPECT_THAT(fault("{\"tags\": [0, " + std::string(wrong) + "]}", "names: {tags: $/names.txt}"),
                HasSubstr("a.jsonl:1: \"tags\" has "))
        << wrong;
  EXPECT_THAT(fault(row, "names: {tags: [O, X, O]}"), HasSubstr("the name \"O\" stands twice"));
  EXPECT_THAT(fault(row, "names: {tags: []}"), HasSubstr("there must be a name for each number"));
  EXPECT_THAT(fault(row, "names: {tags: $/none.txt}"), HasSubstr("none.txt: no such file"));
}

TEST_F(RowValuesTest, FormsThatNoRowHasAreTold) {
  EXPECT_THAT(read("{\"tags\": \"a b\"}\n{\"tags\": null}", "forms: {tags: words, tagz: words}"),
              ElementsAre(R"({"tags":["a","b"]})", R"({"tags":null})"));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("no row has the field \"tagz\", which forms names")));
  read("", "forms: {tags: words}");
  EXPECT_THAT(advice_, IsEmpty());
}

TEST_F(RowValuesTest, FormsAreKnown) {
  EXPECT_THAT(fault("{}", "forms: {a: wrods}"),
              HasSubstr("\"wrods\" is no form; there are words, integer, only, triples, by_type, "
                        "span_of FIELD, span_to FIELD"));
  EXPECT_THAT(fault("{}", "forms: {a: span_of}"), HasSubstr("\"span_of FIELD\""));
  EXPECT_THAT(fault("{}", "forms: {a: words b}"), HasSubstr("stands alone, without \"b\""));
}

TEST_F(RowValuesTest, FormsTurnValuesIntoWhatTasksRead) {
  struct Case {
    const char *form, *value, *expected;
  };
  for (const Case& c :
       {Case{"words", R"(" B-X\tO  O\n")", R"(["B-X","O","O"])"},
        {"words", R"("")", "[]"},
        {"integer", R"("-41")", "-41"},
        {"integer", "7", "7"},
        {"only", R"([{"a": 1}])", R"({"a":1})"},
        {"triples", R"([[0, 2, "X"]])", R"([{"start":0,"end":2,"label":"X"}])"},
        {"triples", "[]", "[]"},
        {"joined", R"(["你", "b", ""])", R"("你, b, ")"},
        {"joined", "[]", R"("")"},
        {"without_places", R"(["科0", "a12", "201", "👍🏽0"])", R"(["科","a","2","👍🏽"])"},
        {"by_type", R"({"X": {"你好": [[0, 1], [5, 6]]}, "Y": {}})",
         R"([{"start":0,"end":2,"label":"X"},{"start":5,"end":7,"label":"X"}])"}})
    EXPECT_THAT(
        read(std::string("{\"v\": ") + c.value + "}", std::string("forms: {v: ") + c.form + "}"),
        ElementsAre(std::string("{\"v\":") + c.expected + "}"))
        << c.form;
  for (const char* place : {"\"(1, 3)\"", "[1, 3]", "\"[1,3]\"", "[\"1\", \"3\"]"})
    EXPECT_THAT(
        read(std::string("{\"t\": \"Zoës\", \"v\": ") + place + "}", "forms: {v: span_of t}"),
        ElementsAre(R"({"t":"Zoës","v":[{"text":"oë","answer_start":1}]})"))
        << place;
}

TEST_F(RowValuesTest, FormsMayTakeTheEndOfASpanFromAnotherField) {
  EXPECT_THAT(read(R"({"v": "4", "to": "9"})", "forms: {v: span_to to}"),
              ElementsAre(R"({"v":{"start":4,"end":9},"to":"9"})"));
}

TEST_F(RowValuesTest, FormsRefuseOtherValues) {
  struct Case {
    const char *form, *value;
  };
  for (const Case& c : {Case{"words", "1"},
                        {"integer", "\"4x\""},
                        {"integer", "1.0"},
                        {"integer", "\"99999999999999999999\""},
                        {"joined", "\"a\""},
                        {"joined", "[1]"},
                        {"without_places", R"(["科"])"},
                        {"without_places", R"(["科0x"])"},
                        {"without_places", R"([""])"},
                        {"only", "[]"},
                        {"only", "[1, 2]"},
                        {"triples", "{}"},
                        {"triples", "[[0, 1]]"},
                        {"triples", "[[0, 1, 2]]"},
                        {"by_type", "[]"},
                        {"by_type", R"({"X": []})"},
                        {"by_type", R"({"X": {"ab": 1}})"},
                        {"by_type", R"({"X": {"ab": [[0, 2]]}})"},
                        {"by_type", R"({"X": {"ab": [[-1, 0]]}})"},
                        {"by_type", R"({"X": {"ab": [[0]]}})"},
                        {"span_of t", "\"(0, 5)\""},
                        {"span_of t", "\"(2, 1)\""},
                        {"span_of t", "\"(-1, 1)\""},
                        {"span_of t", "\"0, 1\""},
                        {"span_of t", "7"},
                        {"span_of u", "[0, 1]"},
                        {"span_to t", "1"},
                        {"span_to u", "1"}})
    EXPECT_THAT(fault(std::string("{\"t\": \"Zoës\", \"v\": ") + c.value + "}",
                      std::string("forms: {v: ") + c.form + "}"),
                HasSubstr("a.jsonl:1: \"v\" "))
        << c.form << " " << c.value;
}

}  // namespace
}  // namespace hone
