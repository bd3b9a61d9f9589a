#include "models/encoder_decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "support/errors.h"
#include "support/tiny_encoder_decoder.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::random_backbone;
using testing_support::tiny_encoder_decoder;

using Texts = std::vector<std::vector<int64_t>>;

// `before`: how many tokens of each there are already.
Packed laid_out(const Texts& texts, const std::vector<int64_t>& before = {}) {
  std::vector<int64_t> ids, positions, keys;
  std::vector<int32_t> ends = {0};
  Packed packed;
  for (size_t s = 0; s < texts.size(); ++s) {
    const int64_t first = s < before.size() ? before[s] : 0;
    for (size_t i = 0; i < texts[s].size(); ++i) {
      ids.push_back(texts[s][i]);
      positions.push_back(first + static_cast<int64_t>(i));
      keys.push_back(1000 * texts[s][0] + positions.back());
    }
    ends.push_back(static_cast<int32_t>(ids.size()));
    packed.max_len = std::max(packed.max_len, static_cast<int64_t>(texts[s].size()));
  }
  packed.ids = at::tensor(ids, at::kLong);
  packed.positions = at::tensor(positions, at::kLong);
  packed.segments = at::zeros_like(packed.ids);
  packed.keys = at::tensor(keys, at::kLong);
  packed.cu_seqlens = at::tensor(ends, at::kInt);
  packed.seed = 5;
  return packed;
}

const Texts kSources = {{11, 7, 20, 9, 14, 5}, {12}, {13, 30, 31, 8}};
const Texts kTargets = {{2, 21, 22}, {2, 23, 24, 25, 26}, {2}};

std::vector<Packed> both(const Texts& sources, const Texts& targets) {
  return {laid_out(sources), laid_out(targets)};
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item<double>();
}

class EveryEncoderDecoder : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, EveryEncoderDecoder,
                         testing::Values("bart", "marian", "mbart", "mt5", "pegasus", "t5"));

TEST_P(EveryEncoderDecoder, NeighboursInAPackedBatchChangeNothing) {
  const auto backbone = random_backbone(tiny_encoder_decoder(GetParam()));
  for (const bool trains : {false, true}) {
    backbone->train(trains);
    const at::Tensor all = backbone->forward(both(kSources, kTargets));
    int64_t begin = 0;
    for (size_t i = 0; i < kSources.size(); ++i) {
      const at::Tensor alone = backbone->forward(both({kSources[i]}, {kTargets[i]}));
      EXPECT_LT(apart(all.narrow(0, begin, alone.size(0)), alone), 1e-5) << i << trains;
      begin += alone.size(0);
    }
  }
}

TEST_P(EveryEncoderDecoder, AnotherSourceGivesOtherStates) {
  const auto backbone = random_backbone(tiny_encoder_decoder(GetParam()));
  const at::Tensor one = backbone->forward(both({{11, 7, 20}}, {{2, 21}})),
                   other = backbone->forward(both({{11, 7, 19}}, {{2, 21}}));
  EXPECT_GT(apart(one, other), 1e-3);
}

TEST_P(EveryEncoderDecoder, ATargetSeesNothingOfWhatComesAfter) {
  const auto backbone = random_backbone(tiny_encoder_decoder(GetParam()));
  const at::Tensor one = backbone->forward(both({{11, 7, 20}}, {{2, 21, 22, 23}})),
                   other = backbone->forward(both({{11, 7, 20}}, {{2, 21, 33, 34}}));
  EXPECT_LT(apart(one.narrow(0, 0, 2), other.narrow(0, 0, 2)), 1e-6);
  EXPECT_GT(apart(one.narrow(0, 2, 2), other.narrow(0, 2, 2)), 1e-3);
}

TEST_P(EveryEncoderDecoder, GivesEveryTrainedParameterAGradient) {
  const ModelConfig config = tiny_encoder_decoder(GetParam());
  const auto backbone = random_backbone(config);
  const at::Tensor hidden = backbone->forward(both(kSources, kTargets));
  (hidden * at::arange(hidden.numel()).view(hidden.sizes()).sin()).sum().backward();
  for (const auto& item : backbone->named_parameters()) {
    EXPECT_EQ(item.value().requires_grad(), !config.is_computed(item.key())) << item.key();
    if (!item.value().requires_grad() || item.key().ends_with("k_proj.bias")) continue;
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_GT(item.value().grad().abs().max().item<double>(), 0) << item.key();
  }
}

std::map<std::string, at::Tensor> gradients_of(Backbone& backbone, bool recomputes) {
  backbone.zero_grad();
  backbone.train();
  backbone.set_recompute(recomputes);
  backbone.forward(both(kSources, kTargets)).square().sum().backward();
  std::map<std::string, at::Tensor> gradients;
  for (const auto& item : backbone.named_parameters()) {
    if (item.value().grad().defined()) gradients[item.key()] = item.value().grad().clone();
  }
  return gradients;
}

// Of the encoder too, whose gradient comes through all blocks of the decoder.
TEST_P(EveryEncoderDecoder, RecomputedBlocksGiveTheSameGradients) {
  const auto backbone = random_backbone(tiny_encoder_decoder(GetParam()));
  const auto plain = gradients_of(*backbone, false), recomputed = gradients_of(*backbone, true);
  ASSERT_EQ(plain.size(), recomputed.size());
  for (const auto& [name, gradient] : plain) {
    if (!name.ends_with("k_proj.bias"))
      EXPECT_LT(apart(recomputed.at(name), gradient), 1e-5) << name;
  }
}

TEST_P(EveryEncoderDecoder, ChosenRowsAreThoseOfAll) {
  const auto backbone = random_backbone(tiny_encoder_decoder(GetParam()));
  const std::vector<Packed> streams = both(kSources, kTargets);
  const at::Tensor rows = at::tensor({1, 4, 8}, at::kLong);
  EXPECT_LT(apart(backbone->forward(streams, {.rows = rows}),
                  backbone->forward(streams).index_select(0, rows)),
            1e-6);
}

// Two sequences read the first source, one the second; a third source joins later, and then the
// first one leaves.
TEST_P(EveryEncoderDecoder, StepsWithKeptSourcesEqualOnePass) {
  const c10::AutoGradMode no_grad(false);
  const ModelConfig config = tiny_encoder_decoder(GetParam());
  const auto backbone = random_backbone(config);
  const Texts sources = {{11, 7, 20, 9}, {12, 14}, {13, 30, 31}};
  const Texts targets = {{2, 21, 22}, {2, 23, 24}, {2, 25, 26}};
  const auto last_of = [&](size_t source, const std::vector<int64_t>& target) {
    const at::Tensor all = backbone->forward(both({sources[source]}, {target}));
    return all.narrow(0, all.size(0) - 1, 1);
  };
  KeyValueCache cache(3);
  SourceMemory memory(3);
  const auto step = [&](const Texts& fresh, const Texts& tokens, const std::vector<int64_t>& before,
                        const std::vector<int64_t>& readers) {
    memory.readers = readers;
    const std::vector<Packed> streams = {laid_out(fresh), laid_out(tokens, before)};
    return backbone->forward(streams, {.cache = &cache, .sources = &memory});
  };
  step({sources[0], sources[1]}, {{2}, {2}, {2}}, {0, 0, 0}, {2, 1});
  const at::Tensor second = step({}, {{21}, {23}, {25}}, {1, 1, 1}, {2, 1});
  EXPECT_LT(apart(second.narrow(0, 0, 1), last_of(0, {2, 21})), 1e-5);
  EXPECT_LT(apart(second.narrow(0, 1, 1), last_of(0, {2, 23})), 1e-5);
  EXPECT_LT(apart(second.narrow(0, 2, 1), last_of(1, {2, 25})), 1e-5);
  const at::Tensor third = step({sources[2]}, {{22}, {24}, {26}, {2}}, {2, 2, 2, 0}, {2, 1, 1});
  EXPECT_LT(apart(third.narrow(0, 1, 1), last_of(0, targets[1])), 1e-5);
  EXPECT_LT(apart(third.narrow(0, 3, 1), last_of(2, {2})), 1e-5);
  cache.select(std::vector<int64_t>{2, 3});
  memory.keys_and_values.select(std::vector<int64_t>{1, 2});
  const at::Tensor fourth = step({}, {{27}, {28}}, {3, 1}, {1, 1});
  EXPECT_LT(apart(fourth.narrow(0, 0, 1), last_of(1, {2, 25, 26, 27})), 1e-5);
  EXPECT_LT(apart(fourth.narrow(0, 1, 1), last_of(2, {2, 28})), 1e-5);
}

TEST(KeyValueCacheBeforeAnyToken, KeepsNone) {
  KeyValueCache cache(2);
  cache.select({});
  EXPECT_EQ(cache.sequences(), 0);
}

// The keys and values of sources have no room that nothing fills.
TEST(EncoderDecoder, SourcesThatAreKeptTakeWhatTheyNeed) {
  const c10::AutoGradMode no_grad(false);
  const auto backbone = random_backbone(tiny_encoder_decoder("marian"));
  KeyValueCache cache(3);
  SourceMemory memory(3);
  memory.readers = {1, 1, 1};
  backbone->forward(both(kSources, {{2}, {2}, {2}}), {.cache = &cache, .sources = &memory});
  const int64_t tokens = 6 + 1 + 4, width = 24;
  EXPECT_EQ(memory.keys_and_values.bytes(), 3 * 2 * tokens * width * 4);
}

TEST(EncoderDecoder, TablesOfWordsAreSharedOrApart) {
  const auto names = [](const ModelConfig& config) {
    std::vector<std::string> names;
    for (const auto& item : random_backbone(config)->named_parameters())
      if (item.key().find("embed_tokens") != std::string::npos || item.key() == "shared.weight")
        names.push_back(item.key());
    return names;
  };
  EXPECT_THAT(names(tiny_encoder_decoder("marian")), testing::ElementsAre("shared.weight"));
  const ModelConfig separate = tiny_encoder_decoder(
      "marian", {{"share_encoder_decoder_embeddings", false}, {"decoder_vocab_size", 31}});
  EXPECT_THAT(names(separate),
              testing::ElementsAre("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"));
  EXPECT_EQ(separate.vocab_size, 31);
  EXPECT_EQ(separate.encoder_decoder->source_vocabulary, 45);
}

TEST(EncoderDecoder, TellsWhichTokensATargetBeginsAndEndsWith) {
  const ModelConfig marian = tiny_encoder_decoder("marian");
  EXPECT_EQ(marian.encoder_decoder->start, 2);
  EXPECT_EQ(marian.encoder_decoder->end, 3);
  const ModelConfig t5 =
      tiny_encoder_decoder("t5", {{"decoder_start_token_id", nullptr}, {"eos_token_id", {7, 3}}});
  EXPECT_EQ(t5.encoder_decoder->start, 0);  // the one that pads
  EXPECT_EQ(t5.encoder_decoder->end, 7);
}

TEST(EncoderDecoder, CountsTheLayersOfBothSides) {
  const ModelConfig config = tiny_encoder_decoder("t5");
  EXPECT_EQ(config.num_layers, 5);
  EXPECT_EQ(config.plan->layer_name(1), "encoder.block.1");
  EXPECT_EQ(config.plan->layer_name(2), "decoder.block.0");
  EXPECT_EQ(config.plan->layer_name(5), "decoder.block.3");
}

TEST(EncoderDecoder, WeightsOfThePlanAreThoseOfTheNetwork) {
  for (const char* family : {"t5", "bart", "marian"}) {
    const ModelConfig config = tiny_encoder_decoder(family);
    double matrices = 0;
    for (const auto& item : random_backbone(config)->named_parameters())
      if (item.value().dim() == 2) matrices += static_cast<double>(item.value().numel());
    EXPECT_EQ(config.plan->weights(), matrices) << family;
  }
}

// The deviations of Transformers' T5PreTrainedModel._init_weights, from the sizes.
TEST(EncoderDecoder, T5BeginsAsItsReferenceDoes) {
  constexpr double kFactor = 0.5;
  constexpr int64_t kHidden = 96, kHeads = 4, kDim = 16, kInner = 160;
  const ModelConfig config = tiny_encoder_decoder("t5", {{"d_model", kHidden},
                                                         {"num_heads", kHeads},
                                                         {"d_kv", kDim},
                                                         {"d_ff", kInner},
                                                         {"vocab_size", 400},
                                                         {"initializer_factor", kFactor}});
  const std::map<std::string, double> deviations = {
      {"shared.weight", kFactor},
      {"decoder.block.1.layer.0.SelfAttention.q.weight", kFactor / std::sqrt(kHidden * kDim)},
      {"decoder.block.2.layer.1.EncDecAttention.k.weight", kFactor / std::sqrt(kHidden)},
      {"encoder.block.0.layer.0.SelfAttention.v.weight", kFactor / std::sqrt(kHidden)},
      {"encoder.block.1.layer.0.SelfAttention.o.weight", kFactor / std::sqrt(kHeads * kDim)},
      {"encoder.block.0.layer.1.DenseReluDense.wi.weight", kFactor / std::sqrt(kHidden)},
      {"decoder.block.0.layer.2.DenseReluDense.wo.weight", kFactor / std::sqrt(kInner)}};
  const auto backbone = random_backbone(config);
  size_t seen = 0;
  for (const auto& item : backbone->named_parameters()) {
    if (item.key().ends_with("layer_norm.weight"))
      EXPECT_TRUE(item.value().eq(kFactor).all().item<bool>()) << item.key();
    const auto wanted = deviations.find(item.key());
    if (wanted == deviations.end()) continue;
    ++seen;
    const auto count = static_cast<double>(item.value().numel());
    EXPECT_NEAR(item.value().std().item<double>() / wanted->second, 1, 4 / std::sqrt(2 * count))
        << item.key();
  }
  EXPECT_EQ(seen, deviations.size());
}

TEST(EncoderDecoder, RefusesOtherThanTwoStreams) {
  const auto backbone = random_backbone(tiny_encoder_decoder("bart"));
  const std::vector<Packed> one = {laid_out(kSources)};
  EXPECT_THROW(backbone->forward(one), c10::Error);
}

// Sines of all frequencies, then cosines; nothing draws or trains them.
TEST(EncoderDecoder, PositionsByAFormulaAreThereFromTheStart) {
  const auto backbone = random_backbone(tiny_encoder_decoder("marian"));
  const at::Tensor table = backbone->named_parameters()["decoder.embed_positions.weight"];
  EXPECT_FALSE(table.requires_grad());
  EXPECT_EQ(table.sizes(), at::IntArrayRef({40, 24}));
  EXPECT_EQ(table[0].slice(0, 0, 12).abs().sum().item<double>(), 0);
  EXPECT_NEAR(table[3][1].item<double>(), std::sin(3 / std::pow(10000.0, 2.0 / 24)), 1e-6);
  EXPECT_NEAR(table[3][13].item<double>(), std::cos(3 / std::pow(10000.0, 2.0 / 24)), 1e-6);
}

TEST(DistanceBuckets, OfCausalAttentionAreAllForKeysBefore) {
  const kernels::BucketOf bucket = logarithmic_buckets_before(8, 20);
  EXPECT_EQ(bucket(0), 0);
  EXPECT_EQ(bucket(-1), 1);
  EXPECT_EQ(bucket(-3), 3);
  EXPECT_EQ(bucket(-4), 4);  // the first that is wider than one
  EXPECT_EQ(bucket(-19), 7);
  EXPECT_EQ(bucket(-2000), 7);
  EXPECT_EQ(bucket(5), 0);  // never seen
}

TEST(EncoderDecoder, RefusesWhatItCannotDo) {
  const auto refusal = [](const char* family, const Json& changes) {
    return error_of([&] { tiny_encoder_decoder(family, changes); });
  };
  EXPECT_THAT(refusal("t5", {{"feed_forward_proj", "gated-swish2"}}), HasSubstr("swish2"));
  EXPECT_THAT(refusal("t5", {{"relative_attention_num_buckets", 7}}), HasSubstr("is not even"));
  EXPECT_THAT(refusal("t5", {{"relative_attention_max_distance", 3}}), HasSubstr("half"));
  EXPECT_THAT(refusal("bart", {{"decoder_attention_heads", 7}}), HasSubstr("not a multiple"));
  EXPECT_THAT(refusal("marian", {{"decoder_start_token_id", "x"}}), HasSubstr("number of a token"));
}

}  // namespace
}  // namespace hone
