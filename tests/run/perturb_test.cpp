// Ways to write words otherwise, and records with other words in them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/utf8.h"
#include "run/perturb/lexicon.h"
#include "run/perturb/perturbation.h"
#include "run/perturb/record_words.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "tasks/fields.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::error_of;
using testing_support::TemporaryFolder;

using Words = std::vector<std::string>;

Words others(const std::string& name, const std::string& word, uint64_t seed = 1,
             const PerturbationFiles& files = {}) {
  RandomStream random(seed);
  return perturbations().named(name).make(files)->others(
      word, {0, static_cast<int32_t>(word.size())}, random);
}

TEST(Perturbations, OfAWordAreNeverTheWordItselfAndNeverTwice) {
  for (const char* name : {"typos", "homoglyphs", "case", "punctuation", "blanks"}) {
    for (const std::string word : {"film", "Film", "aaaa", "FILM", "ab", "x", "7", "3rd", "电影",
                                   "影", "naïve", "don't", "Straße"}) {
      for (uint64_t seed = 0; seed < 50; ++seed) {
        Words all = others(name, word, seed);
        EXPECT_THAT(all, Not(Contains(word))) << name;
        std::sort(all.begin(), all.end());
        EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << name << " " << word;
        for (const std::string& other : all)
          EXPECT_EQ(invalid_utf8(other), std::string::npos) << name << " " << word;
      }
    }
  }
}

TEST(Perturbations, AreDrawnByTheSeedAlone) {
  EXPECT_EQ(others("typos", "wonderful", 3), others("typos", "wonderful", 3));
  EXPECT_NE(others("typos", "wonderful", 3), others("typos", "wonderful", 4));
}

TEST(Typos, KeepTheEndsOfAWord) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (const std::string& other : others("typos", "wonderful", seed)) {
      EXPECT_EQ(other.front(), 'w');
      EXPECT_EQ(other.back(), 'l');
      EXPECT_THAT(other.size(), AllOf(testing::Ge(8U), testing::Le(10U)));
    }
  }
}

TEST(Typos, LeaveShortWordsAndNumbersAlone) {
  for (const char* word : {"not", "bad", "2019", "b2b1", "不好"})
    EXPECT_THAT(others("typos", word), IsEmpty());
}

TEST(Homoglyphs, LookAlike) {
  EXPECT_EQ(others("homoglyphs", "o"), (Words{"\u043E"}));
  EXPECT_THAT(others("homoglyphs", "code"), Contains("\u0441\u043E\u0501\u0435"));
  EXPECT_THAT(others("homoglyphs", "电影"), IsEmpty());
}

TEST(LetterCase, IsAnother) {
  EXPECT_THAT(others("case", "film"), ElementsAre("Film", "FILM"));
  EXPECT_THAT(others("case", "Élan"), ElementsAre("élan", "ÉLAN"));
  EXPECT_THAT(others("case", "电影"), IsEmpty());
}

TEST(Punctuation, IsTheScripts) {
  EXPECT_THAT(others("punctuation", "film"), ElementsAre("film,", "film.", "film!", "\"film\""));
  EXPECT_THAT(others("punctuation", "电影"), ElementsAre("电影，", "电影。", "电影！", "“电影”"));
}

TEST(Punctuation, IsNotPutBeforeAMark) {
  RandomStream random(1);
  EXPECT_THAT(perturbations().named("punctuation").make({})->others("a film.", {2, 6}, random),
              ElementsAre("\"film\""));
}

TEST(Blanks, StandWithinAWord) {
  EXPECT_THAT(others("blanks", "ab"), ElementsAre("a b"));
  EXPECT_THAT(others("blanks", "good"), Contains("g o o d"));
  EXPECT_THAT(others("blanks", "a"), IsEmpty());
}

TEST(Lexicon, ReadsPairsInBothDirections) {
  const TemporaryFolder folder;
  const Lexicon lexicon(folder.write("l.txt", "large big \nbig huge\n\nlarge big\n"));
  EXPECT_THAT(lexicon.synonyms("large"), ElementsAre("big"));
  EXPECT_THAT(lexicon.synonyms("Big"), ElementsAre("large", "huge"));
  EXPECT_THAT(lexicon.synonyms("small"), IsEmpty());
}

TEST(Lexicon, ReadsGroupsOfSynonymsAlone) {
  const TemporaryFolder folder;
  const Lexicon lexicon(folder.write(
      "c.txt", "Aa01A01= 人 士 人物\r\nAa01A02# 猫 狗\r\nAa01A03@ 独\r\nAa01A04= 士 兵\r\n"));
  EXPECT_THAT(lexicon.synonyms("士"), ElementsAre("人", "人物", "兵"));
  EXPECT_THAT(lexicon.synonyms("猫"), IsEmpty());
}

TEST(Lexicon, RefusesOtherLinesAtTheirPlace) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    return error_of([&] { Lexicon(folder.write("l.txt", text)); });
  };
  EXPECT_THAT(error("a b\nc\n"), HasSubstr("l.txt:2: is neither a pair of words"));
  EXPECT_THAT(error("a b c\n"), HasSubstr("l.txt:1: is neither"));
  EXPECT_THAT(error("a \xFF\n"), HasSubstr("l.txt:1: is no UTF-8"));
  EXPECT_THAT(error("\n"), HasSubstr("holds no synonyms"));
  EXPECT_THAT(error("a A\n"), HasSubstr("holds no synonyms"));
}

TEST(Synonyms, AreWrittenAsTheWord) {
  const TemporaryFolder folder;
  const PerturbationFiles files{.lexicon = folder.write("l.txt", "large big\nlarge élan\n")};
  EXPECT_THAT(others("synonyms", "large", 1, files), ElementsAre("big", "élan"));
  EXPECT_THAT(others("synonyms", "Large", 1, files), ElementsAre("Big", "Élan"));
  EXPECT_THAT(others("synonyms", "LARGE", 1, files), ElementsAre("BIG", "ÉLAN"));
}

TEST(Perturbations, AreChosenByNameOrByTheirFiles) {
  const TemporaryFolder folder;
  const std::string lexicon = folder.write("l.txt", "large big\n");
  const auto names = [](const std::vector<NamedPerturbation>& all) {
    Words names;
    for (const NamedPerturbation& one : all) names.push_back(one.name);
    return names;
  };
  EXPECT_THAT(names(make_perturbations({}, {})),
              ElementsAre("typos", "homoglyphs", "case", "punctuation", "blanks"));
  EXPECT_THAT(names(make_perturbations({}, {.lexicon = lexicon})), Contains("synonyms"));
  EXPECT_THAT(names(make_perturbations({"case", "typos"}, {})), ElementsAre("case", "typos"));
}

TEST(Perturbations, ThatCannotBeAreRefused) {
  const auto error = [](const Words& names, const PerturbationFiles& files) {
    return error_of([&] { make_perturbations(names, files); });
  };
  EXPECT_THAT(error({"typo"}, {}), HasSubstr("did you mean \"typos\"?"));
  EXPECT_THAT(error({"synonyms"}, {}), HasSubstr("--lexicon"));
  EXPECT_THAT(error({"typos", "typos"}, {}), HasSubstr("stands twice"));
  EXPECT_THAT(error({"typos"}, {.lexicon = "l.txt"}), HasSubstr("which is not asked for"));
}

Record record_of(const Json& fields) { return {fields, nullptr}; }

Words words_in(const RecordWords& words) {
  Words all;
  for (const RecordWord& word : words.all())
    all.emplace_back(bytes_of(words.text_of(word), word.bytes));
  return all;
}

TEST(RecordWords, LeaveLabelledSpansAlone) {
  const RecordWords words(record_of({{"text", "Zoë Smith lives in Paris."},
                                     {"entities",
                                      {{{"start", 0}, {"end", 9}, {"label", "PER"}},
                                       {{"start", 19}, {"end", 24}, {"label", "LOC"}}}}}),
                          {"text"}, {"entities"});
  EXPECT_EQ(words_in(words), (Words{"lives", "in"}));
}

TEST(RecordWords, LeaveAnswersAlone) {
  const RecordWords words(record_of({{"question", "Where does she live?"},
                                     {"context", "She lives in Paris."},
                                     {"answers", {{"text", {"Paris"}}, {"answer_start", {13}}}}}),
                          {"question", "context"}, {"answers"});
  EXPECT_EQ(words_in(words), (Words{"Where", "does", "she", "live", "She", "lives", "in"}));
}

TEST(RecordWords, LeaveTaggedTokensAlone) {
  const RecordWords words(record_of({{"tokens", {"Anna", "Smith", "lives", "here", "."}},
                                     {"tags", {"B-PER", "I-PER", "O", "O", "O"}}}),
                          {"text", "tokens"}, {"tags"});
  EXPECT_EQ(words_in(words), (Words{"lives", "here"}));
  const Record changed = words.with({{1, "there"}});
  EXPECT_EQ(changed.fields["tokens"], (Json{"Anna", "Smith", "lives", "there", "."}));
  EXPECT_EQ(words.text_with("tokens", {{1, "there"}}), "Anna Smith lives there .");
  EXPECT_FALSE(RecordWords::fits(words.all()[0], "li ves"));
  EXPECT_FALSE(RecordWords::fits(words.all()[0], ""));
}

TEST(RecordWords, DoNotLookAtListsOfWholeTexts) {
  const RecordWords words(record_of({{"choices", {"one text", "another text"}}, {"answer", 1}}),
                          {"choices"}, {"answer"});
  EXPECT_TRUE(words.all().empty());
}

TEST(RecordWords, OfOneWordAndOfNothing) {
  EXPECT_EQ(words_in(RecordWords(record_of({{"text", "Good"}}), {"text"}, {"label"})),
            (Words{"Good"}));
  for (const char* text : {"", " ", "...", "🙂"})
    EXPECT_TRUE(RecordWords(record_of({{"text", text}}), {"text"}, {}).all().empty()) << text;
}

// Offsets of gold and answers count in the text as it was read, whatever stands in its place.
TEST(RecordWords, KeepTheTextAsItWasRead) {
  Record record = record_of({{"text", "a fine film"}});
  record.edits.emplace("text", TextEdits(" a fine film"));
  record.edits.at("text").cut(0, 1);
  const RecordWords words(record, {"text"}, {});
  const Record changed = words.with({{1, "wonderful"}, {2, "movie"}});
  EXPECT_EQ(changed.fields["text"], "a wonderful movie");
  EXPECT_EQ(need_text_as_read(changed, "text"), " a fine film");
  EXPECT_EQ(changed.edits.at("text").as_read({2, 11}), (Span{3, 7}));
  EXPECT_EQ(changed.edits.at("text").as_read({12, 17}), (Span{8, 12}));
}

}  // namespace
}  // namespace hone
