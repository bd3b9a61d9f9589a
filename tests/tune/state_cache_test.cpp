// train.cache_frozen: outputs of frozen lower layers, computed once, give the same bits.
#include "models/layers/state_cache.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_run.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::TemporaryFolder;
using testing_support::tiny_options;
using testing_support::TinyRun;

constexpr testing_support::TinyBert kDropsNothing = {.dropout = 0};

struct CachedForm {
  const char *task, *peft, *precision;
  double gigabytes;
  int64_t layers;
};

class CachedRun : public testing::TestWithParam<CachedForm> {};
INSTANTIATE_TEST_SUITE_P(
    Train, CachedRun,
    testing::Values(
        CachedForm{"classify", "{peft_type: top_layers}", "fp32", 1, 1},
        CachedForm{"ner", "{peft_type: top_layers}", "bf16", 1, 1},
        CachedForm{"classify", "{peft_type: head}", "fp32", 1, 2},
        CachedForm{"ner", "{peft_type: head}", "bf16", 8e-6, 2},  // room for some of them
        CachedForm{"classify",
                   "{peft_type: lora, r: 2, lora_dropout: 0.1, target_modules: [query, dense], "
                   "layers_to_transform: [1]}",
                   "bf16", 1, 1}));

TEST_P(CachedRun, GivesTheSameBitsAsOneThatComputesThemEachTime) {
  const CachedForm& form = GetParam();
  TinyRun plain(form.task, kDropsNothing), cached(form.task, kDropsNothing);
  plain.peft_yaml = cached.peft_yaml = form.peft;
  TrainOptions options = tiny_options();
  options.num_train_epochs = 4;
  options.precision = form.precision;
  options.eval_strategy = "epoch";
  plain.train(options);
  options.cache_frozen = form.gigabytes;
  cached.train(options);
  EXPECT_EQ(first_difference(plain.weights(), cached.weights()), "");
  EXPECT_EQ(cached.events_of<Started>().at(0).cached_layers, form.layers);
  EXPECT_EQ(plain.events_of<Evaluated>().back().loss, cached.events_of<Evaluated>().back().loss);
  cached.load_pipeline();
  EXPECT_NE(first_difference(plain.weights(), cached.weights()), "");  // it was trained
}

TEST(CacheFrozen, GoesOnBitForBit) {
  TinyRun whole("classify", kDropsNothing), parts("classify", kDropsNothing);
  whole.peft_yaml = parts.peft_yaml = "{peft_type: top_layers}";
  TrainOptions options = tiny_options();
  options.cache_frozen = 1;
  whole.train(options);
  parts.also = [&](const Event& event) {
    const auto* s = std::get_if<Stepped>(&event);
    if (s != nullptr && s->step == 8) parts.stop = true;
  };
  EXPECT_TRUE(parts.train(options).interrupted);
  parts.stop = false;
  parts.train(options, /*resume=*/true);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
}

TEST(CacheFrozen, IsRefusedWhereOutputsAreNotTheSameInEachEpoch) {
  const auto refusal = [](const std::string& peft, double dropout) {
    TinyRun run("classify", {.dropout = dropout});
    run.peft_yaml = peft;
    TrainOptions options = tiny_options();
    options.cache_frozen = 1;
    return error_of([&] { run.train(options); });
  };
  EXPECT_THAT(refusal("{peft_type: top_layers}", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(refusal("{peft_type: lora}", 0), HasSubstr("lowest layer is trained"));
  EXPECT_THAT(refusal("{peft_type: prefix_tuning}", 0), HasSubstr("lowest layer is trained"));
  EXPECT_THAT(refusal("{peft_type: prompt_tuning, num_virtual_tokens: 2}", 0),
              HasSubstr("lowest layer is trained"));
  EXPECT_THAT(refusal("", 0), HasSubstr("lowest layer is trained"));
}

// Texts of the ids, each at its own positions.
Packed texts(const std::vector<std::vector<int64_t>>& all) {
  std::vector<int64_t> ids, positions;
  std::vector<int32_t> ends = {0};
  Packed packed;
  for (const auto& text : all) {
    for (size_t i = 0; i < text.size(); ++i)
      ids.push_back(text[i]), positions.push_back(static_cast<int64_t>(i));
    ends.push_back(static_cast<int32_t>(ids.size()));
    packed.max_len = std::max<int64_t>(packed.max_len, static_cast<int64_t>(text.size()));
  }
  packed.ids = at::tensor(ids, at::kLong);
  packed.positions = at::tensor(positions, at::kLong);
  packed.segments = at::zeros_like(packed.ids);
  packed.cu_seqlens = at::tensor(ends, at::kInt);
  return packed;
}

at::Tensor squares(const Packed& tokens) {
  const at::Tensor x = tokens.ids.to(at::kFloat);
  return at::stack({x, x * x + tokens.positions}, 1);
}

TEST(StateCache, ComputesEachTextOnce) {
  const TemporaryFolder folder;
  StateCache cache(folder.path(), 1 << 20);
  int64_t tokens = 0;
  const auto compute = [&](const Packed& part) {
    tokens += part.tokens();
    return squares(part);
  };
  for (const auto& all : std::vector<std::vector<std::vector<int64_t>>>{
           {{1, 2, 3}, {4}}, {{4}, {5, 6}, {1, 2, 3}}, {{5, 6}}, {{1, 2}, {1, 2, 3}}}) {
    const Packed packed = texts(all);
    EXPECT_TRUE(cache.of(packed, compute).equal(squares(packed)));
  }
  EXPECT_EQ(tokens, 3 + 1 + 2 + 2);
  EXPECT_EQ(cache.computed(), 4);
}

TEST(StateCache, StaysWithinItsBytes) {
  const TemporaryFolder folder;
  StateCache cache(folder.path(), 3 * (24 + 8));
  const Packed packed = texts({{1}, {2}, {3}, {4}, {5}});
  for (int pass = 0; pass < 2; ++pass)
    EXPECT_TRUE(cache.of(packed, squares).equal(squares(packed)));
  EXPECT_EQ(cache.bytes(), 3 * (24 + 8));
  EXPECT_EQ(cache.computed(), 5 + 2);
}

}  // namespace
}  // namespace hone
