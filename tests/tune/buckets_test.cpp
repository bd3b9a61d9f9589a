// Batches that are brought to few sizes: what the filler is, and that it adds nothing.
#include "tune/buckets.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "support/tiny_run.h"
#include "tune/batch_loader.h"

namespace hone {
namespace {

using testing_support::TinyRun;

TEST(Buckets, AreFewAndAtMostAnEighthLarger) {
  EXPECT_EQ(bucket_of(1), 64);
  EXPECT_EQ(bucket_of(64), 64);
  EXPECT_EQ(bucket_of(65), 128);
  EXPECT_EQ(bucket_of(810), 832);
  EXPECT_EQ(bucket_of(4096), 4096);
  EXPECT_EQ(bucket_of(4097), 4608);
  std::set<int64_t> all;
  for (int64_t tokens = 1; tokens <= kMostTokensOfABucket; ++tokens) {
    const int64_t bucket = bucket_of(tokens);
    all.insert(bucket);
    ASSERT_GE(bucket, tokens);
    ASSERT_EQ(bucket_of(bucket), bucket);
    ASSERT_TRUE(tokens < 512 || bucket - tokens < tokens / 8.0) << tokens;
  }
  EXPECT_LE(all.size(), 50u);
}

TEST(Buckets, FillerIsASequenceOfNoSampleWithoutATarget) {
  TinyRun run("ner");
  run.load_pipeline();
  const Batch plain = make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch,
              filled = in_bucket(plain);
  const Packed &before = plain.streams[0], &after = filled.streams[0];
  const int64_t tokens = before.tokens();
  ASSERT_LT(tokens, 64);
  EXPECT_EQ(after.tokens(), 64);
  EXPECT_EQ(after.sequences(), before.sequences() + 1);
  EXPECT_EQ(after.cu_seqlens[-1].item<int32_t>(), 64);
  EXPECT_TRUE(at::equal(after.ids.slice(0, 0, tokens), before.ids));
  EXPECT_TRUE(at::equal(after.keys.slice(0, 0, tokens), before.keys));
  EXPECT_TRUE(at::equal(after.cu_seqlens.slice(0, 0, -1), before.cu_seqlens));
  EXPECT_TRUE(after.positions.slice(0, tokens).eq(0).all().item<bool>());
  EXPECT_GE(after.max_len, std::max(before.max_len, 64 - tokens));
  EXPECT_EQ(after.placed_seed.item<int64_t>(), static_cast<int64_t>(before.seed));
  EXPECT_EQ(filled.records, plain.records);
  EXPECT_EQ(run.pipeline().task().targets_in(filled), run.pipeline().task().targets_in(plain));
}

// A loss of the batch with its gradients, dropout on.
std::map<std::string, at::Tensor> loss_and_gradients(TinyRun& run, const Batch& batch) {
  Network& network = run.pipeline().network();
  network.train();
  network.zero_grad();
  const Loss loss = run.pipeline().task().forward_loss(network, batch);
  loss.sum.backward();
  std::map<std::string, at::Tensor> all = {{"loss", loss.sum.detach().view({1})},
                                           {"count", at::full({1}, loss.count)}};
  for (const auto& [name, weight] : network.weights()) all[name] = weight.grad().clone();
  return all;
}

TEST(Buckets, FillerAddsNothingToLossAndGradients) {
  for (const char* task : {"classify", "ner"}) {
    SCOPED_TRACE(task);
    TinyRun run(task);
    run.load_pipeline();
    const Batch plain = make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch;
    const auto expected = loss_and_gradients(run, plain),
               actual = loss_and_gradients(run, in_bucket(plain));
    for (const auto& [name, value] : expected)
      EXPECT_LT((actual.at(name) - value).abs().max().item<double>(),
                1e-5 * std::max(1.0, value.abs().max().item<double>()))
          << name;
  }
}

TEST(Buckets, ABatchThatFillsItsBucketGetsNoFiller) {
  std::vector<Sample> samples(2);
  for (Sample& sample : samples) {
    sample.streams.resize(1);
    sample.streams[0].ids.assign(32, 7);
    sample.streams[0].segments.assign(32, 0);
  }
  const Batch full = in_bucket(collate(samples, {0, 1}, 5));
  EXPECT_EQ(full.streams[0].tokens(), 64);
  EXPECT_EQ(full.streams[0].sequences(), 2);
  EXPECT_TRUE(full.streams[0].placed_seed.defined());
}

TEST(Buckets, WhatHasMoreToItThanTokensAndTargetsStaysAsItIs) {
  TinyRun run;
  run.load_pipeline();
  const Batch plain = make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch;
  const auto stays = [&](const std::function<void(Batch&)>& change) {
    Batch other = plain;
    change(other);
    const Batch given = in_bucket(other);
    return !given.streams[0].placed_seed.defined() &&
           given.streams[0].tokens() == other.streams[0].tokens();
  };
  EXPECT_FALSE(stays([](Batch&) {}));
  EXPECT_TRUE(stays([](Batch& b) { b.streams.push_back(b.streams[0]); }));
  EXPECT_TRUE(stays([](Batch& b) { b.parts = {1, 2}; }));
  EXPECT_TRUE(stays([](Batch& b) { b.loss_scale = 2; }));
  EXPECT_TRUE(stays([](Batch& b) { b.mix = 0.5; }));
  EXPECT_TRUE(stays([](Batch& b) { b.streams[0].layer_drop = 0.1; }));
  EXPECT_TRUE(stays([](Batch& b) { b.streams[0].pass = 1; }));
  EXPECT_TRUE(stays([](Batch& b) { b.streams[0].shift = at::zeros({b.streams[0].tokens(), 16}); }));
  EXPECT_TRUE(stays([](Batch& b) { b.targets["pairs"] = at::zeros({2}); }))
      << "rows that are neither the tokens' nor the samples'";
}

// One token each: whose rows a column of targets has could not be told.
TEST(Buckets, ABatchOfSingleTokensStaysAsItIs) {
  std::vector<Sample> samples(3);
  for (Sample& sample : samples) {
    sample.streams.resize(1);
    sample.streams[0].ids = {7};
    sample.streams[0].segments = {0};
  }
  EXPECT_FALSE(in_bucket(collate(samples, {0, 1, 2}, 5)).streams[0].placed_seed.defined());
}

TEST(Buckets, AHundredThousandTokensAreNoSmallBatch) {
  std::vector<Sample> samples(1);
  samples[0].streams.resize(1);
  samples[0].streams[0].ids.assign(100'000, 7);
  samples[0].streams[0].segments.assign(100'000, 0);
  const Batch large = in_bucket(collate(samples, {0}, 5));
  EXPECT_EQ(large.streams[0].tokens(), 100'000);
  EXPECT_FALSE(large.streams[0].placed_seed.defined());
}

}  // namespace
}  // namespace hone
