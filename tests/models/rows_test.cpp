#include "models/layers/rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

namespace hone {
namespace {

Packed three_tokens() {
  Packed tokens;
  tokens.ids = at::tensor({5, 6, 7});
  tokens.keys = at::tensor({50, 60, 70});
  tokens.seed = 9;
  return tokens;
}

TEST(Rows, NoTwoPlacesShareDropoutsDecisions) {
  const Rows rows(three_tokens(), /*is_training=*/true);
  std::set<uint32_t> sites;
  size_t places = 0;
  const auto add = [&](const Rows& at, DropoutPlace place) {
    sites.insert(at.dropout(place, 0.1).site);
    ++places;
  };
  add(rows, DropoutPlace::kEmbeddings);
  for (const int64_t layer : {int64_t{0}, int64_t{1}, int64_t{2}, Rows::kMostLayers - 1}) {
    for (const DropoutPlace place :
         {DropoutPlace::kAttention, DropoutPlace::kAttentionOut, DropoutPlace::kFeedForwardInner,
          DropoutPlace::kFeedForwardOut, DropoutPlace::kPositions, DropoutPlace::kConvolution})
      add(rows.at(layer), place);
  }
  for (const DropoutPlace place : {DropoutPlace::kHeadIn, DropoutPlace::kHeadOut})
    add(rows.at_head(), place);
  EXPECT_EQ(sites.size(), places);
  EXPECT_THROW(rows.at(Rows::kMostLayers), c10::Error);
  EXPECT_THROW(rows.at(-1), c10::Error);
}

TEST(Rows, ChosenOnesKeepTheirKeysWhereverTheyStand) {
  const at::Tensor x = at::tensor({1.0F, 2.0F, 3.0F}).view({3, 1});
  const Rows all(three_tokens(), /*is_training=*/true);
  const Rows chosen = all.choose(at::tensor({2, 0}));
  EXPECT_EQ(all.size(), 3);
  EXPECT_EQ(chosen.size(), 2);
  EXPECT_TRUE(all.of(x).is_same(x));
  EXPECT_TRUE(chosen.of(x).equal(at::tensor({3.0F, 1.0F}).view({2, 1})));
  const auto keys = [](const Rows& rows) {
    return rows.dropout(DropoutPlace::kAttentionOut, 0.5).keys;
  };
  EXPECT_TRUE(keys(chosen.at(4)).equal(at::tensor({70, 50})));
  EXPECT_TRUE(keys(chosen.all()).equal(at::tensor({50, 60, 70})));
}

// Rows of a table keep their decisions wherever a batch begins to read it.
TEST(Rows, OfATableHaveKeysOfTheirOwnAtTheSamePlace) {
  const Rows here = Rows(three_tokens(), /*is_training=*/true).at(4), table = here.of_table(10, 4);
  EXPECT_EQ(table.size(), 4);
  const auto dropout = [](const Rows& rows) { return rows.dropout(DropoutPlace::kPositions, 0.5); };
  EXPECT_EQ(dropout(table).site, dropout(here).site);
  EXPECT_EQ(dropout(table).seed, dropout(here).seed);
  EXPECT_TRUE(dropout(table).keys.slice(0, 2).equal(dropout(here.of_table(12, 2)).keys));
  EXPECT_FALSE(at::isin(dropout(table).keys, dropout(here).keys).any().item<bool>());
  EXPECT_EQ(Rows(three_tokens(), false).of_table(0, 2).dropout(DropoutPlace::kPositions, 0.5).p, 0);
}

TEST(Rows, MakeRotaryAnglesOnceForEachBase) {
  Packed tokens = three_tokens();
  tokens.max_len = 3;
  const Rows rows(tokens, /*is_training=*/false);
  const RotaryOptions options{.theta = 10000, .columns = 8}, others{.theta = 160000, .columns = 8};
  const kernels::Rotary first = rows.at(0).rotary(options), other = rows.at(1).rotary(others);
  EXPECT_TRUE(rows.at(2).rotary(options).cosine.is_same(first.cosine));
  EXPECT_EQ(first.cosine.sizes(), at::IntArrayRef({3, 4}));
  EXPECT_FALSE(first.cosine.equal(other.cosine));
}

TEST(Rows, DropNothingOutsideOfTraining) {
  EXPECT_EQ(Rows(three_tokens(), false).dropout(DropoutPlace::kHeadOut, 0.5).p, 0);
  EXPECT_EQ(Rows(three_tokens(), true).dropout(DropoutPlace::kHeadOut, 0.5).p, 0.5);
}

}  // namespace
}  // namespace hone
