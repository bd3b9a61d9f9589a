// Values by hand; tests/parity/test_text_metrics.py compares with sacrebleu and rouge-score.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/config.h"
#include "base/utf8.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/common_stretch.h"
#include "tasks/metrics/text/bleu_words.h"
#include "tasks/metrics/text/differences.h"
#include "tasks/metrics/text/lcs.h"
#include "tasks/metrics/text/lead.h"
#include "tasks/metrics/text/ngrams.h"
#include "tasks/metrics/text/oracle.h"
#include "tasks/metrics/text/porter.h"
#include "tasks/metrics/text/rouge.h"
#include "tasks/metrics/text/text_scorer.h"

namespace hone::metrics {
namespace {

const std::vector<std::string> kAll = {"bleu",        "chrf",     "chrf++", "rouge",
                                       "exact_match", "token_f1", "length", "distinct"};

Report report_of(const std::vector<TextPair>& pairs, TextOptions options) {
  TextScorer scorer(options);
  for (const TextPair& pair : pairs) scorer.add(pair);
  Report report;
  report.task = "texts";
  report.metric = scorer.main();
  scorer.add_to(report);
  return report;
}

Report report_of(const std::string& predicted, std::vector<std::string> references,
                 TextOptions options = {.metrics = kAll}) {
  return report_of({{.predicted = predicted, .references = std::move(references)}}, options);
}

const GeneratedTexts& texts_in(const Report& report) {
  for (const Section& section : report.sections) {
    if (const auto* texts = std::get_if<GeneratedTexts>(&section.content)) return *texts;
  }
  throw std::runtime_error("the report shows no texts");
}

std::string signature_of(const Report& report, const std::string& metric) {
  for (const Section& section : report.sections) {
    if (section.key != "text_scoring") continue;
    for (const std::vector<Json>& row : std::get<PlainTable>(section.content).rows) {
      if (row[0] == metric) return row[1];
    }
  }
  return "";
}

std::string words_apart(const std::string& text, BleuTokenizer tokenizer) {
  std::string joined;
  const std::u32string apart = with_blanks(from_utf8(text), tokenizer);
  std::u32string_view rest = apart;
  for (size_t begin = 0, end = 0; begin < rest.size(); begin = end + 1) {
    end = std::min(rest.find(U' ', begin), rest.size());
    if (end > begin)
      joined += (joined.empty() ? "" : "|") + to_utf8(rest.substr(begin, end - begin));
  }
  return joined;
}

// ---- words

TEST(BleuWords, OfMtevalSplitMarksButNotInsideNumbers) {
  EXPECT_EQ(words_apart("It's 3,500.5 (or so), isn't it?", BleuTokenizer::k13a),
            "It's|3,500.5|(|or|so|)|,|isn't|it|?");
  EXPECT_EQ(words_apart("in 1990-", BleuTokenizer::k13a), "in|1990|-");
  EXPECT_EQ(words_apart("&quot;a&amp;lt;b&quot;", BleuTokenizer::k13a), "\"|a|<|b|\"");
  EXPECT_EQ(words_apart("hyphen-\nated <skipped>end.", BleuTokenizer::k13a), "hyphenated|end|.");
}

TEST(BleuWords, OfZhTakeEachCharacterAndFullWidthMark) {
  EXPECT_EQ(words_apart("我有 3.5 个GPU，很好！", BleuTokenizer::kZh),
            "我|有|3.5|个|GPU|，|很|好|！");
  EXPECT_EQ(words_apart("“引号”——", BleuTokenizer::kZh), "“|引|号|”|—|—");
}

TEST(BleuWords, OfIntlSplitMarksOfAnyScript) {
  EXPECT_EQ(words_apart("«Да», 1.5 €!", BleuTokenizer::kIntl), "«|Да|»|,|1.5|€|!");
}

TEST(BleuWords, OfCharAndNoneAreCharactersAndWhatBlanksLeave) {
  EXPECT_EQ(words_apart("a b😀", BleuTokenizer::kChar), "a|b|😀");
  EXPECT_EQ(words_apart("a, b.  ", BleuTokenizer::kNone), "a,|b.");
}

TEST(RougeWords, AreAsciiRunsOrRunsOfAnyLetters) {
  const std::u32string text = from_utf8("für 3 gpus, 很好");
  EXPECT_EQ(rouge_words(text, RougeWords::kAscii),
            (std::vector<std::u32string>{U"f", U"r", U"3", U"gpus"}));
  EXPECT_EQ(rouge_words(text, RougeWords::kUnicode),
            (std::vector<std::u32string>{U"für", U"3", U"gpus", U"很", U"好"}));
}

// Each line is an example of the paper, or one of NLTK's exceptions.
TEST(Porter, CutsAsThePaperAndNltkSay) {
  const std::vector<std::pair<const char*, const char*>> examples = {{"caresses", "caress"},
                                                                     {"ponies", "poni"},
                                                                     {"agreed", "agre"},
                                                                     {"plastered", "plaster"},
                                                                     {"motoring", "motor"},
                                                                     {"conflated", "conflat"},
                                                                     {"hopping", "hop"},
                                                                     {"falling", "fall"},
                                                                     {"filing", "file"},
                                                                     {"happy", "happi"},
                                                                     {"relational", "relat"},
                                                                     {"conditional", "condit"},
                                                                     {"vietnamization", "vietnam"},
                                                                     {"hopefulness", "hope"},
                                                                     {"formaliti", "formal"},
                                                                     {"triplicate", "triplic"},
                                                                     {"electrical", "electr"},
                                                                     {"revival", "reviv"},
                                                                     {"replacement", "replac"},
                                                                     {"adoption", "adopt"},
                                                                     {"controll", "control"},
                                                                     {"cease", "ceas"},
                                                                     {"rate", "rate"},
                                                                     {"dies", "die"},
                                                                     {"died", "die"},
                                                                     {"spied", "spi"},
                                                                     {"enjoy", "enjoy"},
                                                                     {"skies", "sky"},
                                                                     {"dying", "die"},
                                                                     {"news", "news"},
                                                                     {"inning", "inning"},
                                                                     {"succeed", "succeed"},
                                                                     {"geology", "geolog"},
                                                                     {"radically", "radic"},
                                                                     {"hopefully", "hope"},
                                                                     {"yyyy", "yyyi"}};
  for (const auto& [word, stem] : examples) EXPECT_EQ(porter_stem(word), stem) << word;
}

// ---- counting

TEST(Ngrams, AreSharedAsOftenAsBothHaveThem) {
  const Ngrams text({1, 1, 1, 2}, 3), reference({1, 1, 2, 1}, 3);
  EXPECT_EQ(shared_ngrams(text, reference, 1), 4);  // 1 three times, 2 once
  EXPECT_EQ(shared_ngrams(text, reference, 2), 2);  // 11 once, 12 once
  EXPECT_EQ(shared_ngrams(text, reference, 3), 1);  // 112
  EXPECT_EQ(text.count(3), 2);
  EXPECT_EQ(Ngrams({}, 3).count(1), 0);
}

TEST(Ngrams, TakeTheReferenceThatHasOneMostOften) {
  const Ngrams text({7, 7, 7, 8}, 1), once({7, 8, 8}, 1), twice({7, 7}, 1);
  const Ngrams* const both[] = {&once, &twice};
  EXPECT_EQ(shared_ngrams(text, both, 1), 3);  // 7 twice, 8 once
}

TEST(CommonSubsequence, IsThatOfThePlainTableAcrossWordsOf64) {
  std::vector<int32_t> a, b;
  for (int32_t i = 0; i < 150; ++i) a.push_back(i * i % 7);
  for (int32_t i = 0; i < 133; ++i) b.push_back(i * 5 % 11);
  std::vector<std::vector<int64_t>> table(a.size() + 1, std::vector<int64_t>(b.size() + 1));
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j)
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                         : std::max(table[i - 1][j], table[i][j - 1]);
  }
  CommonSubsequence subsequence(a);
  EXPECT_EQ(subsequence.length(b), table[a.size()][b.size()]);
  const auto places = subsequence.places(b);
  EXPECT_EQ(static_cast<int64_t>(places.size()), subsequence.length(b));
  for (size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(a[static_cast<size_t>(places[i].first)], b[static_cast<size_t>(places[i].second)]);
    if (i == 0) continue;
    EXPECT_LT(places[i - 1].first, places[i].first);
    EXPECT_LT(places[i - 1].second, places[i].second);
  }
}

TEST(CommonSubsequence, OfNothingIsEmpty) {
  EXPECT_TRUE(CommonSubsequence(std::vector<int32_t>{}).places(std::vector<int32_t>{1, 2}).empty());
  EXPECT_TRUE(CommonSubsequence(std::vector<int32_t>{1, 2}).places({}).empty());
}

TEST(CommonStretch, IsTheLongestRunOfBoth) {
  const std::vector<int32_t> a = {1, 2, 3, 1, 2, 4, 1, 2, 3, 4}, b = {2, 4, 1, 2, 5, 1, 2, 3, 1};
  EXPECT_EQ(longest_common_stretch(a, b), 4);  // 2 4 1 2 and 1 2 3 1
  EXPECT_EQ(longest_common_stretch(b, a), 4);
  EXPECT_EQ(longest_common_stretch(a, a), 10);
  EXPECT_EQ(longest_common_stretch(a, {}), 0);
  EXPECT_EQ(longest_common_stretch(a, std::vector<int32_t>{9}), 0);
  const std::vector<int32_t> same(100'000, 7), longer(300'000, 7);
  EXPECT_EQ(longest_common_stretch(same, longer), 100'000);
}

// ---- scores

TEST(Bleu, MultipliesPrecisionsAndPunishesShortTexts) {
  // Words 4/5, pairs 2/4, threes 1/3, fours 0/2: smoothed 1/2 of one; as long as the reference.
  const Report report = report_of("the cat sat on mat", {"the cat sat at mat"});
  EXPECT_NEAR(report.value("bleu"), 100 * std::pow(4.0 / 5 * 2 / 4 * 1 / 3 * 1 / 4, 0.25), 1e-9);
  // All is right, but the text has 4 words and the reference 6.
  EXPECT_NEAR(report_of("a b c d", {"a b c d e f"}).value("bleu"), 100 * std::exp(1 - 6.0 / 4),
              1e-9);
}

TEST(Bleu, SmoothsAsItIsTold) {
  const auto bleu = [](BleuSmoothing smoothing, double value) {
    return report_of("the cat sat on mat", {"the cat sat at mat"},
                     {.metrics = {"bleu"}, .bleu_smooth = smoothing, .bleu_smooth_value = value})
        .value("bleu");
  };
  EXPECT_EQ(bleu(BleuSmoothing::kNone, 0), 0);
  EXPECT_NEAR(bleu(BleuSmoothing::kFloor, 0),
              100 * std::pow(4.0 / 5 * 2 / 4 * 1 / 3 * 0.1 / 2, 0.25), 1e-9);
  EXPECT_NEAR(bleu(BleuSmoothing::kAddK, 2), 100 * std::pow(4.0 / 5 * 4 / 6 * 3 / 5 * 2 / 4, 0.25),
              1e-9);
}

TEST(Bleu, OfARowStopsAtTheOrdersThatItHas) {
  // Two words, one of them right: 1/2 and a smoothed 1/2 of one pair; as a set there are no threes.
  const Report report = report_of("red apple", {"red pear"}, {.metrics = {"bleu"}});
  EXPECT_EQ(report.value("bleu"), 0);
  EXPECT_NEAR(texts_in(report).items[0].score, 100 * std::sqrt(1.0 / 2 * 1 / 2), 1e-9);
}

TEST(Bleu, TakesTheNearestLengthAndTheShorterOfTwo) {
  // 4 words; references of 2, 6 and 4: nearest 4. Of 3 and 5, the shorter: no penalty.
  EXPECT_NEAR(report_of("a b c d", {"x y", "a b c d e f", "a b c d"}).value("bleu"), 100, 1e-9);
  EXPECT_NEAR(report_of("a b c d", {"x y z", "a b c d e"}).value("bleu"), 100, 1e-9);
}

TEST(Bleu, TellsItsSignature) {
  const std::vector<TextPair> pairs = {{.predicted = "a", .references = {"a", "b"}},
                                       {.predicted = "a", .references = {"c"}}};
  EXPECT_EQ(signature_of(report_of(pairs, {.metrics = {"bleu"},
                                           .metric_lowercase = true,
                                           .bleu_smooth = BleuSmoothing::kFloor}),
                         "bleu"),
            "nrefs:var|case:lc|eff:no|tok:13a|smooth:floor[0.10]");
  EXPECT_EQ(signature_of(report_of("好", {"好"}), "bleu"),
            "nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp");
}

TEST(Chrf, WeighsRecallFourTimes) {
  // Characters ab of abc: orders 1 and 2 are exact, the third only the reference has.
  // precision (1 + 1) / 2, recall (2/3 + 1/2) / 2.
  const double recall = (2.0 / 3 + 1.0 / 2) / 2;
  const Report report = report_of("a b", {"abc"});
  EXPECT_NEAR(report.value("chrf"), 100 * 5 * recall / (4 + recall), 1e-9);
}

TEST(Chrf, PlusPlusCountsWordsAndPairsWithMarksApart) {
  // Characters: "ab," of "ab." 2/3 in common, pairs 1/2, threes 0/1. Words: ab and a mark, 1/2,
  // pairs 0/1. Both texts are as long: precision is recall.
  EXPECT_NEAR(report_of("ab,", {"ab."}).value("chrf++"),
              100 * (2.0 / 3 + 1.0 / 2 + 0 + 1.0 / 2 + 0) / 5, 1e-9);
}

TEST(Rouge, CountsWordsPairsAndSubsequences) {
  // the cat the mat | the mat the cat: words 4 of 4; pairs "the cat", "the mat" are in both, "cat
  // the" is not; a subsequence of 2.
  const Report report = report_of("the cat, the mat", {"The mat: the cat."});
  EXPECT_DOUBLE_EQ(report.value("rouge1"), 1);
  EXPECT_DOUBLE_EQ(report.value("rouge2"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(report.value("rougeL"), 2.0 / 4);
  EXPECT_DOUBLE_EQ(report.value("rougeLsum"), 2.0 / 4);
}

TEST(Rouge, LsumTakesLinesInAnyOrder) {
  const Report report = report_of("the mat\nthe cat", {"the cat\nthe mat"});
  EXPECT_DOUBLE_EQ(report.value("rougeL"), 2.0 / 4);
  EXPECT_DOUBLE_EQ(report.value("rougeLsum"), 1);
}

TEST(Rouge, TakesTheBestReferenceForEachScore) {
  const Report report = report_of("a b c d", {"d c b a", "a b x y"});
  EXPECT_DOUBLE_EQ(report.value("rouge1"), 1);
  EXPECT_DOUBLE_EQ(report.value("rouge2"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(report.value("rougeL"), 2.0 / 4);
}

TEST(Rouge, OfStemsMatchesFormsOfAWordLongerThanThree) {
  const TextOptions stemmed = {.metrics = {"rouge"}, .rouge_stemmer = true};
  EXPECT_DOUBLE_EQ(report_of("bus", {"bu"}, stemmed).value("rouge1"), 0);
  EXPECT_DOUBLE_EQ(report_of("connected horses", {"connecting horse"}, stemmed).value("rouge1"), 1);
}

TEST(Rouge, SaysWhereItPassesOverLetters) {
  const Report russian = report_of("Привет мир", {"Привет, мир"});
  EXPECT_EQ(russian.value("rouge1"), 0);
  ASSERT_EQ(russian.found.size(), 1U);
  EXPECT_NE(russian.found[0].text.find("100 % of the references' letters"), std::string::npos);
  const Report all = report_of("Привет мир", {"Привет, мир"},
                               {.metrics = {"rouge"}, .rouge_words = RougeWords::kUnicode});
  EXPECT_EQ(all.value("rouge1"), 1);
  EXPECT_TRUE(all.found.empty());
}

TEST(Distinct, CountsOverTheWholeSet) {
  // a b | a b c: words a b c of 5; pairs ab, bc of 3.
  const Report report = report_of(
      {{.predicted = "a b", .references = {"x"}}, {.predicted = "a b c", .references = {"x"}}},
      {.metrics = {"bleu", "distinct"}});
  EXPECT_DOUBLE_EQ(report.value("distinct_1"), 3.0 / 5);
  EXPECT_DOUBLE_EQ(report.value("distinct_2"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(report.value("distinct_3"), 1);
  EXPECT_FALSE(report.named("distinct_1").interval);
  EXPECT_TRUE(report.named("bleu").interval);
}

TEST(Answers, GoByTheRulesOfTheScript) {
  const Report english = report_of("The 42!", {"seven", "42"});
  EXPECT_EQ(english.value("exact_match"), 1);
  EXPECT_EQ(english.value("token_f1"), 1);
  // By characters: 3 in a row of 4 and 4.
  EXPECT_DOUBLE_EQ(report_of("北京市区", {"北京市民"}).value("token_f1"), 3.0 / 4);
}

TEST(Script, IsThatOfTheReferences) {
  EXPECT_NE(signature_of(report_of("hello", {"模型很好 GPU"}), "bleu").find("tok:zh"),
            std::string::npos);
  EXPECT_NE(
      signature_of(report_of("很好", {"a long English sentence with 好"}), "bleu").find("13a"),
      std::string::npos);
  EXPECT_DOUBLE_EQ(report_of("模型好", {"模型很好"}).value("rouge1"), 2 * 3.0 / 7);
}

TEST(Texts, OfAnyKindGiveScoresWithinBounds) {
  std::string combining = "e";
  for (int i = 0; i < 300; ++i) combining += "\u0301";
  const std::vector<std::string> odd = {"",
                                        " \n\t ",
                                        "!!! ... ???",
                                        "word",
                                        "👩‍👩‍👧‍👦 🇩🇪",
                                        combining,
                                        "中文 mixed 文字",
                                        "ＦＵＬＬ　ｗｉｄｔｈ，１２",
                                        "שלום עולם",
                                        "\u202Eabc",
                                        std::string(3, '\0'),
                                        "\u212A"};
  for (const std::string& predicted : odd) {
    for (const std::string& reference : odd) {
      const Report report = report_of(predicted, {reference});
      for (const Metric& metric : report.metrics) {
        const bool is_ratio = metric.name == "length_ratio" || metric.name.starts_with("distinct");
        if (is_ratio) continue;  // NaN of no words; a ratio has no bound
        EXPECT_GE(metric.value, 0) << metric.name << ": " << predicted << " | " << reference;
        EXPECT_LE(metric.value, 100 + 1e-9) << metric.name;
      }
      EXPECT_EQ(report.value("chrf") > 100 - 1e-9,
                predicted == reference && report.value("chrf") > 0)
          << predicted << " | " << reference;
    }
  }
}

TEST(Texts, OfMegabytesTakeMemoryAndTimeAsTheyAreLong) {
  std::string text, other;
  for (int i = 0; i < 60000; ++i) {
    text += "word" + std::to_string(i % 5000) + (i % 20 == 0 ? ".\n" : " ");
    other += "word" + std::to_string(i % 4999) + " ";
  }
  const Report report =
      report_of(text, {other}, {.metrics = {"rouge", "bleu", "chrf", "distinct"}});
  EXPECT_GT(report.value("rougeL"), 0);
  EXPECT_LT(count_code_points(whole(texts_in(report).items[0].predicted)), 2100U);
  EXPECT_EQ(texts_in(report).items[0].predicted_length,
            static_cast<int64_t>(count_code_points(text)));
}

// ---- what the report shows

TEST(Report, ShowsTheWorstFirstAndNoneThatIsRight) {
  const Report report = report_of({{.predicted = "a b c", .references = {"a b c"}},
                                   {.predicted = "a b x", .references = {"a b c"}},
                                   {.predicted = "x y z", .references = {"q", "a y c"}},
                                   {.predicted = "x", .references = {"a b c"}}},
                                  {.metrics = {"rouge"}});
  const GeneratedTexts& texts = texts_in(report);
  ASSERT_EQ(texts.items.size(), 3U);
  EXPECT_EQ(texts.measure, "rougeL");
  EXPECT_EQ(whole(texts.items[0].predicted), "x");
  EXPECT_EQ(whole(texts.items[1].reference), "a y c");  // the nearest
  EXPECT_EQ(texts.items[1].references, 2);
  EXPECT_EQ(whole(texts.items[2].predicted), "a b x");
}

TEST(Report, HasIntervalsThatHoldTheValue) {
  const TextPair third = {.predicted = "a b c", .references = {"a x y"}},
                 half = {.predicted = "a b", .references = {"a x"}};
  const Metric one = report_of({third}, {.metrics = {"rouge"}}).named("rouge1");
  EXPECT_EQ(one.interval->low, one.value);
  EXPECT_EQ(one.interval->high, one.value);
  const Metric two = report_of({third, half}, {.metrics = {"rouge"}}).named("rouge1");
  EXPECT_DOUBLE_EQ(two.interval->low, 1.0 / 3);
  EXPECT_DOUBLE_EQ(two.interval->high, 1.0 / 2);
}

TEST(Report, HasTheFirstSentencesAsABaseline) {
  const Report report = report_of(
      {{.predicted = "x", .references = {"A dog ran."}, .source = "A dog ran. It was brown."}},
      {.metrics = {"rouge"}, .lead_sentences = 1});
  EXPECT_DOUBLE_EQ(*report.named("rouge1").baseline, 1);
  EXPECT_EQ(report.baseline, "of texts: the first sentence of the source");
}

// "It was brown." shares nothing, and adding it would cost.
TEST(Report, HasWhatCopyingTheBestSentencesWouldReach) {
  const Report report = report_of({{.predicted = "x",
                                    .references = {"A cat sat. A dog ran."},
                                    .source = "A dog ran. It was brown. A cat sat."}},
                                  {.metrics = {"rouge"}, .oracle_sentences = 3});
  const auto section = std::find_if(report.sections.begin(), report.sections.end(),
                                    [](const Section& one) { return one.key == "extraction"; });
  ASSERT_NE(section, report.sections.end());
  const auto& table = std::get<PlainTable>(section->content);
  EXPECT_EQ(table.rows.front().front(), Json("rouge1"));
  EXPECT_EQ(table.rows.front().back(), Json(1.0));
  EXPECT_FALSE(report.named("rouge1").baseline);
}

TEST(Oracle, TakesWhatAddsAndStopsWhereNothingDoes) {
  const std::vector<std::vector<int32_t>> sentences = {{1, 2, 3}, {7, 8}, {4, 5}, {1, 2, 3}};
  EXPECT_THAT(oracle(sentences, {{4, 5, 1, 2, 3}}, 4), testing::ElementsAre(0, 2));
  EXPECT_THAT(oracle(sentences, {{4, 5, 1, 2, 3}}, 1), testing::ElementsAre(0));
  EXPECT_THAT(oracle(sentences, {{9}, {7, 8}}, 2), testing::ElementsAre(1));  // the best of several
  EXPECT_THAT(oracle(sentences, {{11, 12}}, 2), testing::IsEmpty());
}

TEST(Lead, EndsAtSentencesAndLines) {
  EXPECT_EQ(lead("One. Two! Three", 2), "One. Two! ");
  EXPECT_EQ(lead("\n\n#P1#: hi\n#P2#: ho\n", 1), "\n\n#P1#: hi\n");
  EXPECT_EQ(lead("第一句。第二句。", 1), "第一句。");
  EXPECT_EQ(lead("", 3), "");
}

std::string marked(const std::vector<TextPart>& parts) {
  std::string out;
  for (const TextPart& part : parts) out += part.is_shared ? part.text : "[" + part.text + "]";
  return out;
}

TEST(Differences, GoByWordsMarksAndCharactersOfChinese) {
  const Differences words = differences("The cats sat, here.", "The cat sat here.");
  EXPECT_EQ(marked(words.a), "The [cats] sat[,] here.");
  EXPECT_EQ(marked(words.b), "The [cat] sat here.");
  EXPECT_EQ(marked(differences("我爱北京", "我在北京").a), "我[爱]北京");
  EXPECT_EQ(marked(differences("a b c", "").a), "[a b c]");
}

TEST(Differences, NeverCutACharacterFromItsMarks) {
  EXPECT_EQ(marked(differences("ok 👩‍👩‍👧 e\u0301", "ok 👩‍👩‍👦 e").a),
            "ok [👩‍👩‍👧 e\u0301]");
}

TEST(PairedDifference, SaysHowOftenChanceMakesOneAsLarge) {
  const Metric a{"f1", 0.6, true, Interval{0, 1, {0.5, 0.6, 0.7, 0.6}}},
      b{"f1", 0.5, true, Interval{0, 1, {0.4, 0.5, 0.6, 0.5}}};
  const auto better = paired_difference(a, b);
  ASSERT_TRUE(better);
  EXPECT_NEAR(better->value, 0.1, 1e-12);
  EXPECT_NEAR(better->interval.low, 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(better->p, 1.0 / 5);  // no draw is that far from the mean of all
  EXPECT_DOUBLE_EQ(paired_difference(a, a)->p, 1);
  EXPECT_FALSE(paired_difference(a, Metric{"f1", 0.5}));
}

// ---- options

std::string complaint(const std::string& yaml) {
  Config section = Config::parse(yaml, "task.yaml");
  TextOptions options;
  try {
    for_each_text_option(options, OptionReader(section));
    options.check(section);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TextOptions, NameTheNearestMetricAndRefuseWhatChangesNothing) {
  EXPECT_EQ(complaint("metrics: [rouge, bleu]"), "");
  EXPECT_NE(complaint("metrics: [rouge, blue]").find("did you mean \"bleu\""), std::string::npos);
  EXPECT_NE(complaint("metrics: [bleu, bleu]").find("twice"), std::string::npos);
  EXPECT_NE(complaint("metrics: [length]").find("cannot stand first"), std::string::npos);
  EXPECT_NE(complaint("metrics: [bleu]\nbleu_smooth_value: 0.5").find("task.yaml:2"),
            std::string::npos);
  EXPECT_NE(complaint("metrics: [bleu]\nlead_sentences: -1").find("-1"), std::string::npos);
}

}  // namespace
}  // namespace hone::metrics
