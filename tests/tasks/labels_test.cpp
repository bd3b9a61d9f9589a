#include "tasks/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;

Labels learned(const std::vector<Json>& values) {
  Labels labels;
  for (const Json& value : values) labels.add(value);
  labels.fix();
  return labels;
}

TEST(Labels, SortTextsByBytesAndNumbersByValue) {
  EXPECT_THAT(learned({"b", "a", "B", "a"}).names(), ElementsAre("B", "a", "b"));
  EXPECT_THAT(learned({10, 9, -1}).names(), ElementsAre("-1", "9", "10"));
  EXPECT_THAT(learned({"10", "9"}).names(), ElementsAre("9", "10"));
}

TEST(Labels, KeepTheTypeOfTheData) {
  const Labels labels = learned({true, false});
  EXPECT_EQ(labels.value(0), Json(false));
  EXPECT_EQ(learned({2, 1}).value(0), Json(1));
  EXPECT_EQ(learned({"2", "1"}).value(0), Json("1"));
}

TEST(Labels, FindANumberWhateverItsSpelling) {
  const Labels labels = learned({1, 2});
  EXPECT_EQ(labels.find(2.0), 1);
  EXPECT_EQ(labels.find("2"), 1);
  EXPECT_EQ(labels.find(3), std::nullopt);
  EXPECT_EQ(labels.find(nullptr), std::nullopt);
}

TEST(Labels, MapNumbersToGivenNames) {
  const Labels labels({"World", "Sports"}, 1);
  EXPECT_EQ(labels.find("1"), 0);
  EXPECT_EQ(labels.find(2), 1);
  EXPECT_EQ(labels.find("Sports"), 1);
  EXPECT_EQ(labels.find(0), std::nullopt);
  EXPECT_EQ(labels.find("03"), std::nullopt);
}

TEST(Labels, DoNotMapNumbersWhereNamesAreNumbers) {
  const Labels labels({"5", "0"}, 0);
  EXPECT_EQ(labels.find(0), 1);
  EXPECT_EQ(labels.find(1), std::nullopt);
}

TEST(Labels, SurviveJson) {
  const Labels labels({"x", "y"}, 1), again = Labels::from_json(labels.json());
  EXPECT_EQ(again.names(), labels.names());
  EXPECT_EQ(again.find(2), 1);
  EXPECT_EQ(Labels::from_json(learned({3, 4}).json()).value(1), Json(4));
}

TEST(LabelIndex, PutsUnknownLabelsAfterTheKnown) {
  LabelIndex index(learned({"b", "a"}));
  EXPECT_EQ(index.index("z"), 2);
  EXPECT_EQ(index.index("c"), 3);
  EXPECT_EQ(index.index("a"), 0);
  EXPECT_THAT(index.order(), ElementsAre(0, 1, 3, 2));
}

class LabelsFile : public ::testing::Test {
 protected:
  std::vector<std::string> read(const std::string& text) {
    const std::string path = folder_ / "labels_test.txt";
    write_file(path, text);
    return read_labels(path);
  }
  std::string complaint(const std::string& text) {
    return error_of([&] { read(text); });
  }

 private:
  testing_support::TemporaryFolder folder_;
};

TEST_F(LabelsFile, EndsLinesAsDataFilesDo) {
  EXPECT_THAT(read("pos\rneg\r"), ElementsAre("pos", "neg"));
  EXPECT_THAT(read("pos\r\r\nneg\r\nother\n"), ElementsAre("pos", "neg", "other"));
}

TEST_F(LabelsFile, RefusesBytesThatAreNoText) {
  EXPECT_THAT(complaint("tea\ncaf\xe9\n"), AllOf(HasSubstr(":2:4"), HasSubstr("UTF-8")));
}

TEST_F(LabelsFile, HoldsOneNameALine) {
  EXPECT_THAT(read("\xEF\xBB\xBF"
                   "anger \r\n joy\r\n\r\n"),
              ElementsAre("anger", "joy"));
}

TEST_F(LabelsFile, NamesTheLineOfADefect) {
  EXPECT_THAT(complaint("a\n\nb\n"), HasSubstr("labels_test.txt:2: an empty line"));
  EXPECT_THAT(complaint("a\nb\na\n"), HasSubstr("labels_test.txt:3: label \"a\" stands in line 1"));
  EXPECT_THAT(complaint("\n"), HasSubstr("this one is empty"));
}

}  // namespace
}  // namespace hone
