#include "data/clean.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"
#include "data/fingerprint.h"
#include "reader_testing.h"
#include "shared_files.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

Record record_of(const std::string& text, int64_t line = 1) {
  static const auto file = std::make_shared<const std::string>("f.jsonl");
  return {Json{{"text", text}}, file, line};
}

class CleanerTest : public testing::Test {
 protected:
  // Which of the texts are kept, as cleaned.
  std::vector<std::string> kept(const CleanOptions& options,
                                const std::vector<std::string>& texts) {
    audit_ = SplitAudit{};
    Cleaner cleaner(options, {"text"}, audit_);
    std::vector<std::string> out;
    int64_t line = 0;
    for (const std::string& text : texts) {
      Record record = record_of(text, ++line);
      if (cleaner.accept(record)) out.push_back(record.fields["text"]);
    }
    return out;
  }
  SplitAudit audit_;
};

TEST_F(CleanerTest, TrimsWhiteSpaceOfAnyScript) {
  EXPECT_THAT(kept({}, {" \t a b\r\n", "\u3000\u00A0中 文\u2003", "\uFEFFx"}),
              ElementsAre("a b", "中 文", "x"));
  CleanOptions options;
  options.trim = false;
  EXPECT_THAT(kept(options, {" a "}), ElementsAre(" a "));
}

TEST_F(CleanerTest, RemovesControlCharactersButTabAndLineFeed) {
  EXPECT_THAT(kept({}, {"a\x01\tb\nc\x7F\u0090é👩\u200D🚀"}), ElementsAre("a\tb\ncé👩\u200D🚀"));
  CleanOptions options;
  options.remove_control = false;
  EXPECT_THAT(kept(options, {"a\x01z"}), ElementsAre("a\x01z"));
}

TEST_F(CleanerTest, PartsWordsWhereAWhiteControlCharacterGoes) {
  EXPECT_THAT(kept({}, {"a\rb", "a\vb\fc", "a\u0085b", "a\r\nb", "\ra\r"}),
              ElementsAre("a b", "a b c", "a b", "a\nb", "a"));
}

TEST_F(CleanerTest, TrimsWhatRemovedControlCharactersHid) {
  EXPECT_THAT(kept({}, {"\x01 a \x02 "}), ElementsAre("a"));
  CleanOptions options;
  options.remove_control = false;
  EXPECT_THAT(kept(options, {" \x01 a "}), ElementsAre("\x01 a"));
}

TEST_F(CleanerTest, KeepsTheTextAsItWasReadBesideTheCleanedOne) {
  SplitAudit audit;
  Cleaner cleaner({}, {"text"}, audit);
  Record record = record_of("  a\x01z");
  ASSERT_TRUE(cleaner.accept(record));
  EXPECT_EQ(record.fields["text"], "az");
  EXPECT_EQ(record.edits.at("text").as_read(), "  a\x01z");
  Record clean = record_of("az");
  ASSERT_TRUE(cleaner.accept(clean));
  EXPECT_TRUE(clean.edits.empty());
}

TEST_F(CleanerTest, DropsKeepsOrRefusesEmptyTexts) {
  EXPECT_THAT(kept({}, {"a", " \x01 ", "b"}), ElementsAre("a", "b"));
  EXPECT_EQ(audit_.rows, 3);
  EXPECT_EQ(audit_.used, 2);
  EXPECT_EQ(audit_.dropped, 1);
  EXPECT_THAT(audit_.reasons, ElementsAre(Pair("empty text", 1)));
  ASSERT_EQ(audit_.examples.size(), 1U);
  EXPECT_EQ(audit_.examples[0].where.str(), "f.jsonl:2");
  CleanOptions options;
  options.empty_texts = "keep";
  EXPECT_EQ(kept(options, {"", "a"}).size(), 2U);
  options.empty_texts = "error";
  EXPECT_THAT(error_of([&] { kept(options, {"a", ""}); }),
              HasSubstr("f.jsonl:2: \"text\" is empty"));
}

TEST_F(CleanerTest, LeavesTokensAsTheyAre) {
  SplitAudit audit;
  Cleaner cleaner({}, {"tokens", "absent"}, audit);
  Record record{Json::parse(R"({"tokens": [" a ", "\u0001"], "tags": ["O", "O"]})"), nullptr, 1};
  EXPECT_TRUE(cleaner.accept(record));
  EXPECT_EQ(record.fields["tokens"].dump(), R"([" a ","\u0001"])");
  for (const char* empty :
       {R"({"tokens": [], "tags": []})", R"({"tokens": [" ", "\u0001"], "tags": ["O", "O"]})"}) {
    Record row{Json::parse(empty), nullptr, 2};
    EXPECT_FALSE(cleaner.accept(row)) << empty;
  }
}

TEST_F(CleanerTest, DropsDuplicatesOnlyWhenAsked) {
  const std::vector<std::string> texts = {"Hello  World", "hello world ", "ＨＥＬＬＯ　ＷＯＲＬＤ",
                                          "hello worlds"};
  EXPECT_EQ(kept({}, texts).size(), 4U);
  CleanOptions options;
  options.duplicates = "drop";
  EXPECT_THAT(kept(options, texts), ElementsAre("Hello  World", "hello worlds"));
  EXPECT_THAT(audit_.reasons, ElementsAre(Pair("duplicate", 2)));
  EXPECT_EQ(audit_.examples[1].reason, "the same text as in line 1");
}

TEST_F(CleanerTest, NamesTheFileOfADuplicateWhereItIsAnother) {
  CleanOptions options;
  options.duplicates = "drop";
  SplitAudit audit;
  Cleaner cleaner(options, {"text"}, audit);
  const auto add = [&](const std::string& text, const std::string& file, int64_t column) {
    Record record{{{"text", text}}, std::make_shared<const std::string>(file), 1, column};
    cleaner.accept(record);
  };
  add("a", "one.json", 2);
  add("b", "two.jsonl", 0);
  add("a", "one.json", 30);
  add("b", "three.jsonl", 0);
  add("b", "two.jsonl", 0);
  ASSERT_EQ(audit.examples.size(), 3U);
  EXPECT_EQ(audit.examples[0].reason, "the same text as at one.json:1:2");
  EXPECT_EQ(audit.examples[1].reason, "the same text as at two.jsonl:1");
  EXPECT_EQ(audit.examples[2].reason, "the same text as in line 1");
}

std::string sentence(uint64_t key, size_t words) {
  RandomStream random(key);
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    for (uint64_t length = 2 + random.below(8); length > 0; --length)
      text += static_cast<char>('a' + random.below(26));
    text += ' ';
  }
  return text;
}

TEST_F(CleanerTest, DropsNearDuplicatesWhenAsked) {
  CleanOptions options;
  options.near_duplicates = "drop";
  std::vector<std::string> texts;
  for (uint64_t i = 0; i < 200; ++i) {
    texts.push_back(sentence(i, 60));
    texts.push_back(texts.back() + "ok");  // one shingle or two of some 380 differ
  }
  texts.push_back(texts[0]);
  EXPECT_EQ(kept(options, texts).size(), 201U) << "an exact duplicate is another matter";
  EXPECT_THAT(audit_.reasons, ElementsAre(Pair("near duplicate", 200)));
  EXPECT_EQ(audit_.examples[1].reason, "nearly the same text as in line 3");
  options.duplicates = "drop";
  EXPECT_EQ(kept(options, texts).size(), 200U);
}

TEST_F(CleanerTest, KeepsTheFirstHundredExamples) {
  EXPECT_TRUE(kept({}, std::vector<std::string>(250)).empty());
  EXPECT_EQ(audit_.dropped, 250);
  EXPECT_EQ(audit_.examples.size(), 100U);
}

TEST(SplitAudit, BecomesJson) {
  SplitAudit audit;
  audit.rows = 3;
  audit.used = 2;
  audit.dropped = 1;
  audit.reasons["empty text"] = 1;
  audit.examples.push_back({{"f", 2, 0}, "why"});
  audit.labels["x"] = 2;
  audit.lengths = {0, 2};
  audit.repaired = 1;
  audit.repairs.push_back({{"f", 3, 0}, "how"});
  audit.text_tokens = 8;
  audit.unknown_tokens = 2;
  audit.conflicts = {1, 2, {{{"f", 1, 0}, {"f", 3, 0}}}};
  EXPECT_EQ(
      audit.json().dump(),
      R"({"rows":3,"used":2,"dropped":1,"repaired":1,"truncated":0,"reasons":{"empty text":1},)"
      R"("examples":[{"file":"f","line":2,"column":0,"reason":"why"}],)"
      R"("repairs":[{"file":"f","line":3,"column":0,"reason":"how"}],"labels":{"x":2},"lengths":[0,2],)"
      R"("text_tokens":8,"unknown_tokens":2,)"
      R"("conflicts":{"texts":1,"rows":2,"examples":[["f:1","f:3"]]}})");
  EXPECT_EQ(audit.unknown_share(), 0.25);
  EXPECT_EQ(SplitAudit{}.unknown_share(), 0);
}

TEST(CleanOptions, ComeFromAConfiguration) {
  Config section = Config::parse("duplicates: drop\nnear_threshold: 0.8\n", "c");
  const CleanOptions options = CleanOptions::read(section);
  section.refuse_unknown();
  EXPECT_EQ(options.duplicates, "drop");
  EXPECT_EQ(options.near_threshold, 0.8);
  EXPECT_EQ(options.empty_texts, "drop");
  Config bad = Config::parse("near_threshold: 0.2\n", "c");
  EXPECT_THAT(error_of([&] { CleanOptions::read(bad); }),
              HasSubstr("c:1:17: \"near_threshold\" is 0.2"));
}

TEST(Fingerprint, SeesThroughCaseWidthAndSpace) {
  EXPECT_EQ(text_fingerprint(" Stra\u00DFe  1\n"), text_fingerprint("STRASSE\u30001"));
  EXPECT_EQ(text_fingerprint("e\u0301"), text_fingerprint("\u00C9"));
  EXPECT_NE(text_fingerprint("a b"), text_fingerprint("ab"));
  EXPECT_NE(text_fingerprint("abcdefgh"), text_fingerprint("abcdefgi"));
  EXPECT_NE(text_fingerprint(""), text_fingerprint("\u4E2D"));
}

TEST(Fingerprint,
     IsTheSameInAllVersions) {  // splits made by an earlier version must come out the same
  EXPECT_EQ(text_fingerprint("the quick brown fox"), 16407736087893978365ULL);
  EXPECT_EQ(text_fingerprint("敏捷的棕狐"), 2117409887985383879ULL);
}

// Jaccard similarity of the shingles of four characters, by the definition.
double true_similarity(const std::string& a, const std::string& b) {
  const auto shingles = [](const std::string& text) {
    std::set<std::string> out;
    for (size_t i = 0; i + 4 <= text.size(); ++i) out.insert(text.substr(i, 4));
    return out;
  };
  const std::set<std::string> x = shingles(a), y = shingles(b);
  size_t both = 0;
  for (const std::string& shingle : x) both += y.count(shingle);
  return static_cast<double>(both) / static_cast<double>(x.size() + y.size() - both);
}

TEST(Sketch, EstimatesTheSimilarityOfTexts) {
  for (const size_t words : {8, 40, 400}) {
    double error = 0, squares = 0;
    constexpr int kPairs = 200;
    for (uint64_t i = 0; i < kPairs; ++i) {
      const std::string common = sentence(i, words);
      const std::string a = common + sentence(1000 + i, 1 + i % words),
                        b = common + sentence(2000 + i, 1 + i % 7);
      const double off = similarity(sketch_of(a), sketch_of(b)) - true_similarity(a, b);
      error += off;
      squares += off * off;
    }
    EXPECT_NEAR(error / kPairs, 0, 0.02) << words;
    EXPECT_LT(std::sqrt(squares / kPairs), words == 8 ? 0.08 : 0.06) << words;
  }
  EXPECT_EQ(similarity(sketch_of("same"), sketch_of("same")), 1.0);
  EXPECT_LT(similarity(sketch_of(sentence(1, 50)), sketch_of(sentence(2, 50))), 0.1);
  EXPECT_EQ(similarity(sketch_of(""), sketch_of("")), 1.0);
}

TEST(LeakageFinder, FindsExactAndNearTextsBetweenSplits) {
  LeakageFinder finder;
  const auto add = [&](const std::string& split, const std::string& text, int64_t line) {
    Record record = record_of(text, line);
    record.file = std::make_shared<const std::string>(split + ".csv");
    finder.add(split, record, {"text"}, 0);
  };
  for (int64_t i = 0; i < 300; ++i) add("test", sentence(static_cast<uint64_t>(i), 40), i + 1);
  add("test", sentence(5, 40), 301);  // twice in test
  for (int64_t i = 0; i < 300; ++i)
    add("train", sentence(static_cast<uint64_t>(1000 + i), 40), i + 1);
  add("train", "  " + sentence(5, 40), 301);
  add("train", sentence(7, 40) + "!", 302);
  add("validation", "something else", 1);
  const std::vector<Leak> leaks = finder.find();
  ASSERT_EQ(leaks.size(), 1U);
  EXPECT_EQ(leaks[0].split, "test");
  EXPECT_EQ(leaks[0].other, "train");
  EXPECT_EQ(leaks[0].exact, 2);
  EXPECT_EQ(leaks[0].near, 1);
  std::vector<std::pair<std::string, std::string>> places;
  for (const LeakExample& e : leaks[0].examples) places.emplace_back(e.here.str(), e.there.str());
  EXPECT_THAT(places, ElementsAre(Pair("test.csv:6", "train.csv:301"),
                                  Pair("test.csv:301", "train.csv:301"),
                                  Pair("test.csv:8", "train.csv:302")));
}

TEST(LeakageFinder, CountsTextsThatHaveOtherLabelsThere) {
  LeakageFinder finder;
  const auto add = [&](const std::string& split, const std::string& text, uint64_t labels) {
    finder.add(split, record_of(text, 1), {"text"}, labels);
  };
  for (const char* text : {"one and two", "three and four", "five and six"}) add("train", text, 1);
  add("test", "one and two", 1);
  add("test", "three and four", 2);
  add("test", "seven and eight", 2);
  const std::vector<Leak> leaks = finder.find();
  ASSERT_EQ(leaks.size(), 1U);
  EXPECT_EQ(leaks[0].exact, 2);
  EXPECT_EQ(leaks[0].relabelled, 1);
}

TEST(LeakageFinder, FindsTheKnownLeakOfAPublishedSet) {
  const std::string folder = shared_path("data/classification/chnsenticorp/");
  HONE_NEEDS_SHARED(folder);
  LeakageFinder finder;
  for (const std::string split : {"train", "test"}) {
    SourceOptions options;
    options.path = folder + split + ".tsv";
    const auto reader = open_reader(options);
    while (const std::optional<Record> record = reader->next())
      finder.add(split, *record, {"text_a"}, 0);
  }
  const std::vector<Leak> leaks = finder.find();
  ASSERT_EQ(leaks.size(), 1U);
  EXPECT_GE(leaks[0].exact, 331)
      << "331 test texts stand byte for byte in train; some more differ in case or space";
  EXPECT_LE(leaks[0].exact, 340);
  EXPECT_LT(leaks[0].near, 60);
}

}  // namespace
}  // namespace hone
