#include "models/layers/encoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/kernels/attention.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

EncoderOptions options(bool norm_first) {
  EncoderOptions out;
  out.layers = 1, out.hidden = 12, out.heads = 3, out.intermediate = 20;
  out.dropout = out.attention_dropout = 0;
  out.norm_first = norm_first;
  out.names = {.attention = "attention",
               .products = {.query = "q", .key = "k", .value = "v", .out = "o"},
               .attention_norm = "norm.one",
               .up = "up",
               .down = "down",
               .out_norm = "norm.two"};
  return out;
}

// The block written out in plain operations, from the parameters by name.
at::Tensor written_out(const EncoderBlock& block, const at::Tensor& x, const Packed& tokens,
                       bool norm_first) {
  const auto weights = block->named_parameters();
  const auto linear = [&](const char* name, const at::Tensor& y) {
    return at::linear(y, weights[std::string(name) + ".weight"],
                      weights[std::string(name) + ".bias"]);
  };
  const auto norm = [&](const char* name, const at::Tensor& y) {
    return at::layer_norm(y, {12}, weights[std::string(name) + ".weight"],
                          weights[std::string(name) + ".bias"], 1e-12);
  };
  const auto attend = [&](const at::Tensor& y) {
    const auto heads = [&](const char* name) { return linear(name, y).view({-1, 3, 4}); };
    const kernels::AttentionInputs inputs{.q = heads("attention.q"),
                                          .k = heads("attention.k"),
                                          .v = heads("attention.v"),
                                          .of_q = {tokens.cu_seqlens, tokens.max_len}};
    return linear("attention.o", kernels::attention_reference(inputs, {}).reshape({-1, 12}));
  };
  const auto feed = [&](const at::Tensor& y) { return linear("down", at::gelu(linear("up", y))); };
  if (norm_first) {
    const at::Tensor mid = x + attend(norm("norm.one", x));
    return mid + feed(norm("norm.two", mid));
  }
  const at::Tensor mid = norm("norm.one", x + attend(x));
  return norm("norm.two", mid + feed(mid));
}

TEST(EncoderBlock, NormsBeforeOrAfterEachPart) {
  for (const bool norm_first : {false, true}) {
    EncoderBlock block(options(norm_first), 0);
    uint64_t seed = 1;
    for (const auto& item : block->named_parameters()) fill_normal(item.value(), 0.5, seed++);
    Packed tokens;
    tokens.cu_seqlens = at::tensor({0, 4, 5, 9}, at::kInt);
    tokens.max_len = 4;
    const at::Tensor x = at::sin(at::arange(9 * 12, at::kFloat)).view({9, 12});
    EXPECT_LT(
        (block(x, tokens) - written_out(block, x, tokens, norm_first)).abs().max().item<float>(),
        2e-5)
        << norm_first;
  }
}

}  // namespace
}  // namespace hone
