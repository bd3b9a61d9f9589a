#include "tasks/intent_slots/intent_slots.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "tasks/toy.h"

namespace hone::intent_slots {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using toy::record;

constexpr const char* kPlay =
    R"({"tokens": ["play", "jazz"], "tags": ["O", "B-genre"], "intent": "Play"})";
constexpr const char* kStop = R"({"tokens": ["stop"], "tags": ["O"], "intent": "Stop"})";

// Intents: Play, Stop. Tags: O, B-genre, I-genre.
std::unique_ptr<Task> trained(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  task->learn(record(kPlay));
  task->learn(record(kStop));
  task->finish_learning();
  return task;
}

std::vector<Sample> encoded(const Task& task, std::initializer_list<const char*> rows) {
  std::vector<Sample> samples;
  for (const char* row : rows) {
    for (Sample& sample : task.encode(record(row), toy::ToyTokenizer(), true))
      samples.push_back(std::move(sample));
  }
  return samples;
}

TEST(IntentSlots, WeighsTheIntentAgainstTheMeanOverASamplesTags) {
  const auto task = trained("{intent_weight: 0.5, slot_weight: 3}");
  const std::vector<Sample> samples =
      encoded(*task, {kPlay, kStop});  // 4 and 2 pieces, [CLS], [SEP]
  at::Tensor tags = at::zeros({static_cast<int64_t>(samples[0].size() + samples[1].size()), 3});
  tags[1][0] = 1;  // "play" is O
  const Loss loss =
      task->loss({{at::zeros({2, 2})}, {tags, RowOf::kToken}}, collate(samples, {0, 1}, 0));
  EXPECT_EQ(loss.count, 2);
  const double first = std::log(std::exp(1.0) + 2) - 1, other = std::log(3.0);
  EXPECT_NEAR(loss.sum.item<double>(), 0.5 * 2 * std::log(2.0) + 3 * ((first + other) / 2 + other),
              1e-5);
}

// Two tokens are O and one is B-genre, none I-genre: each of the two counts as much as the other,
// and their weights have the mean 1 over the tokens.
TEST(IntentSlots, WeighsSlotTagsByTheTokensThatCarryThem) {
  Config config =
      Config::parse("{class_weights: balanced, intent_weight: 0.5, slot_weight: 3}", "run.yaml");
  const auto task = kInfo.make(config, 64);
  for (const char* row : {kPlay, kStop}) {
    task->learn(record(row));
    task->learn_tokens(record(row), toy::ToyTokenizer());
  }
  task->finish_learning();
  const std::vector<Sample> samples = encoded(*task, {kPlay, kStop});
  const auto tokens = static_cast<int64_t>(samples[0].size() + samples[1].size());
  const Outputs logits{{at::zeros({2, 2})}, {at::zeros({tokens, 3}), RowOf::kToken}};
  const Batch batch = collate(samples, {0, 1}, 0);
  const double intents = 0.5 * 2 * std::log(2.0), tag = std::log(3.0);
  EXPECT_NEAR(task->loss(logits, batch, {.trains = true}).sum.item<double>(),
              intents + 3 * tag * ((0.75 + 1.5) / 2 + 0.75), 1e-5);
  EXPECT_NEAR(task->loss(logits, batch).sum.item<double>(), intents + 3 * tag * 2, 1e-5)
      << "an evaluation's loss is the plain one";
}

TEST(IntentSlots, AsksForTheIntentOfALongTextOnce) {
  const auto task = trained("stride: 0", 4);  // windows of two words
  const std::vector<Sample> samples =
      encoded(*task, {R"({"tokens": ["a", "b", "c"], "tags": ["O", "O", "O"], "intent": "Stop"})"});
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_THAT(samples[0].targets.back().values, ElementsAre(1));
  EXPECT_THAT(samples[1].targets.back().values, ElementsAre(kNoTarget));
}

TEST(IntentSlots, AnswersWithBoth) {
  const auto task = trained();
  const Record row = record(kPlay);
  const std::vector<Sample> samples = task->encode(row, toy::ToyTokenizer(), false);
  at::Tensor tags = at::zeros({samples[0].size(), 3});
  tags[3][1] = 9;  // "jazz": after [CLS] and the two pieces of "play"
  const Json result =
      task->decode(row, std::vector<Row>{{&samples[0], at::tensor({std::log(3.0F), 0.0F}), {tags}}},
                   toy::ToyTokenizer());
  EXPECT_EQ(result["intent"], "Play");
  EXPECT_NEAR(result["scores"]["Play"].get<double>(), 0.75, 1e-6);
  EXPECT_EQ(result["tags"], Json({"O", "B-genre"}));
}

TEST(IntentSlots, IsRightWhereTheIntentAndAllSlotsAre) {
  const auto task = trained();
  const auto scorer = task->make_scorer();
  const Record gold = record(kPlay);
  const auto say = [&](const char* intent, const Json& tags) {
    scorer->add(gold, {{"intent", intent}, {"tags", tags}});
  };
  say("Play", {"O", "B-genre"});
  say("Stop", {"O", "B-genre"});
  say("Play", {"O", "O"});
  say("Play", {"O", "I-genre"});  // means the same
  const Report report = scorer->report();
  EXPECT_EQ(report.metric, "exact_match");
  EXPECT_DOUBLE_EQ(report.score, 0.5);
  EXPECT_DOUBLE_EQ(report.value("intent_accuracy"), 0.75);
  EXPECT_DOUBLE_EQ(report.value("slot_recall"), 0.75);
  EXPECT_TRUE(report.json().contains("slot_confusion"));
}

TEST(IntentSlots, TellsTheRowThatDoesNotFit) {
  const auto task = trained();
  EXPECT_THAT(
      error_of([&] {
        task->learn(record(R"({"tokens": ["a", "b"], "tags": ["O"], "intent": "Stop"})", 3));
      }),
      AllOf(HasSubstr("data.jsonl:3"), HasSubstr("has 1 entries but \"tokens\" has 2")));
  EXPECT_THAT(error_of([&] { task->learn(record(R"({"tokens": ["a"], "tags": ["O"]})", 4)); }),
              AllOf(HasSubstr("data.jsonl:4"), HasSubstr("intent")));
  EXPECT_THAT(error_of([&] {
                task->encode(record(R"({"tokens": ["a"], "tags": ["O"], "intent": "Stopp"})", 5),
                             toy::ToyTokenizer(), true);
              }),
              AllOf(HasSubstr("data.jsonl:5"), HasSubstr("Stopp"), HasSubstr("unknown_labels")));
  EXPECT_THAT(error_of([&] { trained("slot_weight: 0"); }), HasSubstr("more than 0"));
}

TEST(IntentSlots, RestoresWhatItLearned) {
  const auto task = trained("{crf: true, intent_weight: 2}");
  EXPECT_EQ(kInfo.restore(Json::parse(task->state().dump()))->state(), task->state());
}

}  // namespace
}  // namespace hone::intent_slots
