#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kTwoArticles = R"({"version": "v2.0", "data": [
 {"title": "Lamps", "paragraphs": [
  {"qas": [{"id": "a", "question": "How bright?", "answers": [{"text": "very", "answer_start": 3}]},
           {"id": "b", "question": "Who \"]}\" ?", "answers": [], "is_impossible": true}],
   "context": "So very bright"},
  {"context": "Nobody asks", "qas": []}]},
 {"paragraphs": [{"context": "Zoë", "qas": [{"id": "c", "question": "Who?", "answers": []}]}],
  "source": "x"}
]}
)";

class SquadReaderTest : public testing::Test {
 protected:
  std::vector<Record> read(const std::string& text, const std::string& on_bad_row = "error") {
    write_file(folder_ / "a.json", text);
    SourceOptions options;
    options.path = folder_ / "a.json";
    options.on_bad_row = on_bad_row;
    const auto reader = open_reader(options);
    std::vector<Record> records = read_all(*reader);
    for (const BadRow& row : reader->bad_rows())
      bad_.push_back(row.where.str() + ": " + row.reason);
    advice_ = reader->advice();
    return records;
  }
  std::string error(const std::string& text) {
    return error_of([&] { read(text); });
  }

  TemporaryFolder folder_;
  std::vector<std::string> bad_, advice_;
};

TEST_F(SquadReaderTest, MakesARecordOfEachQuestion) {
  const std::vector<Record> records = read(kTwoArticles);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].fields, Json::parse(R"({"id": "a", "question": "How bright?",
              "answers": [{"text": "very", "answer_start": 3}],
              "context": "So very bright", "title": "Lamps"})"));
  EXPECT_EQ(records[1].fields["is_impossible"], true);
  EXPECT_EQ(records[1].fields["context"], "So very bright");
  EXPECT_EQ(records[2].fields, Json::parse(R"({"id": "c", "question": "Who?", "answers": [],
              "context": "Zoë"})"));
}

TEST_F(SquadReaderTest, KnowsWhereEachQuestionStands) {
  const std::vector<Record> records = read(kTwoArticles);
  EXPECT_THAT(records[0].where().str(), HasSubstr("a.json:3:12"));
  EXPECT_THAT(records[1].where().str(), HasSubstr("a.json:4:12"));
  EXPECT_THAT(records[2].where().str(), HasSubstr("a.json:7:46"));
}

TEST_F(SquadReaderTest, GoesOnBehindABadParagraph) {
  const std::string text = R"({"data": [{"paragraphs": [
 {"context": "no questions"},
 {"context": "c", "qas": [{"id": "a"}, 7, {"id": "b"}]}, "d"]}]})";
  EXPECT_THAT(error(text), AllOf(HasSubstr("a.json:2:2: a paragraph of SQuAD's format has"),
                                 HasSubstr("this one has \"context\"")));
  EXPECT_EQ(read(text, "skip").size(), 2u);
  ASSERT_EQ(bad_.size(), 3u);
  EXPECT_THAT(bad_[1], HasSubstr("a.json:3:40: a question must be an object; found number"));
  EXPECT_THAT(bad_[2], HasSubstr("a.json:3:58: a paragraph must be an object; found string"));
}

TEST_F(SquadReaderTest, NamesAnArticleWithoutAListOfParagraphs) {
  const std::string text = R"({"data": [
 {"title": "a", "paragraph": [{"context": "c", "qas": []}]},
 {"title": "b", "paragraphs": {"context": "c", "qas": []}},
 {},
 {"paragraphs": [{"context": "c", "qas": [{"id": "a"}]}]}]})";
  EXPECT_THAT(error(text), HasSubstr("a.json:2:2: an article of SQuAD's format has a list "
                                     "\"paragraphs\"; this one has \"title\", \"paragraph\""));
  EXPECT_EQ(read(text, "skip").size(), 1u);
  ASSERT_EQ(bad_.size(), 3u);
  EXPECT_THAT(bad_[1], HasSubstr("a.json:3:31: the \"paragraphs\" of an article must be a list; "
                                 "found object"));
  EXPECT_THAT(bad_[2], AllOf(HasSubstr("a.json:4:2: "), HasSubstr("this one has nothing")));
}

TEST_F(SquadReaderTest, TellsOfTitlesBehindTheirParagraphs) {
  const std::vector<Record> records = read(R"({"data": [
 {"paragraphs": [{"context": "c", "qas": [{"id": "a"}]}], "title": "late"},
 {"paragraphs": [{"context": "c", "qas": [{"id": "b"}]}]}]})");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_FALSE(records[0].fields.contains("title"));
  EXPECT_FALSE(records[1].fields.contains("title"));
  ASSERT_EQ(advice_.size(), 1u);
  EXPECT_THAT(advice_[0], HasSubstr("1 articles have their \"title\" behind"));
}

TEST_F(SquadReaderTest, RefusesAFileThatIsCutOff) {
  const std::string whole = kTwoArticles;
  EXPECT_THAT(error(whole.substr(0, whole.size() - 3)), HasSubstr("is not closed"));
  EXPECT_THAT(error(whole + "{}"), HasSubstr("a.json:10:1: not valid JSON: text after the end"));
}

TEST_F(SquadReaderTest, RefusesAFileWithoutData) {
  write_file(folder_ / "b.json", R"({"version": 1, "questions": []})");
  SourceOptions options;
  options.path = folder_ / "b.json";
  options.format = "squad";
  EXPECT_THAT(error_of([&] { read_all(*open_reader(options)); }),
              HasSubstr("SQuAD's format has a list \"data\", and this file has none"));
}

TEST_F(SquadReaderTest, LeavesOtherJsonAlone) {
  EXPECT_EQ(read(R"({"data": 1, "text": "a"} {"data": 2, "text": "b"})").size(), 2u);
}

}  // namespace
}  // namespace hone
