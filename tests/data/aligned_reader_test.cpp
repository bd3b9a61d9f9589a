#include "format_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using AlignedReaderTest = FormatTest;

TEST_F(AlignedReaderTest, JoinsTheLinesOfAllFiles) {
  write("in", "play jazz\r\n\nstop");
  write("out", "O B-genre\nO\nO\n");
  write("label", "Play\nNone\nStop\n");
  EXPECT_THAT(rows("in", "beside: {tags: $/out, label: $/label}"),
              ElementsAre(R"({"text":"play jazz","label":"Play","tags":"O B-genre"})",
                          R"({"text":"","label":"None","tags":"O"})",
                          R"({"text":"stop","label":"Stop","tags":"O"})"));
  EXPECT_THAT(places_, ElementsAre("in:1", "in:2", "in:3"));
}

TEST_F(AlignedReaderTest, RefusesFilesOfUnequalLengthWithBothCounts) {
  write("three", "a\nb\nc\n");
  write("two", "x\ny\n");
  EXPECT_THAT(error("three", "beside: {label: $/two}, on_bad_row: skip"),
              AllOf(HasSubstr("two:2: ends after 2 lines, but "), HasSubstr("/three has 3:")));
  EXPECT_THAT(error("two", "beside: {label: $/three}"),
              AllOf(HasSubstr("two:2: ends after 2 lines, but "), HasSubstr("/three has 3:")));
  write("none", "");
  EXPECT_THAT(error("none", "beside: {label: $/two}"), HasSubstr("ends after 0 lines"));
}

TEST_F(AlignedReaderTest, StaysAlignedBehindABadLine) {
  write("in", "a\nb\nc\n");
  write("label", "x\n\xE9\nz\n");
  EXPECT_THAT(rows("in", "beside: {label: $/label}, on_bad_row: skip"),
              ElementsAre(R"({"text":"a","label":"x"})", R"({"text":"c","label":"z"})"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("label:2:1: the byte 0xE9 is not UTF-8")));
}

TEST_F(AlignedReaderTest, ReadsAllFilesInOneEncoding) {
  write("in", "Zo\xEB\n");
  write("label", "\xE9\n");
  EXPECT_THAT(rows("in", "beside: {label: $/label}, encoding: iso-8859-1"),
              ElementsAre(R"({"text":"Zoë","label":"é"})"));
}

TEST_F(AlignedReaderTest, NeedsFilesThatFit) {
  write("in", "a\n");
  EXPECT_THAT(error("in", "format: aligned"), HasSubstr("the format aligned needs \"beside\""));
  EXPECT_THAT(error("in", "beside: {label: $/lable}"), HasSubstr("lable: no such file"));
  EXPECT_THAT(error("in", "beside: {label: '-'}"), HasSubstr("can be read only once"));
  EXPECT_THAT(error_of([] {
                Config section = Config::parse("{path: [a, b], beside: {label: c}}", "c");
                SourceOptions::read(section);
              }),
              HasSubstr("\"beside\" goes with one file"));
}

}  // namespace
}  // namespace hone
