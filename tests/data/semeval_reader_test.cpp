#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<Record> read(const std::string& text, const std::string& on_bad_row = "error") {
  const TemporaryFolder folder;
  write_file(folder / "a.txt", text);
  SourceOptions options;
  options.path = folder / "a.txt";
  options.format = "semeval";
  options.on_bad_row = on_bad_row;
  return read_all(*open_reader(options));
}

TEST(SemevalReader, ReadsBlocksOfLines) {
  const std::vector<Record> records = read(
      "1\t\"The <e1>a</e1> \"of\" <e2>b</e2>.\"\r\nOther\r\nComment: x\r\n\r\n\r\n"
      "2\t\"<e1>c</e1> <e2>d</e2>\"\r\nX(e2,e1)\r\nComment:\r\n\r\n3\tno quotes");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].fields,
            Json::parse(R"({"id": "1", "text": "The <e1>a</e1> \"of\" <e2>b</e2>.",
                                               "relation": "Other", "comment": "Comment: x"})"));
  EXPECT_EQ(records[1].line, 6);
  EXPECT_EQ(records[2].fields, Json::parse(R"({"id": "3", "text": "no quotes"})"));
}

TEST(SemevalReader, PassesOverABadBlockAsAWhole) {
  const std::string text = "no tab\nOther\n\n1\ta\nb\nc\nd\n\n2\t\xFF\nOther\n\n3\tgood\n";
  EXPECT_THAT(error_of([&] { read(text); }),
              AllOf(HasSubstr("a.txt:1:1: a block is a number"), HasSubstr("no tab")));
  EXPECT_EQ(read(text, "skip").size(), 1u);
}

}  // namespace
}  // namespace hone
