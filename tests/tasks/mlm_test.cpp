#include "tasks/mlm/mlm.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tasks/masked_lm_head.h"
#include "tasks/pipeline.h"
#include "tasks/toy.h"

namespace hone::mlm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::tiny_word;

constexpr int32_t kMask = 4;  // of the tiny BERT
constexpr Masking kMasking{.mask_id = kMask, .vocabulary = 45};

// A sample of words of the given numbers of pieces, without special tokens.
Sample sample_of(const std::vector<int>& pieces, int32_t first_id = 10) {
  Sample sample;
  Sequence sequence;
  Target words{kWords, true, 1, {}};
  for (size_t word = 0; word < pieces.size(); ++word) {
    for (int i = 0; i < pieces[word]; ++i) {
      sequence.ids.push_back(first_id + static_cast<int32_t>(sequence.ids.size()) % 30);
      sequence.segments.push_back(0);
      words.values.push_back(static_cast<float>(word));
    }
  }
  sample.streams = {sequence};
  sample.targets = {words};
  return sample;
}

std::vector<int64_t> list(const at::Tensor& t) {
  const at::Tensor plain = t.contiguous();
  return {plain.const_data_ptr<int64_t>(), plain.const_data_ptr<int64_t>() + plain.numel()};
}

Batch batch_of(const std::vector<Sample>& samples, uint64_t seed = 1, int64_t first = 0) {
  std::vector<int64_t> indices(samples.size());
  std::iota(indices.begin(), indices.end(), first);
  return collate(samples, indices, seed);
}

TEST(MlmMasks, ChooseOneWordInSevenAndMaskFourInFiveOfIt) {
  const std::vector<Sample> samples(400, sample_of(std::vector<int>(100, 1)));
  const Batch batch = batch_of(samples);
  const Masked masked = draw_masks(batch, kMasking);
  const at::Tensor before = batch.streams[0].ids.index_select(0, masked.rows),
                   after = masked.batch.streams[0].ids.index_select(0, masked.rows);
  EXPECT_EQ(list(before), list(masked.targets));
  EXPECT_EQ(masked.count, masked.rows.numel());
  const double chosen = double(masked.count) / 40000,
               share_masked = after.eq(kMask).sum().item<double>() / double(masked.count);
  const double kept = after.eq(before).sum().item<double>() / double(masked.count);
  EXPECT_NEAR(chosen, 0.15, 0.01);  // five standard deviations
  EXPECT_NEAR(share_masked, 0.8, 0.03);
  EXPECT_NEAR(kept, 0.1, 0.025);  // and 1 in 45 of those replaced
  EXPECT_EQ(masked.batch.streams[0].ids.ne(batch.streams[0].ids).sum().item<int64_t>(),
            masked.count - after.eq(before).sum().item<int64_t>());
}

TEST(MlmMasks, TakeWholeWords) {
  const std::vector<Sample> samples(50, sample_of({1, 3, 2, 4, 1, 2, 5, 1, 3, 2}));
  const Masked masked = draw_masks(batch_of(samples), kMasking);
  std::vector<bool> chosen(50 * 24, false);
  for (const int64_t row : list(masked.rows)) chosen[static_cast<size_t>(row)] = true;
  const std::vector<float>& words = samples[0].targets[0].values;
  for (size_t row = 1; row < chosen.size(); ++row) {
    if (row % 24 != 0 && words[row % 24] == words[row % 24 - 1]) {
      EXPECT_EQ(chosen[row], chosen[row - 1]) << row;
    }
  }
}

TEST(MlmMasks, AreTheSameHoweverABatchIsSplitAndOthersAtEachStep) {
  std::vector<Sample> samples;
  for (int i = 0; i < 12; ++i) samples.push_back(sample_of({1, 2, 1, 3, 1, 1, 2, 1}));
  const at::Tensor together = draw_masks(batch_of(samples), kMasking).batch.streams[0].ids;
  std::vector<at::Tensor> apart;
  for (int64_t i = 0; i < 12; ++i)
    apart.push_back(draw_masks(batch_of({samples[static_cast<size_t>(i)]}, 1, i), kMasking)
                        .batch.streams[0]
                        .ids);
  EXPECT_TRUE(at::equal(at::cat(apart), together));
  EXPECT_FALSE(
      at::equal(draw_masks(batch_of(samples, 2), kMasking).batch.streams[0].ids, together));
  EXPECT_FALSE(at::equal(apart[0], apart[1]));  // equal texts, other samples
}

TEST(MlmMasks, OfAnEvaluationHangOnTheTextAlone) {
  const Sample one = sample_of({1, 2, 1, 3, 1, 1, 2, 1}), other = sample_of({2, 2, 2}, 20);
  const at::Tensor alone = fixed_masks(batch_of({one}, 1), kMasking).batch.streams[0].ids,
                   beside =
                       fixed_masks(batch_of({other, one}, 9, 5), kMasking).batch.streams[0].ids;
  EXPECT_TRUE(at::equal(beside.slice(0, 6), alone));
}

TEST(MlmMasks, ChooseAWordOfEachTextThatHasOne) {
  const std::vector<Sample> samples = {sample_of({1}), sample_of({4}), sample_of({1, 1})};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int64_t> rows = list(draw_masks(batch_of(samples, seed), kMasking).rows);
    EXPECT_EQ(std::vector<int64_t>(rows.begin(), rows.begin() + 5),
              (std::vector<int64_t>{0, 1, 2, 3, 4}));
    EXPECT_GE(rows.size(), 6u);
  }
}

TEST(MlmMasks, LeaveWhatIsNoWord) {
  Sample sample = sample_of({1, 1, 1});
  sample.targets[0].values = {kNoTarget, kNoTarget, kNoTarget};
  const Masked masked = draw_masks(batch_of({sample}), kMasking);
  EXPECT_EQ(masked.rows.numel(), 0);
  EXPECT_EQ(fixed_masks(batch_of({sample}), kMasking).rows.numel(), 0);
}

TEST(MlmMasks, AreATextsOwnWhereItHasSome) {
  Sample sample = sample_of({1, 1, 1, 1});
  sample.streams[0].ids[2] = kMask;
  sample.targets[0].values[2] = kNoTarget;
  const Masked fixed = fixed_masks(batch_of({sample}), kMasking);
  EXPECT_THAT(list(fixed.rows), ElementsAre(2));
  EXPECT_THAT(list(fixed.targets), ElementsAre(-100));
  EXPECT_EQ(fixed.count, 0);
  const Masked drawn = draw_masks(batch_of({sample}), kMasking);
  EXPECT_THAT(list(drawn.rows), Each(::testing::Ne(2)));  // nobody knows what stood there
}

// A pipeline on the tiny BERT, whose vocabulary is word0 to word39.
class MlmTask : public ::testing::Test {
 protected:
  MlmTask() {
    testing_support::write_tiny_bert(folder_ / "bert");
    tokenizer_ = Tokenizer::load(folder_ / "bert");
  }

  std::unique_ptr<Pipeline> pipeline(const std::string& options = "{}", int64_t longest = 0) {
    Config section = Config::parse(options, "task");
    const std::shared_ptr<Task> task = kInfo.make(section, longest);
    section.refuse_unknown();
    task->learn_tokens(toy::record(R"({"text": ""})"), *tokenizer_);
    return Pipeline::create(folder_ / "bert", tokenizer_, task, 1);
  }

  static Record text(const std::string& text) {
    return {{{"text", text}}, std::make_shared<const std::string>("t.txt"), 1};
  }

  testing_support::TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(MlmTask, CutsLongTextsAndLosesNothing) {
  const auto made = pipeline("{}", 8);
  std::string words;
  std::vector<int32_t> expected, found;
  for (uint64_t i = 0; i < 30; ++i) words += tiny_word(i) + " ";
  expected = tokenizer_->encode(words).ids;
  const std::vector<Sample> samples = made->task().encode(text(words), *tokenizer_, true);
  for (const Sample& sample : samples) {
    const std::vector<int32_t>& ids = sample.streams[0].ids;
    EXPECT_LE(ids.size(), 8u);
    found.insert(found.end(), ids.begin() + 1, ids.end() - 1);
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(samples.size(), 5u);
}

TEST_F(MlmTask, HasALossThatIsTheLogitsOwn) {
  const auto made = pipeline();
  std::vector<Sample> samples;
  for (uint64_t i = 0; i < 6; ++i) {
    const std::string words = tiny_word(i) + " " + tiny_word(i + 7) + " " + tiny_word(3 * i);
    samples.push_back(made->task().encode(text(words), *tokenizer_, true)[0]);
  }
  const Batch batch = batch_of(samples);
  const Loss loss = made->task().forward_loss(made->network(), batch, {});
  const Masked masked = fixed_masks(batch, kMasking);
  const at::Tensor logits = made->network().forward(masked.batch)[0].index_select(0, masked.rows);
  const double expected =
      at::cross_entropy_loss(logits, masked.targets, {}, at::Reduction::Sum).item<double>();
  EXPECT_NEAR(loss.sum.item<double>(), expected, 1e-5 * expected);
  EXPECT_EQ(loss.count, masked.count);
  const auto [output, assessed] = made->task().assess(made->network(), batch);
  EXPECT_NEAR(assessed.sum.item<double>(), expected, 1e-5 * expected);
}

TEST_F(MlmTask, CopesWithTextsThatHaveNoWord) {
  const auto made = pipeline();
  for (const char* odd : {"", "   ", "\u4f60\u597d", "[MASK]"}) {
    const std::vector<Record> records = {text(odd)};
    const Json result = made->predict(records)[0];
    EXPECT_EQ(result["tokens"], 0) << odd;
    EXPECT_TRUE(result["loss"].is_null()) << odd;
    made->network().train();
    const Loss loss = made->task().forward_loss(
        made->network(), batch_of(made->task().encode(records[0], *tokenizer_, true)), {});
    loss.sum.backward();  // of nothing: no weight moves
    EXPECT_EQ(loss.sum.item<float>(), 0) << odd;
    EXPECT_EQ(loss.count, 0) << odd;
    EXPECT_EQ(made->network().backbone().word_table().grad().abs().max().item<float>(), 0) << odd;
    made->network().eval();
  }
}

TEST_F(MlmTask, OffersTokensForATextsOwnMasks) {
  const auto made = pipeline("{top_k: 3}");
  const Json result = made->predict({text(tiny_word(1) + " [MASK] [MASK]")})[0];
  ASSERT_EQ(result["masks"].size(), 2u);
  for (const Json& offers : result["masks"]) {
    ASSERT_EQ(offers.size(), 3u);
    EXPECT_GE(offers[0]["score"], offers[1]["score"]);
    EXPECT_FALSE(offers[0]["token"].get<std::string>().empty());
  }
}

TEST_F(MlmTask, ScoresResultsAsItsReportSays) {
  const auto scorer = pipeline()->task().make_scorer();
  scorer->add(text("a"), {{"tokens", 3}, {"loss", 2.0}, {"correct", 1}});
  scorer->add(text("b"), {{"tokens", 1}, {"loss", 0.0}, {"correct", 1}});
  scorer->add(text("c"), {{"tokens", 0}, {"loss", nullptr}, {"correct", 0}});
  const Report report = scorer->report();
  EXPECT_DOUBLE_EQ(report.score, std::exp(6.0 / 4));
  EXPECT_EQ(report.value("accuracy"), 0.5);
  EXPECT_FALSE(report.main()->greater_is_better);
  EXPECT_EQ(report.n, 3);
}

TEST_F(MlmTask, HasNoPerplexityOfNothing) {
  const auto scorer = pipeline()->task().make_scorer();
  scorer->add(text("c"), {{"tokens", 0}, {"loss", nullptr}, {"correct", 0}});
  EXPECT_TRUE(std::isnan(scorer->report().score));
}

TEST_F(MlmTask, NamesTheRowOfAMalformedResult) {
  const auto scorer = pipeline()->task().make_scorer();
  EXPECT_THAT(error_of([&] { scorer->add(text("a"), {{"tokens", -1}}); }),
              AllOf(HasSubstr("t.txt:1"), HasSubstr("\"tokens\" is -1")));
  EXPECT_THAT(
      error_of([&] { scorer->add(text("a"), {{"tokens", 2}, {"correct", 0}, {"loss", "x"}}); }),
      HasSubstr("\"loss\" is \"x\""));
}

TEST_F(MlmTask, TellsWhatIsWrongWithItsOptions) {
  EXPECT_THAT(error_of([&] { pipeline("{mlm_probability: 1.5}"); }), HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of([&] { pipeline("{top_k: 0}"); }), HasSubstr("from 1 to 100"));
}

TEST_F(MlmTask, GivesLogitsOfChosenTokens) {
  const auto made = pipeline();
  const Batch batch = batch_of({sample_of({1, 1, 1})});
  auto& head = static_cast<MaskedLmHead&>(made->network().head());
  const at::Tensor all = made->network().forward(batch), rows = at::tensor({2, 0}, at::kLong),
                   ids = at::tensor({7, 5, 40}, at::kLong);
  const at::Tensor some = head.logits(made->network().backbone(),
                                      head.states(made->network().backbone(), batch, rows), ids);
  EXPECT_TRUE(at::allclose(some, all.index_select(0, rows).index_select(1, ids), 1e-5, 1e-6));
}

}  // namespace
}  // namespace hone::mlm
