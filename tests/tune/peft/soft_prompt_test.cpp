// Virtual tokens: where they stand, how they begin, what heads read, and what an answer begins
// with.
#include "models/adapters/soft_prompt.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "models/layers/virtual_tokens.h"
#include "support/errors.h"
#include "support/tiny_decoder.h"
#include "support/tiny_run.h"
#include "tasks/causal_decoder.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::tiny_options;
using testing_support::TinyRun;

Packed two_texts() {
  Packed text;
  text.ids = at::tensor({5, 6, 7, 8, 9}, at::kLong);
  text.positions = at::tensor({0, 1, 2, 0, 1}, at::kLong);
  text.segments = at::tensor({0, 0, 1, 0, 1}, at::kLong);
  text.keys = at::tensor({50, 51, 52, 60, 61}, at::kLong);
  text.cu_seqlens = at::tensor({0, 3, 5}, at::kInt);
  text.max_len = 3;
  return text;
}

std::vector<int64_t> list_of(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kLong).contiguous();
  return {wide.const_data_ptr<int64_t>(), wide.const_data_ptr<int64_t>() + wide.numel()};
}

TEST(VirtualTokens, StandBeforeEachText) {
  const at::Tensor prompt = at::arange(6, at::kFloat).view({2, 3}).requires_grad_();
  const Prompted all = with_prompt(two_texts(), prompt);
  using Numbers = std::vector<int64_t>;
  EXPECT_EQ(list_of(all.text_rows), (Numbers{2, 3, 4, 7, 8}));
  EXPECT_EQ(list_of(all.tokens.prompt_rows), (Numbers{0, 1, 5, 6}));
  EXPECT_EQ(list_of(all.tokens.ids.index_select(0, all.text_rows)), (Numbers{5, 6, 7, 8, 9}));
  EXPECT_EQ(list_of(all.tokens.positions), (Numbers{0, 1, 2, 3, 4, 0, 1, 2, 3}));
  EXPECT_EQ(list_of(all.tokens.segments), (Numbers{0, 0, 0, 0, 1, 0, 0, 0, 1}));
  EXPECT_EQ(list_of(all.tokens.cu_seqlens), (Numbers{0, 5, 9}));
  EXPECT_EQ(all.tokens.max_len, 5);
  EXPECT_TRUE(all.tokens.prompt.equal(at::cat({prompt, prompt})));
  all.tokens.prompt.sum().backward();
  EXPECT_TRUE(prompt.grad().equal(at::full({2, 3}, 2.0f)));
}

TEST(VirtualTokens, DropOnKeysOfTheirOwnThatFollowFromTheText) {
  const at::Tensor prompt = at::zeros({4, 3});
  const Packed both = with_prompt(two_texts(), prompt).tokens;
  const std::vector<int64_t> keys = list_of(both.keys);
  EXPECT_EQ(std::set<int64_t>(keys.begin(), keys.end()).size(), keys.size());
  Packed second = two_texts();
  for (at::Tensor* column : {&second.ids, &second.positions, &second.segments, &second.keys})
    *column = column->slice(0, 3);
  second.cu_seqlens = at::tensor({0, 2}, at::kInt);
  EXPECT_TRUE(with_prompt(second, prompt).tokens.keys.equal(both.keys.slice(0, 7)));
}

at::Tensor embeddings_of(TinyRun& run) {
  return run.weights().at("bert.prompt_encoder.embedding.weight");
}

TEST(PromptTuning, BeginsAsTheWordsOfAText) {
  TinyRun run;
  run.peft_yaml =
      "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6, prompt_tuning_init: TEXT, "
      "prompt_tuning_init_text: word3 word7}";
  run.load_pipeline();
  const at::Tensor table = run.weights().at("bert.embeddings.word_embeddings.weight");
  // [CLS] word3 word7 [SEP] and again: five names of special tokens come first.
  const at::Tensor expected = table.index_select(0, at::tensor({2, 8, 12, 3, 2, 8}, at::kLong));
  EXPECT_TRUE(embeddings_of(run).equal(expected));
  run.peft_yaml =
      "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6, prompt_tuning_init: SAMPLE_VOCAB}";
  run.load_pipeline();
  const at::Tensor drawn = embeddings_of(run);
  for (int64_t i = 0; i < 6; ++i) EXPECT_TRUE((table == drawn[i]).all(1).any().item<bool>()) << i;
  run.load_pipeline(/*seed=*/7);
  EXPECT_FALSE(embeddings_of(run).equal(drawn));
}

TEST(PromptTuning, AnswersAsTheSameEmbeddingsOfWordsWould) {
  TinyRun plain("ner"), run("ner");
  run.peft_yaml =
      "{peft_type: PROMPT_TUNING, num_virtual_tokens: 4, prompt_tuning_init: TEXT, "
      "prompt_tuning_init_text: word3 word7}";
  plain.load_pipeline();
  run.load_pipeline();
  Packed text = two_texts(), longer;
  text.segments = at::zeros_like(text.ids);
  longer.ids = at::tensor({2, 8, 12, 3, 5, 6, 7, 2, 8, 12, 3, 8, 9}, at::kLong);
  longer.positions = at::tensor({0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5}, at::kLong);
  longer.segments = at::zeros_like(longer.ids);
  longer.keys = longer.ids;
  longer.cu_seqlens = at::tensor({0, 7, 13}, at::kInt);
  longer.max_len = 7;
  const c10::AutoGradMode no_grad(false);
  Backbone& ours = run.pipeline().network().backbone();
  const at::Tensor of_text = ours.forward({&text, 1}),
                   of_longer = plain.pipeline().network().backbone().forward({&longer, 1}),
                   rows = at::tensor({4, 5, 6, 11, 12}, at::kLong);
  EXPECT_LT((of_text - of_longer.index_select(0, rows)).abs().max().item<double>(), 1e-5);
  const at::Tensor two = at::tensor({1, 4}, at::kLong);
  EXPECT_TRUE(ours.forward({&text, 1}, {.rows = two}).allclose(of_text.index_select(0, two)));
  std::vector<at::Tensor> states;
  ours.forward({&text, 1}, {.states = &states});
  for (const at::Tensor& state : states) EXPECT_EQ(state.size(0), 5);
}

TEST(PromptTuning, AModelThatWritesComputesThemOnceForEachAnswer) {
  const testing_support::TemporaryFolder folder;
  testing_support::write_tiny_decoder(folder / "model");
  const ModelConfig config = ModelConfig::load(folder / "model");
  Network network(make_backbone(config), std::make_shared<CausalLmHead>(config, 1));
  network.backbone().initialise(3);
  network.eval();
  const auto next_after = [&](const std::vector<std::vector<int32_t>>& parts) {
    CausalDecoder decoder(network);
    EXPECT_EQ(decoder.may_join(), network.backbone().prompt() == nullptr);
    at::Tensor logits;
    for (const std::vector<int32_t>& ids : parts) logits = decoder.next({NewTokens{.ids = ids}});
    return logits;
  };
  const at::Tensor bare = next_after({{5, 6, 7, 8}});
  network.backbone().set_prompt(
      std::make_shared<SoftPrompt>(SoftPromptOptions{.num_virtual_tokens = 3},
                                   network.backbone().word_table(), std::vector<int32_t>{}, 5));
  const at::Tensor whole = next_after({{5, 6, 7, 8}}), parts = next_after({{5, 6}, {7}, {8}});
  EXPECT_LT((whole - parts).abs().max().item<double>(), 1e-5);
  EXPECT_GT((whole - bare).abs().max().item<double>(), 1e-2);
  EXPECT_EQ(CausalDecoder(network).max_positions(), config.max_positions - 3);
}

TEST(PrefixTuning, BeginsAsATextOnlyWhereItIsTrainedItself) {
  TinyRun run;
  run.peft_yaml = "{peft_type: prefix_tuning, prefix_projection: true, prefix_init_text: word3}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("prefix_projection"));
}

TEST(PromptTuning, IsRefusedWhereNoPositionIsLeft) {
  TinyRun run;
  run.peft_yaml = "{peft_type: prompt_tuning, num_virtual_tokens: 47}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("48 positions"));
  run.peft_yaml = "{peft_type: prompt_tuning, prompt_tuning_init: TEXT}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("go together"));
  run.peft_yaml = "{peft_type: prompt_tuning, prompt_tuning_init: WORDS}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("SAMPLE_VOCAB"));
}

}  // namespace
}  // namespace hone
