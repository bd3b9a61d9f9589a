#include "models/layers/encoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "models/kernels/attention.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

constexpr int64_t kHidden = 12, kTokens = 9;

BlockOptions plain_block() {
  BlockOptions out;
  out.hidden = kHidden, out.intermediate = 20;
  out.heads = {.query = 3, .key_value = 3, .dim = 4};
  out.names = {.attention = "attention",
               .products = {.query = "q", .key = "k", .value = "v", .out = "o"},
               .attention_norm = "norm.one",
               .up = "up",
               .down = "down",
               .out_norm = "norm.two"};
  return out;
}

Packed three_sequences() {
  Packed tokens;
  tokens.ids = at::zeros({kTokens}, at::kLong);
  tokens.cu_seqlens = at::tensor({0, 4, 5, 9}, at::kInt);
  tokens.max_len = 4;
  return tokens;
}

// Before, at and after the query.
int64_t step_of(int64_t distance) { return distance < 0 ? 0 : distance == 0 ? 1 : 2; }

// A block written out in plain operations, from the parameters by name.
class WrittenOut {
 public:
  WrittenOut(const EncoderBlock& block, const BlockOptions& options)
      : weights_(block->named_parameters()), options_(options) {}

  at::Tensor forward(const at::Tensor& x) const {
    if (options_.norm_first) {
      const at::Tensor mid = x + norm("norm.three", attend(norm("norm.one", x)));
      return mid + norm("norm.four", feed(norm("norm.two", mid)));
    }
    const at::Tensor mid = norm("norm.one", x + attend(x));
    return norm("norm.two", mid + feed(mid));
  }

 private:
  at::Tensor weight(const std::string& name) const {
    return weights_.contains(name) ? weights_[name] : at::Tensor();
  }
  at::Tensor linear(const std::string& name, const at::Tensor& y) const {
    return at::linear(y, weight(name + ".weight"), weight(name + ".bias"));
  }
  at::Tensor norm(const std::string& name, const at::Tensor& y) const {
    if (!weights_.contains(name + ".weight")) return y;
    if (options_.norm_kind == NormKind::kRms) return rms(y) * weight(name + ".weight");
    if (options_.norm_kind == NormKind::kRmsAroundOne)
      return rms(y) * (1 + weight(name + ".weight"));
    return at::layer_norm(y, {kHidden}, weight(name + ".weight"), weight(name + ".bias"),
                          options_.norm_eps);
  }
  at::Tensor rms(const at::Tensor& y) const {
    return y * (y.square().mean(-1, true) + options_.norm_eps).rsqrt();
  }
  // Of each head by itself, x [N, heads, dim].
  at::Tensor head_norm(const std::string& name, const at::Tensor& x) const {
    return weights_.contains(name + ".weight") ? rms(x) * weight(name + ".weight") : x;
  }
  at::Tensor attend(const at::Tensor& y) const {
    const Heads& heads = options_.heads;
    const at::Tensor joined = (options_.names.products.joined.empty()
                                   ? at::cat({linear("attention.q", y), linear("attention.k", y),
                                              linear("attention.v", y)},
                                             1)
                                   : linear("attention.qkv", y))
                                  .view({-1, heads.joined(), heads.dim});
    const auto parts = joined.split_with_sizes({heads.query, heads.key_value, heads.key_value}, 1);
    const Packed tokens = three_sequences();
    kernels::AttentionInputs inputs;
    inputs.q = head_norm("attention.q_norm", parts[0]);
    inputs.k = head_norm("attention.k_norm", parts[1]);
    inputs.v = parts[2];
    inputs.of_q = {tokens.cu_seqlens, tokens.max_len};
    if (options_.rotary.theta > 0)
      inputs.rotary = kernels::rotary_of(
          kernels::rotary_frequencies(options_.rotary.theta, options_.rotary.columns),
          tokens.max_len);
    if (options_.distance_bias) {
      inputs.bias = options_.distance_bias->weight.t();
      inputs.bucket_of = step_of;
    }
    const at::Tensor mixed =
        kernels::attention_reference(inputs, {.is_causal = options_.is_causal,
                                              .window = options_.window,
                                              .soft_cap = options_.attention_soft_cap,
                                              .scale = options_.attention_scale});
    return linear("attention.o", mixed.reshape({-1, heads.query * heads.dim}));
  }
  at::Tensor feed(const at::Tensor& y) const {
    const at::Tensor up = linear("up", y);
    if (!options_.is_gated) return linear("down", at::gelu(up));
    if (!options_.names.gate.empty()) return linear("down", at::gelu(linear("gate", y)) * up);
    return linear("down", at::gelu(up.chunk(2, 1)[0]) * up.chunk(2, 1)[1]);
  }

  torch::OrderedDict<std::string, at::Tensor> weights_;
  BlockOptions options_;
};

// The block and the same written out, in values and in the gradients of x and of every parameter.
void expect_equal_written_out(const BlockOptions& options) {
  EncoderBlock block(options);
  uint64_t seed = 1;
  auto parameters = block->parameters();
  if (options.distance_bias) parameters.push_back(options.distance_bias->weight);
  for (const at::Tensor& parameter : parameters) fill_normal(parameter, 0.5, seed++);
  const at::Tensor start = at::sin(at::arange(kTokens * kHidden, at::kFloat)).view({-1, kHidden});
  const at::Tensor upstream = at::cos(at::arange(kTokens * kHidden, at::kFloat)).view_as(start);
  std::vector<std::vector<at::Tensor>> found;
  for (const bool written : {false, true}) {
    for (at::Tensor& parameter : parameters) parameter.mutable_grad().reset();
    const at::Tensor x = start.clone().requires_grad_();
    const at::Tensor y = written ? WrittenOut(block, options).forward(x)
                                 : block(x, Rows(three_sequences(), /*is_training=*/false));
    (y * upstream).sum().backward();
    std::vector<at::Tensor>& of = found.emplace_back();
    of = {y.detach(), x.grad()};
    for (const at::Tensor& parameter : parameters) of.push_back(parameter.grad().clone());
  }
  ASSERT_EQ(found[0].size(), found[1].size());
  for (size_t i = 0; i < found[0].size(); ++i)
    EXPECT_LT((found[0][i] - found[1][i]).abs().max().item<float>(),
              2e-5 * std::max(1.0F, found[1][i].abs().max().item<float>()))
        << i;
}

TEST(EncoderBlock, NormsBeforeOrAfterEachPart) {
  BlockOptions options = plain_block();
  expect_equal_written_out(options);
  options.norm_first = true;
  expect_equal_written_out(options);
  options.has_attention_norm = false;
  expect_equal_written_out(options);
}

TEST(EncoderBlock, IsGated) {
  BlockOptions options = plain_block();
  options.is_gated = true;
  expect_equal_written_out(options);
}

TEST(EncoderBlock, IsGatedByAProductOfItsOwnName) {
  BlockOptions options = plain_block();
  options.is_gated = true;
  options.names.gate = "gate";
  expect_equal_written_out(options);
  EXPECT_EQ(EncoderBlock(options)->named_parameters()["gate.weight"].sizes(),
            at::IntArrayRef({20, kHidden}));
}

TEST(EncoderBlock, NormsWhatItsPartsGive) {
  BlockOptions options = plain_block();
  options.norm_first = true;
  options.norm_kind = NormKind::kRmsAroundOne;
  options.names.after_attention_norm = "norm.three";
  options.names.after_feed_forward_norm = "norm.four";
  expect_equal_written_out(options);
}

TEST(EncoderBlock, NormsEachHeadsQueriesAndKeys) {
  BlockOptions options = plain_block();
  options.names.products.query_norm = "q_norm";
  options.names.products.key_norm = "k_norm";
  options.heads = {4, 2, 6};
  options.rotary = {.theta = 100, .columns = 4};  // and two columns that are not turned
  expect_equal_written_out(options);
}

TEST(EncoderBlock, IsCausalWithinAWindowUnderASoftCap) {
  BlockOptions options = plain_block();
  options.is_causal = true;
  expect_equal_written_out(options);
  options.window = 2;
  options.attention_soft_cap = 0.7;
  expect_equal_written_out(options);
}

TEST(EncoderBlock, HasABiasOfQueriesKeysAndValuesAlone) {
  BlockOptions options = plain_block();
  options.attention_out_has_bias = false;
  expect_equal_written_out(options);
  const auto parameters = EncoderBlock(options)->named_parameters();
  EXPECT_TRUE(parameters.contains("attention.k.bias"));
  EXPECT_FALSE(parameters.contains("attention.o.bias"));
}

TEST(EncoderBlock, HasNoBiases) {
  BlockOptions options = plain_block();
  options.attention_has_bias = options.feed_forward_has_bias = false;
  options.norm_kind = NormKind::kLayerWithoutBias;
  expect_equal_written_out(options);
  testing::internal::CaptureStderr();
  for (const auto& item : EncoderBlock(options)->named_parameters())
    EXPECT_FALSE(item.key().ends_with("bias")) << item.key();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "libtorch warns of nothing";
}

TEST(EncoderBlock, HasHeadsOfAnyNumberAndDimension) {
  BlockOptions options = plain_block();
  for (const Heads& heads : {Heads{4, 2, 5}, Heads{6, 1, 3}, Heads{2, 2, 16}}) {
    options.heads = heads;
    expect_equal_written_out(options);
  }
}

TEST(EncoderBlock, HasRotaryPositionsAndAWindow) {
  BlockOptions options = plain_block();
  options.rotary = {.theta = 100, .columns = 4};
  expect_equal_written_out(options);
  options.window = 1;
  expect_equal_written_out(options);
}

TEST(EncoderBlock, NormsByTheRootOfTheMeanSquare) {
  BlockOptions options = plain_block();
  options.norm_kind = NormKind::kRms;
  for (const bool first : {false, true}) {
    options.norm_first = first;
    expect_equal_written_out(options);
  }
}

TEST(EncoderBlock, AddsABiasByDistanceToScoresOfAnyScale) {
  BlockOptions options = plain_block();
  options.distance_bias = DistanceBias(3, options.heads.query, step_of);
  expect_equal_written_out(options);
  options.attention_scale = 1;
  expect_equal_written_out(options);
}

TEST(DistanceBias, HasWiderBucketsForLargerDistances) {
  // Of 32, half for keys after the query; of each half, 8 for one distance each; of the others the
  // k-th from 8 * 16^(k / 8) on.
  const kernels::BucketOf bucket_of = logarithmic_buckets(32, 128);
  const std::map<int64_t, int64_t> expected = {
      {0, 0},   {7, 7},   {8, 8},   {11, 8},  {12, 9},  {15, 9},   {16, 10},      {31, 11},
      {32, 12}, {63, 13}, {64, 14}, {90, 14}, {91, 15}, {128, 15}, {100'000, 15},
  };
  for (const auto& [far, bucket] : expected) {
    EXPECT_EQ(bucket_of(-far), bucket) << far;
    EXPECT_EQ(bucket_of(far), far > 0 ? bucket + 16 : 0) << far;
  }
}

TEST(EncoderBlock, ReadsQueriesKeysAndValuesOfOneProduct) {
  BlockOptions options = plain_block();
  options.names.products = {.joined = "qkv", .out = "o"};
  expect_equal_written_out(options);
  options.heads.key_value = 1;
  expect_equal_written_out(options);
}

}  // namespace
}  // namespace hone
