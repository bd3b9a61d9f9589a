#include "tasks/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "support/errors.h"

namespace hone {
namespace {

Sample sample(const std::vector<int32_t>& ids, std::vector<Target> targets = {},
              int64_t record = 0) {
  const std::vector<int32_t> zeros(ids.size(), 0);
  return {{Sequence{ids, zeros, zeros, zeros, std::vector<Span>(ids.size())}},
          std::move(targets),
          record,
          0};
}

std::vector<int64_t> values(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kLong).contiguous();
  return {wide.data_ptr<int64_t>(), wide.data_ptr<int64_t>() + wide.numel()};
}

using Longs = std::vector<int64_t>;

TEST(Collate, LaysSamplesEndToEndWithoutPadding) {
  const Batch batch = collate({sample({5, 6, 7}, {}, 3), sample({8}, {}, 1)}, {0, 1}, 9);
  const Packed& p = batch.streams.at(0);
  EXPECT_EQ(values(p.ids), (Longs{5, 6, 7, 8}));
  EXPECT_EQ(values(p.positions), (Longs{0, 1, 2, 0}));
  EXPECT_EQ(values(p.cu_seqlens), (Longs{0, 3, 4}));
  EXPECT_EQ(p.cu_seqlens.scalar_type(), at::kInt);
  EXPECT_EQ(p.max_len, 3);
  EXPECT_EQ(p.seed, 9u);
  EXPECT_EQ(batch.records, (Longs{3, 1}));
}

// Two sequences of two tokens and of one.
Sample two_sequences() {
  Sample both = sample({});
  both.streams[0].append(sample({5, 6}).streams[0]);
  both.streams[0].append(sample({7}).streams[0]);
  return both;
}

TEST(Collate, LaysTheSequencesOfASampleEndToEnd) {
  Batch batch = collate({sample({8, 9, 10}), two_sequences()}, {0, 1}, 9);
  const Packed& p = batch.streams.at(0);
  EXPECT_EQ(values(p.ids), (Longs{8, 9, 10, 5, 6, 7}));
  EXPECT_EQ(values(p.positions), (Longs{0, 1, 2, 0, 1, 0}));
  EXPECT_EQ(values(p.cu_seqlens), (Longs{0, 3, 5, 6}));
  EXPECT_EQ(values(p.cu_samples), (Longs{0, 1, 3}));
  EXPECT_EQ(p.max_len, 3);
  EXPECT_EQ(p.samples(), 2);
  const Longs keys = values(p.keys);  // no two tokens of a sample share one
  EXPECT_EQ(std::set<int64_t>(keys.begin(), keys.end()).size(), keys.size());
  batch.parts = {1, 1};
  const Packed last = parts_of(batch).at(1).streams.at(0);
  EXPECT_EQ(values(last.ids), (Longs{5, 6, 7}));
  EXPECT_EQ(values(last.cu_seqlens), (Longs{0, 2, 3}));
  EXPECT_EQ(values(last.cu_samples), (Longs{0, 2}));
}

TEST(Collate, KeysASampleByItsPlaceInTheSplitAlone) {
  const Sample a = sample({5, 6, 7}), b = sample({8, 9});
  const Longs together = values(collate({a, b}, {41, 7}, 0).streams[0].keys);
  const Longs alone = values(collate({b}, {7}, 5).streams[0].keys);
  EXPECT_EQ(Longs(together.begin() + 3, together.end()), alone);
  EXPECT_NE(values(collate({b}, {8}, 0).streams[0].keys), alone);
}

TEST(Collate, KeysStreamsApart) {
  Sample two = sample({5, 6});
  two.streams.push_back(two.streams[0]);
  const Batch batch = collate({two}, {0}, 0);
  ASSERT_EQ(batch.streams.size(), 2u);
  EXPECT_NE(values(batch.streams[0].keys), values(batch.streams[1].keys));
}

Sample with_features(Sample sample, int32_t width, std::vector<float> values) {
  sample.streams[0].features = {width, std::move(values)};
  return sample;
}

TEST(Collate, LaysFeaturesEndToEndWithoutPadding) {
  const Batch batch = collate({with_features(sample({1}), 2, {1, 2, 3, 4}), sample({2, 3}),
                               with_features(sample({4}), 2, {5, 6})},
                              {0, 1, 2}, 0);
  const Packed& p = batch.streams[0];
  EXPECT_EQ(p.features.sizes(), (at::IntArrayRef{3, 2}));
  EXPECT_EQ(values(p.features), (Longs{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values(p.feature_ends), (Longs{0, 2, 2, 3}));
  EXPECT_FALSE(collate({sample({1})}, {0}, 0).streams[0].features.defined());
}

TEST(Collate, RefusesFeaturesOfAnotherWidth) {
  const auto collated = [](int32_t width, std::vector<float> values) {
    return testing_support::error_of([&] {
      collate(
          {with_features(sample({1}), 2, {1, 2}), with_features(sample({2}, {}, 7), width, values)},
          {0, 1}, 0);
    });
  };
  EXPECT_THAT(collated(3, {1, 2, 3}), ::testing::HasSubstr("record 7 has 3 features of width 3"));
  EXPECT_THAT(collated(2, {1, 2, 3}), ::testing::HasSubstr("of width 2")) << "half a row";
  EXPECT_THAT(collated(0, {1}), ::testing::HasSubstr("of width 0"));
}

TEST(Sample, CountsFeatureRowsAsItsSize) {
  EXPECT_EQ(with_features(sample({1, 2}), 2, {1, 2, 3, 4, 5, 6}).size(), 5);
}

TEST(Parts, AreViewsOfTheirSequences) {
  Batch batch = collate({with_features(sample({1, 2}), 1, {7}), sample({3}),
                         with_features(sample({4, 5, 6}), 1, {8, 9})},
                        {4, 5, 6}, 3);
  batch.parts = {1, 2};
  const std::vector<Batch> parts = parts_of(batch);
  ASSERT_EQ(parts.size(), 2u);
  const Packed& last = parts[1].streams[0];
  EXPECT_EQ(values(last.ids), (Longs{3, 4, 5, 6}));
  EXPECT_EQ(values(last.cu_seqlens), (Longs{0, 1, 4}));
  EXPECT_EQ(values(last.features), (Longs{8, 9}));
  EXPECT_EQ(values(last.feature_ends), (Longs{0, 0, 2}));
  EXPECT_EQ(last.max_len, 3);
  EXPECT_EQ(values(last.keys),
            values(collate({sample({3}), sample({4, 5, 6})}, {5, 6}, 3).streams[0].keys));
}

TEST(Collate, ShapesTargetsByTheirWidth) {
  const Batch batch =
      collate({sample({1, 2}, {{"tags", true, 1, {0, kNoTarget}}, {"labels", false, 3, {1, 0, 1}}}),
               sample({3}, {{"tags", true, 1, {2}}, {"labels", false, 3, {0, 0, 1}}})},
              {0, 1}, 0);
  EXPECT_EQ(values(batch.targets.at("tags")), (Longs{0, -100, 2}));
  EXPECT_EQ(batch.targets.at("labels").sizes(), (at::IntArrayRef{2, 3}));
}

TEST(Collate, RefusesSamplesThatDoNotBelongTogether) {
  EXPECT_THROW(collate({}, {}, 0), Error);
  EXPECT_THROW(collate({sample({1}, {{"a", false, 1, {0}}}), sample({1}, {{"b", false, 1, {0}}})},
                       {0, 1}, 0),
               Error);
}

}  // namespace
}  // namespace hone
