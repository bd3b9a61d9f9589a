// Options that change nothing are told, each in one sentence that names it.
#include "data/idle_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/reader_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class IdleOptions : public ::testing::Test {
 protected:
  SourceOptions read(const std::string& text) {
    Config section = Config::parse(text, "c");
    return SourceOptions::read(section);
  }
  std::string in_folder(const std::string& name) { return folder_.path() + "/" + name; }

  TemporaryFolder folder_;
};

TEST_F(IdleOptions, OfOtherFormatsAreNamed) {
  folder_.write("a.txt", "some text\n");
  folder_.write("a.csv", "text,label\na,x\n");
  folder_.write("a.conll", "a O\n");
  folder_.write("like_conll.txt", "a O\nb B-X\n");
  const std::pair<const char*, std::string> options[] = {
      {"separator", ";"},   {"columns", "[text]"}, {"has_header", "false"}, {"has_quotes", "true"},
      {"max_columns", "2"}, {"comment", "\"%\""},  {"tag_scheme", "IOB2"},  {"rows", "train"}};
  for (const auto& [key, value] : options) {
    const auto told = [&](const std::string& file) {
      return idle_options(read("path: " + in_folder(file) + "\n" + key + ": " + value + "\n"));
    };
    EXPECT_THAT(told("a.txt"), ElementsAre(HasSubstr(std::string(key) +
                                                     " does nothing in data of the format text")));
    const bool is_conll = key == std::string("comment") || key == std::string("tag_scheme");
    EXPECT_EQ(told("a.csv").empty(), !is_conll && key != std::string("rows")) << key;
    const bool is_for_both = key == std::string("separator") || key == std::string("columns");
    EXPECT_EQ(told("a.conll").empty(), is_conll || is_for_both) << key;
    EXPECT_EQ(told("like_conll.txt").empty(), is_conll || is_for_both) << key;
  }
  EXPECT_THAT(idle_options(read("path: " + in_folder("a.csv"))), IsEmpty());
}

TEST_F(IdleOptions, AreNotThoseOfRowsThatAreLists) {
  folder_.write("a.json", "{\"train\": [[\"a\", \"x\"]]}\n");
  EXPECT_THAT(idle_options(
                  read("path: " + in_folder("a.json") + "\nrows: train\ncolumns: [text, label]\n")),
              IsEmpty());
}

TEST_F(IdleOptions, OfAListAreNamedWhereNoFileHasThem) {
  folder_.write("a.jsonl", "{\"text\": \"a\"}\n");
  folder_.write("a.csv", "text\na\n");
  const std::string both = "path: [" + in_folder("a.jsonl") + ", " + in_folder("a.csv") + "]\n";
  EXPECT_THAT(idle_options(read(both + "separator: ;\n")), IsEmpty());
  EXPECT_THAT(
      idle_options(read(both + "comment: x\n")),
      ElementsAre("comment does nothing in data of the format csv, jsonl; it is for conll"));
}

TEST_F(IdleOptions, OfWhatComesOnceAreNotGuessedAt) {
  EXPECT_THAT(idle_options(read("path: '-'\nseparator: ;\n")), IsEmpty());
  EXPECT_THAT(idle_options(read("path: '-'\nseparator: ;\n"), "text"),
              ElementsAre(HasSubstr("separator does nothing in data of the format text")));
}

TEST_F(IdleOptions, NameFilesThatAreReadTwice) {
  const std::string a = folder_.write("a.jsonl", "{}\n"), b = folder_.write("b.jsonl", "{}\n");
  EXPECT_THAT(idle_options(read("path: [" + a + ", " + b + "]\n")), IsEmpty());
  EXPECT_THAT(
      idle_options(read("path: [" + in_folder("*.jsonl") + ", " + in_folder("./b.jsonl") + "]\n")),
      ElementsAre(HasSubstr("b.jsonl is listed twice: each of its rows counts twice")));
}

TEST(IdleOptionsOfCleaning, AreThresholdsThatNothingAsksFor) {
  CleanOptions options;
  options.near_threshold = 0.8;
  EXPECT_THAT(idle_options(options), ElementsAre(HasSubstr("near_threshold does nothing")));
  options.near_duplicates = "drop";
  EXPECT_THAT(idle_options(options), IsEmpty());
}

TEST(IdleOptionsOfSplits, AreThoseThatRowNumbersLeaveOut) {
  const auto told = [](const std::string& text) {
    Config section = Config::parse(text, "c");
    return idle_options(SplitOptions::read(section));
  };
  for (const std::string option : {"validation: 0.2", "test: 0.2", "stratify: label", "seed: 1"}) {
    EXPECT_THAT(told("rule: mod10\n" + option), ElementsAre(HasSubstr("does nothing beside")));
    EXPECT_THAT(told(option), IsEmpty());
  }
}

}  // namespace
}  // namespace hone
