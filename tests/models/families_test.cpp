#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "models/encoder_backbone.h"
#include "support/errors.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;

// Of every family, under its own names.
const Json kOneLayer = {{"num_hidden_layers", 1}, {"n_layers", 1}, {"n_layer", 1}};

Json tiny_config(const std::string& model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 50},
          {"hidden_size", 24},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"intermediate_size", 40},
          {"max_position_embeddings", 40},
          {"type_vocab_size", 2},
          {"embedding_size", 12},
          {"use_task_id", true},
          {"dim", 24},
          {"n_layers", 2},
          {"n_heads", 4},
          {"hidden_dim", 40},
          {"hidden_dropout_prob", 0.1},
          {"attention_probs_dropout_prob", 0.1},
          {"embedding_dropout", 0.1},
          {"mlp_dropout", 0.1},
          {"attention_dropout", 0.1},
          {"local_attention", 6},
          {"relative_attention", true},
          {"pos_att_type", "p2c|c2p"},
          {"position_buckets", 8},
          {"max_relative_positions", 20},
          {"norm_rel_ebd", "layer_norm"},
          {"share_att_key", true},
          {"conv_kernel_size", 3},
          {"global_attn_every_n_layers", 2},
          {"n_embd", 24},
          {"n_layer", 2},
          {"n_head", 4},
          {"n_positions", 40},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"resid_pdrop", 0.1},
          {"use_sliding_window", true},
          {"sliding_window", 4},
          {"max_window_layers", 1}};
}

std::shared_ptr<Backbone> tiny(const std::string& model_type,
                               const Json& changes = Json::object()) {
  Json described = tiny_config(model_type);
  described.update(changes);
  ModelConfig config = families().find(model_type)->read_config(described);
  config.model_type = model_type;
  auto model = make_backbone(config);
  model->initialise(7);
  model->eval();
  return model;
}

Packed packed(const std::vector<std::vector<int64_t>>& samples) {
  std::vector<int64_t> ids, positions, segments, keys;
  std::vector<int32_t> ends = {0};
  Packed out;
  for (const auto& sample : samples) {
    for (size_t i = 0; i < sample.size(); ++i) {
      ids.push_back(sample[i]);
      positions.push_back(int64_t(i));
      segments.push_back(i * 2 >= sample.size());
      keys.push_back(sample[0] * 1000 + int64_t(i));
    }
    ends.push_back(int32_t(ids.size()));
    out.max_len = std::max(out.max_len, int64_t(sample.size()));
  }
  out.ids = at::tensor(ids);
  out.positions = at::tensor(positions);
  out.segments = at::tensor(segments);
  out.keys = at::tensor(keys);
  out.cu_seqlens = at::tensor(ends, at::kInt);
  out.seed = 3;
  return out;
}

const std::vector<std::vector<int64_t>> kSamples = {
    {2, 7, 9, 11, 3}, {4}, {5, 6, 8, 10, 12, 14, 16, 18, 20}, {21, 22}};

at::Tensor hidden_of(Backbone& model, const Packed& tokens, const Want& want = {}) {
  return model.forward({&tokens, 1}, want);
}

Rows first_rows(const Packed& tokens) {
  return Rows(tokens, /*is_training=*/false).choose(tokens.first_rows());
}

at::Tensor words_of(const Backbone& model) { return model.named_parameters()[0].value(); }

// A number that every hidden state has a part in.
at::Tensor sum_of(const at::Tensor& hidden) {
  return (hidden * at::arange(hidden.numel()).view_as(hidden).sin()).sum();
}

std::map<std::string, at::Tensor> gradients_of(const Backbone& model) {
  std::map<std::string, at::Tensor> found;
  for (const auto& item : model.named_parameters()) {
    if (item.value().grad().defined()) found[item.key()] = item.value().grad();
  }
  return found;
}

class EveryFamily : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, EveryFamily,
                         testing::Values("albert", "bert", "camembert", "deberta", "deberta-v2",
                                         "distilbert", "electra", "ernie", "gemma2", "gpt2",
                                         "llama", "mistral", "modernbert", "mpnet", "phi3", "qwen2",
                                         "qwen3", "roberta", "xlm-roberta"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Rows of zeros in the table of words of a fresh network.
std::vector<int64_t> empty_rows(const std::string& model_type, const Json& padding) {
  const at::Tensor words = words_of(*tiny(model_type, {{"pad_token_id", padding}}));
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < words.size(0); ++row) {
    if (words[row].eq(0).all().item<bool>()) rows.push_back(row);
  }
  return rows;
}

TEST_P(EveryFamily, BeginsWithAnEmptyRowForPadding) {
  std::vector<int64_t> expected = {5};
  if (GetParam() == std::string("gpt2")) expected = {};
  if (GetParam() == std::string("mpnet")) expected = {1};
  EXPECT_EQ(empty_rows(GetParam(), 5), expected);
}

TEST(RowOfPadding, CountsFromTheEndBelowZeroAndMayBeNone) {
  EXPECT_EQ(empty_rows("bert", -1), std::vector<int64_t>{49});
  for (const Json& none : {Json(), Json(50), Json(-51), Json(uint64_t{1} << 63)})
    EXPECT_EQ(empty_rows("bert", none), std::vector<int64_t>()) << none;
}

TEST_P(EveryFamily, NeighboursInAPackedBatchChangeNothing) {
  for (const bool training : {false, true}) {
    const auto model = tiny(GetParam());
    model->train(training);
    const at::Tensor together = hidden_of(*model, packed(kSamples));
    int64_t row = 0;
    for (const auto& sample : kSamples) {
      const at::Tensor alone = hidden_of(*model, packed({sample}));
      EXPECT_LT((together.slice(0, row, row + alone.size(0)) - alone).abs().max().item<float>(),
                2e-6)
          << "training " << training;
      row += alone.size(0);
    }
  }
}

TEST_P(EveryFamily, GivesEveryParameterAGradient) {
  const auto model = tiny(GetParam());
  const Packed tokens = packed(kSamples);
  const at::Tensor hidden = hidden_of(*model, tokens);
  at::Tensor loss = sum_of(hidden);
  if (model->config().sentence_head.uses_pooler)
    loss =
        loss + model->pool(hidden.index_select(0, tokens.first_rows()), first_rows(tokens)).sum();
  loss.backward();
  int64_t checked = 0;
  for (const auto& item : model->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    // A key's bias shifts all scores of a query alike: softmax takes it out.
    const bool has_no_effect = item.key().ends_with("key.bias") ||
                               item.key().ends_with("k_lin.bias") ||
                               item.key().ends_with("attn.k.bias");
    EXPECT_EQ(item.value().grad().abs().max().item<float>() > 1e-6, !has_no_effect) << item.key();
    ++checked;
  }
  EXPECT_GT(checked, 10);
}

TEST_P(EveryFamily, RecomputingGivesTheSameBits) {
  const Packed tokens = packed(kSamples);
  std::vector<std::map<std::string, at::Tensor>> gradients;
  for (const bool recomputes : {false, true}) {
    const auto model = tiny(GetParam());
    model->train();  // with dropout
    model->set_recompute(recomputes);
    for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
      const at::Tensor hidden = hidden_of(*model, tokens);
      sum_of(hidden).backward();
    }
    gradients.push_back(gradients_of(*model));
  }
  ASSERT_GT(gradients[0].size(), 10U);
  ASSERT_EQ(gradients[0].size(), gradients[1].size());
  for (const auto& [name, gradient] : gradients[0])
    EXPECT_TRUE(at::equal(gradient, gradients[1].at(name))) << name;
}

TEST_P(EveryFamily, FirstTokensAloneAreTheSameAndSoAreTheirGradients) {
  const Packed tokens = packed(kSamples);
  for (const bool training : {false, true}) {
    std::vector<at::Tensor> outputs;
    std::vector<std::map<std::string, at::Tensor>> gradients;
    for (const bool alone : {false, true}) {
      const auto model = tiny(GetParam());
      model->train(training);
      const at::Tensor first = alone
                                   ? hidden_of(*model, tokens, {.rows = tokens.first_rows()})
                                   : hidden_of(*model, tokens).index_select(0, tokens.first_rows());
      sum_of(first).backward();
      outputs.push_back(first.detach());
      gradients.push_back(gradients_of(*model));
    }
    ASSERT_EQ(outputs[1].size(0), int64_t(kSamples.size()));
    EXPECT_LT((outputs[0] - outputs[1]).abs().max().item<float>(), 1e-6);
    ASSERT_EQ(gradients[0].size(), gradients[1].size());
    for (const auto& [name, gradient] : gradients[0]) {
      const float largest = std::max(gradient.abs().max().item<float>(), 1e-3f);
      EXPECT_LT((gradient - gradients[1].at(name)).abs().max().item<float>() / largest, 2e-6)
          << name << " training " << training;
    }
  }
}

TEST_P(EveryFamily, GivesEachBlocksOutputWhereItIsWanted) {
  const Packed tokens = packed(kSamples);
  std::vector<at::Tensor> one, two, of_first;
  hidden_of(*tiny(GetParam(), kOneLayer), tokens, {.states = &one});
  const auto model = tiny(GetParam());  // whose first block has the same weights
  hidden_of(*model, tokens, {.states = &two});
  hidden_of(*model, tokens, {.rows = tokens.first_rows(), .states = &of_first});
  ASSERT_EQ(one.size(), 1U);
  ASSERT_EQ(two.size(), 2U);
  ASSERT_EQ(of_first.size(), 2U);
  EXPECT_TRUE(one[0].equal(two[0]));
  EXPECT_FALSE(two[0].equal(two[1]));
  EXPECT_TRUE(of_first[0].equal(two[0]));
  EXPECT_LT((of_first[1] - two[1].index_select(0, tokens.first_rows())).abs().max().item<float>(),
            1e-6);
}

TEST_P(EveryFamily, NamesATokenAndAPositionThatItsTablesDoNotHave) {
  const auto model = tiny(GetParam());
  const auto error = [&](const std::vector<int64_t>& ids) {
    return error_of([&] { hidden_of(*model, packed({ids})); });
  };
  EXPECT_THAT(error({2, 50, 3}), HasSubstr("token id 50 is outside of the model's table of 50"));
  const auto most = static_cast<size_t>(model->config().max_positions);
  const auto* plan = dynamic_cast<const EncoderPlan*>(model->config().plan.get());
  if (plan == nullptr || plan->embeddings.positions == 0)
    return;  // angles alone, which have no end
  EXPECT_EQ(error(std::vector<int64_t>(most, 5)), "no error");
  EXPECT_THAT(error(std::vector<int64_t>(most + 1, 5)),
              HasSubstr("position 40 is outside of the model's table of 40 rows"));
}

TEST_P(EveryFamily, SeesTokensThatFollowUnlessItIsCausal) {
  const auto model = tiny(GetParam());
  const auto first_two = [&](int64_t third) {
    return hidden_of(*model, packed({{5, 6, third}})).slice(0, 0, 2);
  };
  EXPECT_EQ(first_two(7).equal(first_two(9)), model->config().is_causal);
}

TEST_P(EveryFamily, RefusesTwoStreams) {
  const std::vector<Packed> streams(2, packed(kSamples));
  EXPECT_THROW(tiny(GetParam())->forward(streams), c10::Error);
}

Json without(const std::vector<const char*>& dropouts) {
  Json changes = Json::object();
  for (const char* key : dropouts) changes[key] = 0.0;
  return changes;
}

// Whether config.json of the family knows dropout anywhere but in attention.
bool drops_elsewhere(const Backbone& model) {
  const auto* plan = dynamic_cast<const EncoderPlan*>(model.config().plan.get());
  return plan == nullptr || plan->embeddings.dropout > 0 || plan->block.dropout.attention_out > 0;
}

TEST_P(EveryFamily, AnotherPassDrawsOtherMasksAndTheSamePassTheSame) {
  for (const Json& alone :
       {without({"hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout",
                 "resid_pdrop", "embd_pdrop"}),
        without({"attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"})}) {
    const auto model = tiny(GetParam(), alone);
    if (alone.contains("attn_pdrop") && !drops_elsewhere(*model)) continue;
    model->train();
    const auto hidden = [&](uint32_t pass) {
      Packed tokens = packed(kSamples);
      tokens.pass = pass;
      return hidden_of(*model, tokens);
    };
    for (const uint32_t pass : {0, 1, 7}) EXPECT_TRUE(hidden(pass).equal(hidden(pass))) << pass;
    EXPECT_FALSE(hidden(0).equal(hidden(1))) << alone;
    EXPECT_FALSE(hidden(1).equal(hidden(2))) << alone;
  }
}

TEST_P(EveryFamily, AShiftOfAllTokensIsAShiftOfTheWordEmbeddings) {
  const auto model = tiny(GetParam());
  const auto words = words_of(*model);
  Packed shifted = packed(kSamples);
  shifted.shift = at::full({shifted.tokens(), words.size(1)}, 0.25f);
  shifted.shift.select(1, 0).fill_(-0.5);  // a norm takes out what all columns share
  const at::Tensor hidden = hidden_of(*model, shifted);
  EXPECT_GT((hidden - hidden_of(*model, packed(kSamples))).abs().max().item<float>(), 0.05);
  const c10::AutoGradMode no_grad(false);
  words.add_(shifted.shift[0]);
  EXPECT_LT((hidden - hidden_of(*model, packed(kSamples))).abs().max().item<float>(), 1e-6);
}

TEST_P(EveryFamily, AShiftHasTheGradientOfItsTokensWordEmbedding) {
  const auto model = tiny(GetParam());
  model->train();
  Packed tokens = packed(kSamples);  // each id occurs once
  const auto words = words_of(*model);
  tokens.shift = at::zeros({tokens.tokens(), words.size(1)}).requires_grad_();
  const at::Tensor hidden = hidden_of(*model, tokens);
  sum_of(hidden).backward();
  EXPECT_TRUE(tokens.shift.grad().equal(words.grad().index_select(0, tokens.ids)));
  EXPECT_GT(tokens.shift.grad().abs().max().item<float>(), 1e-3);
}

TEST_P(EveryFamily, AShiftOfAnotherSizeIsRefused) {
  Packed tokens = packed(kSamples);
  tokens.shift = at::zeros({1, 1});  // which addition would spread over all tokens
  EXPECT_THROW(hidden_of(*tiny(GetParam()), tokens), c10::Error);
}

TEST_P(EveryFamily, StaysNearFp32InInt8) {
  const auto model = tiny(GetParam());
  const at::Tensor exact = hidden_of(*model, packed(kSamples));
  model->set_precision(Precision::kInt8);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor rounded = hidden_of(*model, packed(kSamples));
  EXPECT_EQ(rounded.scalar_type(), at::kFloat);
  EXPECT_FALSE(rounded.equal(exact));
  EXPECT_LT((rounded - exact).abs().max().item<float>(), 0.1);
}

TEST_P(EveryFamily, StaysNearFp32InBf16) {
  const auto model = tiny(GetParam());
  const at::Tensor exact = hidden_of(*model, packed(kSamples));
  model->set_precision(Precision::kBf16);
  const at::Tensor rounded = hidden_of(*model, packed(kSamples));
  EXPECT_EQ(rounded.scalar_type(), at::kBFloat16);
  EXPECT_LT((rounded.to(at::kFloat) - exact).abs().max().item<float>(), 0.1);
  model->set_precision(Precision::kFp32);
  EXPECT_TRUE(hidden_of(*model, packed(kSamples)).equal(exact));
}

// ---- layers that share a block ----

// Groups of one layer each with the weights of a single group are the same network as that group.
TEST(Albert, SharingABlockIsTheSameAsCopiesOfIt) {
  const Packed tokens = packed(kSamples);
  const auto shared = tiny("albert"), copies = tiny("albert", {{"num_hidden_groups", 2}});
  const auto group = [](int index, const std::string& name) {
    return "encoder.albert_layer_groups." + std::to_string(index) + name;
  };
  auto weights = copies->named_parameters();
  {
    const c10::AutoGradMode no_grad(false);
    for (const auto& item : shared->named_parameters()) {
      const std::string block = "encoder.albert_layer_groups.0";
      weights[item.key()].copy_(item.value());
      if (item.key().starts_with(block))
        weights[group(1, item.key().substr(block.size()))].copy_(item.value());
    }
  }
  shared->train(), copies->train();  // a place's masks are its own whatever block stands there
  const at::Tensor hidden = hidden_of(*shared, tokens), of_copies = hidden_of(*copies, tokens);
  EXPECT_TRUE(hidden.equal(of_copies));
  sum_of(hidden).backward(), sum_of(of_copies).backward();
  const std::string name = ".albert_layers.0.ffn.weight";
  const at::Tensor sum = weights[group(0, name)].grad() + weights[group(1, name)].grad();
  EXPECT_LT((shared->named_parameters()[group(0, name)].grad() - sum).abs().max().item<float>(),
            1e-5 * sum.abs().max().item<float>());
}

TEST(Albert, RepeatsTheBlocksOfAGroup) {
  const auto model =
      tiny("albert", {{"num_hidden_layers", 4}, {"num_hidden_groups", 2}, {"inner_group_num", 3}});
  std::vector<at::Tensor> states;
  hidden_of(*model, packed(kSamples), {.states = &states});
  EXPECT_EQ(states.size(), 12U);
  EXPECT_EQ(model->config().num_layers, 12);
  int64_t blocks = 0;
  for (const auto& item : model->named_parameters())
    blocks += item.key().ends_with(".ffn.weight") ? 1 : 0;
  EXPECT_EQ(blocks, 6);
}

}  // namespace
}  // namespace hone
