#include "tasks/classify/aspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/clean.h"
#include "support/errors.h"
#include "tasks/classify/classify.h"
#include "tasks/toy.h"

namespace hone::classify {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;

Options options(AspectAs as = AspectAs::kPair) {
  Options o;
  o.aspect = "about";
  o.aspect_as = as;
  return o;
}

Record row(const std::string& text, const char* aspect) {
  return {{{"text", text}, {"about", Json::parse(aspect)}, {"label", "x"}},
          std::make_shared<const std::string>("data.jsonl"),
          3};
}

Span place(const std::string& text, const char* aspect, std::string* repair = nullptr) {
  const Aspect found = aspect_of(row(text, aspect), options());
  if (repair != nullptr) *repair = found.repair;
  return found.bytes;
}

TEST(Aspect, CountsCharactersOfTheText) {
  EXPECT_EQ(place("Zoë bat", R"({"start": 4, "end": 7})"), (Span{5, 8}));
  EXPECT_EQ(place("Zoë bat", "[4, 7]"), (Span{5, 8}));
  EXPECT_EQ(place("Zoë bat", R"({"start": 4, "end": 7, "text": "bat"})"), (Span{5, 8}));
}

TEST(Aspect, IsTakenAtItsOnlyPlaceWhereItSaysAWrongOne) {
  std::string repair;
  EXPECT_EQ(place("Zoë bat", R"({"start": 0, "end": 3, "text": "bat"})", &repair), (Span{5, 8}));
  EXPECT_THAT(repair, AllOf(HasSubstr("\"bat\" stands from 0 to 3"), HasSubstr("it stands at 4")));
  EXPECT_EQ(place("a bat", R"({"start": 40, "end": 50, "text": "bat"})"), (Span{2, 5}));
}

TEST(Aspect, MayBeItsTextAloneWhereTheTextHasItOnce) {
  std::string repair = "?";
  EXPECT_EQ(place("Zoë bat", R"("bat")", &repair), (Span{5, 8}));
  EXPECT_EQ(repair, "");
  const auto error = [](const char* aspect) {
    return error_of([&] { place("a bat, a  bat", aspect); });
  };
  EXPECT_THAT(error(R"("bat")"), HasSubstr("says \"bat\", and \"text\" has it at several places"));
  EXPECT_THAT(error(R"("cat")"), HasSubstr("has it nowhere"));
  EXPECT_THAT(error(R"("")"), HasSubstr("has it nowhere"));
  EXPECT_THAT(error(R"("  ")"), HasSubstr("nothing but blanks"));
}

TEST(Aspect, NamesTheRowOfOneThatIsNotInTheText) {
  const auto error = [](const char* aspect) {
    return error_of([&] { place("a bat, a  bat", aspect); });
  };
  EXPECT_THAT(error("[2, 99]"),
              AllOf(StartsWith("data.jsonl:3: \"about\""), HasSubstr("has 13 characters")));
  for (const char* none : {"[-1, 2]", "[3, 3]", "[4, 2]", "[13, 14]"})
    EXPECT_THAT(error(none), HasSubstr("has 13 characters")) << none;
  EXPECT_THAT(error("[8, 10]"), HasSubstr("nothing but blanks"));
  EXPECT_THAT(error(R"({"start": 0, "end": 1, "text": "cat"})"), HasSubstr("has it nowhere"));
  EXPECT_THAT(error(R"({"start": 0, "end": 1, "text": "bat"})"), HasSubstr("several places"));
  EXPECT_THAT(error(R"({"start": 0, "end": 1, "text": ""})"), HasSubstr("has it nowhere"));
  EXPECT_THAT(error(R"({"start": "0", "end": 1})"), HasSubstr("whole numbers"));
  EXPECT_THAT(error(R"({"start": 0})"), HasSubstr("needs a \"end\""));
  EXPECT_THAT(error("7"), HasSubstr("[start, end]"));
  EXPECT_THAT(error("[1, 2, 3]"), HasSubstr("[start, end]"));
}

std::vector<int32_t> ids(const std::string& text, const char* aspect, AspectAs as, int64_t longest,
                         bool* truncated = nullptr) {
  return aspect_sequence(row(text, aspect), options(as), toy::ToyTokenizer(), longest, truncated)
      .ids;
}

// [CLS] first [SEP] second [SEP]
std::vector<int32_t> expected(const char* first, const char* second = nullptr) {
  std::vector<int32_t> all = {1};
  for (const char* text : {first, second}) {
    if (text == nullptr) continue;
    for (const int32_t id : toy::ToyTokenizer().encode(text).ids) all.push_back(id);
    all.push_back(2);
  }
  return all;
}

TEST(Aspect, IsTheSecondTextOrMarked) {
  EXPECT_THAT(ids("a b c d", "[2, 5]", AspectAs::kPair, 64),
              ElementsAreArray(expected("a b c d", "b c")));
  EXPECT_THAT(ids("a b c d", "[2, 5]", AspectAs::kMark, 64),
              ElementsAreArray(expected("a @ b c @ d")));
}

TEST(Aspect, StaysInATextThatIsCut) {
  bool truncated = false;
  EXPECT_THAT(ids("a b c d e f g", "[8, 9]", AspectAs::kPair, 7, &truncated),
              ElementsAreArray(expected("d e f", "e")));
  EXPECT_TRUE(truncated);
  EXPECT_THAT(ids("a b c d e f g", "[8, 9]", AspectAs::kMark, 7),
              ElementsAreArray(expected("d @ e @ f")));
  EXPECT_THAT(ids("a b c d e f g", "[0, 13]", AspectAs::kMark, 6),
              ElementsAreArray(expected("@ a b c")));
}

TEST(Aspect, CountsInTheTextAsItWasRead) {
  Record record = row("\u3000\u3000a bat", "[4, 7]");
  SplitAudit audit;
  ASSERT_TRUE(Cleaner({}, {"text", "about"}, audit).accept(record));
  EXPECT_THAT(aspect_sequence(record, options(), toy::ToyTokenizer(), 64, nullptr).ids,
              ElementsAreArray(expected("a bat", "bat")));
}

TEST(Aspect, TellsTwoRowsOfOneTextApart) {
  SplitAudit audit;
  CleanOptions clean;
  clean.duplicates = "drop";
  Cleaner cleaner(clean, {"text", "about"}, audit);
  Record first = row("a bat", "[2, 5]"), other = row("a bat", "[0, 1]"), same = first;
  EXPECT_TRUE(cleaner.accept(first));
  EXPECT_TRUE(cleaner.accept(other));
  EXPECT_FALSE(cleaner.accept(same));
}

TEST(Aspect, IsOfOneText) {
  Config config = Config::parse("{text_pair: other, aspect: about}", "run.yaml");
  EXPECT_THAT(error_of([&] { kInfo.make(config, 64); }), HasSubstr("run.yaml:1"));
}

}  // namespace
}  // namespace hone::classify
