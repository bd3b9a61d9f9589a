// A trained tiny model whose label hangs on the first word, attacked.
#include "run/attack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;

// Offers words of the tiny vocabulary for each word.
class OtherTinyWords : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word, RandomStream&) const override {
    std::vector<std::string> all;
    for (const char* other : {"word0", "word1", "word2"}) {
      if (bytes_of(text, word) != other) all.emplace_back(other);
    }
    return all;
  }
};

class Attacked : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new RunInFolder();
    result_ = new RunResult(fine_tune(folder_->config("", {"train.num_train_epochs=30"})));
  }
  static void TearDownTestSuite() {
    delete result_;
    delete folder_;
  }

  static const Pipeline& model() { return *result_->pipeline; }
  static std::vector<NamedPerturbation> tiny_words() {
    std::vector<NamedPerturbation> all;
    all.push_back({"tiny", std::make_unique<OtherTinyWords>()});
    return all;
  }
  static Tested attack(const AttackOptions& options) {
    Reading reading;
    reading.source.path = *folder_ / "train.jsonl";
    const auto words = tiny_words();
    return attack_on(model(), reading, words, options, "");
  }

  static RunInFolder* folder_;
  static RunResult* result_;
};
RunInFolder* Attacked::folder_ = nullptr;
RunResult* Attacked::result_ = nullptr;

TEST_F(Attacked, RowsAreJudgedAsTheyAreEvaluated) {
  const std::vector<Record> records = testing_support::tiny_texts(30, "x", 11);
  const Evaluation together = model().evaluate(records);
  const std::vector<Judged> judged = model().judge(records, 64);
  double sum = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(judged[i].result, together.results[i]);
    sum += judged[i].loss;
  }
  EXPECT_NEAR(sum / 30, together.loss, 1e-5);
}

TEST_F(Attacked, TheFirstWordIsTheMostImportant) {
  const auto words = tiny_words();
  AttackOptions options;
  options.most_words = 1e-3;  // one word of each row
  const Attacker attacker(model(), words, options);
  int64_t right = 0, first = 0;
  const std::vector<Record> records = testing_support::tiny_texts(42, "train", 1);
  for (size_t i = 0; i < records.size(); ++i) {
    const AttackedRow row = attacker.attack(records[i], static_cast<int64_t>(i));
    EXPECT_LE(row.changes.size(), 1U);
    if (!row.is_broken) continue;
    ++right;
    const std::string text = records[i].fields["text"];
    first += text.starts_with(row.changes[0].from + " ");
  }
  EXPECT_GT(right, 10);
  EXPECT_GT(first, right / 2);
}

TEST_F(Attacked, ImportanceNeedsFewerWordsThanChance) {
  AttackOptions options;
  options.most_words = 1;
  const auto changed = [](const Tested& tested) { return tested.report.value("words_changed"); };
  const double by_importance = changed(attack(options));
  options.by_importance = false;
  EXPECT_LT(by_importance, changed(attack(options)));
}

TEST_F(Attacked, AccuracyUnderAttackIsWhatIsLeft) {
  const Tested tested = attack({});
  const Report& report = tested.report;
  EXPECT_EQ(report.n, 42);
  EXPECT_EQ(report.metric, "accuracy_under_attack");
  EXPECT_LT(report.score, report.value("accuracy"));
  EXPECT_NEAR(report.score, report.value("accuracy") * (1 - report.value("attack_success")), 1e-9);
}

TEST_F(Attacked, TheSameSeedMakesTheSameAttack) {
  AttackOptions options;
  options.rows = 20;
  EXPECT_EQ(attack(options).report.json(), attack(options).report.json());
  options.by_importance = false;
  const Json once = attack(options).report.json();
  options.seed = 43;
  EXPECT_NE(attack(options).report.json(), once);
}

TEST_F(Attacked, RowsThatAreWrongAlreadyAreNotAttacked) {
  const auto words = tiny_words();
  const Attacker attacker(model(), words, {});
  Record record = testing_support::tiny_texts(1, "x", 1).front();
  const AttackedRow as_it_is = attacker.attack(record, 0);
  ASSERT_TRUE(as_it_is.is_right);
  record.fields["label"] = record.fields["label"] == "a" ? "b" : "a";
  const AttackedRow wrong = attacker.attack(record, 0);
  EXPECT_FALSE(wrong.is_right);
  EXPECT_FALSE(wrong.is_broken);
  EXPECT_EQ(wrong.queries, 0);
  EXPECT_EQ(wrong.text, wrong.attacked);
}

TEST_F(Attacked, OneWordIsReplacedAndNeverLeftOut) {
  const auto words = tiny_words();
  const Attacker attacker(model(), words, {});
  int64_t broken = 0;
  for (const char* word : {"word0", "word1", "word2", "word3", "word4"}) {
    for (const char* label : {"a", "b", "c"}) {
      const AttackedRow row = attacker.attack({{{"text", word}, {"label", label}}, nullptr}, 0);
      EXPECT_EQ(row.words, 1);
      EXPECT_LE(row.queries, 3);
      broken += row.is_broken;
    }
  }
  EXPECT_GT(broken, 0);
}

TEST_F(Attacked, ATextWithoutAWordHolds) {
  const auto words = tiny_words();
  const Attacker attacker(model(), words, {});
  for (const char* label : {"a", "b", "c"}) {
    const AttackedRow row = attacker.attack({{{"text", "..."}, {"label", label}}, nullptr}, 0);
    EXPECT_FALSE(row.is_broken);
    EXPECT_EQ(row.queries, 0);
  }
}

TEST_F(Attacked, ItIsToldWhereItWasStopped) {
  AttackOptions options;
  int64_t asked = 0;
  options.is_stopped = [&] { return ++asked > 5; };
  const Report report = attack(options).report;
  EXPECT_EQ(report.n, 5);
  ASSERT_EQ(report.found.size(), 1U);
  EXPECT_THAT(report.found[0].text, HasSubstr("stopped after 5 of 42 rows"));
}

TEST(AttackReport, OfNoRightRowHasNoSuccess) {
  std::vector<AttackedRow> rows(3);
  const Report report = attack_report(rows, "classify");
  EXPECT_EQ(report.value("accuracy"), 0);
  EXPECT_TRUE(std::isnan(report.value("attack_success")));
}

TEST(Attack, OfNumbersIsRefused) {
  const RunInFolder folder;
  std::string lines;
  for (int i = 0; i < 12; ++i)
    lines += Json{{"text", testing_support::tiny_word(i)}, {"label", i / 4.0}}.dump() + "\n";
  for (const char* name : {"train", "dev", "test"})
    write_file(folder / (std::string(name) + ".jsonl"), lines);
  const RunResult run = fine_tune(folder.config("", {"task.type=regression"}));
  const std::vector<NamedPerturbation> words = make_perturbations({"case"}, {});
  Reading reading;
  reading.source.path = folder / "test.jsonl";
  EXPECT_THAT(error_of([&] { attack_on(*run.pipeline, reading, words, {}, ""); }),
              HasSubstr("neither right nor wrong"));
}

}  // namespace
}  // namespace hone
