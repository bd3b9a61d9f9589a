#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kAnnotations =
    "T1\tPerson 0 3\tZoë\nR1\tKnows Arg1:T2 Arg2:T1\t\nT2\tPerson 8 10\tBo\n#1\tAnnotatorNotes "
    "T1\tx\n";

class BratReaderTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text, const std::string& annotations) {
    write_file(folder_ / (name + ".txt"), text);
    write_file(folder_ / (name + ".ann"), annotations);
  }
  std::vector<Record> read(const std::string& encoding = "utf-8") {
    SourceOptions options;
    options.path = folder_.path();
    options.format = "brat";
    options.encoding = encoding;
    const auto reader = open_reader(options);
    std::vector<Record> records = read_all(*reader);
    repairs_.clear();
    for (const BadRow& row : reader->repaired_rows()) repairs_.push_back(row.reason);
    advice_ = reader->advice();
    return records;
  }
  std::string error(const std::string& text, const std::string& annotations) {
    write("a", text, annotations);
    return error_of([&] { read(); });
  }
  // Bounds of the entities, in characters.
  std::vector<std::pair<int, int>> bounds() {
    std::vector<std::pair<int, int>> all;
    const std::vector<Record> records = read();
    for (const Json& e : records.at(0).fields["entities"]) all.emplace_back(e["start"], e["end"]);
    return all;
  }

  TemporaryFolder folder_;
  std::vector<std::string> repairs_, advice_;
};

TEST_F(BratReaderTest, MakesARecordOfEachDocumentOfAFolder) {
  write("b", "x", "");
  write("a", "Zoë met Bo.", kAnnotations);
  const std::vector<Record> records = read();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].fields, Json::parse(R"({"id": "a", "text": "Zoë met Bo.",
      "entities": [{"id": "T1", "start": 0, "end": 3, "label": "Person"},
                   {"id": "T2", "start": 8, "end": 10, "label": "Person"}],
      "relations": [{"head": "T2", "tail": "T1", "label": "Knows"}]})"));
  EXPECT_EQ(records[1].fields["entities"], Json::array());
  EXPECT_EQ(repairs_.size(), 0u);
  ASSERT_EQ(advice_.size(), 1u);
  EXPECT_THAT(advice_[0], HasSubstr("a.ann: 1 lines that are neither entities nor relations"));
}

TEST_F(BratReaderTest, FindsOutWhatOffsetsCount) {
  const std::vector<std::pair<int, int>> expected = {{0, 2}, {9, 11}};
  write("a", "🙂é\r\nmet\r\nBo", "T1\tP 0 2\t🙂é\nT2\tP 9 11\tBo\n");
  EXPECT_EQ(bounds(), expected);
  EXPECT_EQ(repairs_.size(), 0u);
  for (const auto& [annotations, unit] :
       {std::pair("T1\tP 0 2\t🙂é\nT2\tP 7 9\tBo\n", "characters with CR LF as one"),
        std::pair("T1\tP 0 3\t🙂é\nT2\tP 10 12\tBo\n", "UTF-16 units"),
        std::pair("T1\tP 0 6\t🙂é\nT2\tP 13 15\tBo\n", "bytes")}) {
    write("a", "🙂é\r\nmet\r\nBo", annotations);
    EXPECT_EQ(bounds(), expected) << unit;
    ASSERT_EQ(repairs_.size(), 1u);
    EXPECT_THAT(repairs_[0], HasSubstr(std::string("the offsets count ") + unit));
  }
}

TEST_F(BratReaderTest, TellsOfEntitiesThatSayAnotherText) {
  write("a", "Zoë met\nBo.", "T1\tP 0 3\tZoe\nT2\tP 4 10\tmet Bo\n");
  read();
  ASSERT_EQ(repairs_.size(), 1u);
  EXPECT_THAT(repairs_[0], AllOf(HasSubstr("line 1: T1 says \"Zoe\", but \"Zoë\" stands there")));
}

TEST_F(BratReaderTest, TakesAnEntityInPiecesFromTheFirstToTheLast) {
  write("a", "left and right hand", "T1\tP 0 4;15 19\tleft hand\n");
  EXPECT_EQ(bounds(), (std::vector<std::pair<int, int>>{{0, 19}}));
  EXPECT_THAT(repairs_.at(0), HasSubstr("T1 is in 2 pieces"));
}

TEST_F(BratReaderTest, ReadsBothFilesInTheirEncoding) {
  write("a", "Zo\xEB", "T1\tP 0 3\tZo\xEB\n");
  EXPECT_EQ(read("iso-8859-1").at(0).fields["text"], "Zoë");
  EXPECT_EQ(repairs_.size(), 0u);
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("is not UTF-8"));
}

TEST_F(BratReaderTest, NamesTheLineThatIsWrong) {
  EXPECT_THAT(error("abc", "T1\tP 0 3\tabc\nT2\tP 0 9\tx\n"),
              HasSubstr("a.ann:2:1: T2 is at 0 to 9, but the text has 3 characters"));
  EXPECT_THAT(error("abc", "T1\tP 0\tabc\n"), HasSubstr("a.ann:1:1: an entity is written"));
  EXPECT_THAT(error("abc", "T1 P 0 3 abc\n"), HasSubstr("a.ann:1:1: an entity is written"));
  EXPECT_THAT(error("abc", "T1\tP 0 3\tabc\nR1\tX Arg1:T1\n"),
              HasSubstr("a.ann:2:1: a relation is written"));
  for (const char* more : {" Arg2:T1 Arg3:T1", " Arg2:T1 T1", " Arg2:T1 x y z"})
    EXPECT_THAT(error("abc", std::string("T1\tP 0 3\tabc\nR1\tX Arg1:T1") + more + "\t\n"),
                AllOf(HasSubstr("a.ann:2:1: a relation is written"), HasSubstr(more)));
  EXPECT_THAT(error("abc", "E1\tP:T1\nT1\tP 0 3\tabc\nR1\tX Arg1:E1 Arg2:T1\n"),
              HasSubstr("a.ann:3:1: the relation is of E1, an event"));
  EXPECT_THAT(error("abc", "T1\tP 0 3\tabc\nR1\tX Arg1:T1 Arg2:T9\n"),
              HasSubstr("a.ann:2:1: the relation is of T9, which the file does not have"));
  EXPECT_THAT(error("abc", "T1\tP 0 3\tabc\nT1\tP 0 1\ta\n"),
              HasSubstr("a.ann:2:1: there are two annotations T1"));
}

TEST_F(BratReaderTest, NeedsTheTextBesideTheAnnotations) {
  write_file(folder_ / "a.ann", "");
  EXPECT_THAT(error_of([&] { read(); }), AllOf(HasSubstr("a.ann"), HasSubstr("there is no")));
}

TEST_F(BratReaderTest, TellsOfTextsWithoutAnnotations) {
  write("b", "abc", "");
  write_file(folder_ / "a.txt", "x");
  write_file(folder_ / "c.txt", "x");
  EXPECT_EQ(read().size(), 1u);
  ASSERT_EQ(advice_.size(), 1u);
  EXPECT_THAT(advice_[0], AllOf(HasSubstr(": 2 texts have no annotations beside them"),
                                HasSubstr("a.txt the first"), HasSubstr("an empty a.ann")));
}

TEST_F(BratReaderTest, AsksForAFolderWithAnnotations) {
  write_file(folder_ / "a.txt", "x");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("holds no .ann file"));
}

}  // namespace
}  // namespace hone
