#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/name_pattern.h"
#include "models/adapters/adapter.h"
#include "models/adapters/targets.h"
#include "models/layers/linear.h"
#include "support/errors.h"

namespace hone {
namespace {

using testing_support::error_of;

constexpr int64_t kIn = 24, kOut = 40;

Packed tokens_of(int64_t rows) {
  Packed tokens;
  tokens.ids = at::zeros({rows}, at::kLong);
  tokens.keys = at::arange(rows, at::kLong) * 7 + 3;
  tokens.seed = 5;
  return tokens;
}

at::Tensor wave(at::IntArrayRef shape, double step) {
  int64_t size = 1;
  for (const int64_t n : shape) size *= n;
  return at::sin(at::arange(size, at::kFloat) * step).view(shape);
}

ChosenAdapter chosen(const std::string& yaml) {
  Config section = Config::parse(yaml, "peft");
  ChosenAdapter method = read_method(section);
  section.refuse_unknown();
  return method;
}

Linear adapted_linear(const std::string& yaml, uint64_t key = 11, int64_t out = kOut) {
  Linear layer(kIn, out);
  layer->initialise(0.5, key);
  {
    const c10::AutoGradMode no_grad(false);
    layer->bias.copy_(wave({out}, 0.4));
  }
  layer->attach("lora", chosen(yaml).make({"encoder.layer.0.query", *layer, key, 3}));
  for (const auto& item : layer->named_parameters()) {  // B begins at zero, where A learns nothing
    const c10::AutoGradMode no_grad(false);
    if (item.key() == "lora.lora_B.weight") item.value().copy_(wave(item.value().sizes(), 0.9));
  }
  return layer;
}

at::Tensor parameter(Linear layer, const std::string& name) {
  return layer->named_parameters()[name];
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).abs().max() /
          b.to(at::kDouble).abs().max().clamp_min(1e-30))
      .item<double>();
}

TEST(Lora, TakesTheRoundedWeightOfALayerInFourBitsForItsOwn) {
  for (const char* yaml : {"{peft_type: lora, r: 4, use_dora: true}",
                           "{peft_type: lora, r: 4, use_dora: true, lora_dropout: 0.4}"}) {
    Linear layer(kIn, kOut);
    layer->initialise(0.5, 1);
    layer->bias.set_requires_grad(false);
    layer->freeze_weight({WeightForm::kNf4});
    Linear rounded(kIn, kOut);
    rounded->initialise(0.5, 1);
    const c10::AutoGradMode no_grad(false);
    rounded->weight.copy_(layer->weight_values());
    for (Linear one : {layer, rounded}) {
      one->attach("lora", chosen(yaml).make({"query", *one, 11, 3}));
      parameter(one, "lora.lora_B.weight").copy_(wave({kOut, 4}, 0.9));
    }
    const Rows rows = Rows(tokens_of(17), /*is_training=*/true).at(2);
    const at::Tensor x = wave({17, kIn}, 0.7);
    EXPECT_LT(distance(layer->forward(x, rows), rounded->forward(x, rows)), 1e-6) << yaml;
  }
}

// y and all gradients of a LoRA layer by ATen's own operations in double.
std::vector<at::Tensor> by_aten(Linear layer, const at::Tensor& x, const at::Tensor& upstream,
                                double scaling, const at::Tensor& mask) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& value :
       {x, layer->weight, layer->bias, parameter(layer, "lora.lora_A.weight"),
        parameter(layer, "lora.lora_B.weight")})
    leaves.push_back(value.detach().to(at::kDouble).requires_grad_());
  const at::Tensor y = at::linear(leaves[0], leaves[1], leaves[2]) +
                       scaling * at::linear(at::linear(leaves[0] * mask, leaves[3]), leaves[4]);
  (y * upstream.to(at::kDouble)).sum().backward();
  std::vector<at::Tensor> result = {y.detach()};
  for (const at::Tensor& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

struct LoraCase {
  const char* yaml;
  double scaling, dropout;
  bool is_training;
  at::ScalarType type;
};

class LoraLayer : public ::testing::TestWithParam<LoraCase> {};

TEST_P(LoraLayer, AgreesWithItsDefinitionInValueAndGradients) {
  const LoraCase& c = GetParam();
  Linear layer = adapted_linear(c.yaml);
  if (c.type == at::kBFloat16) layer->set_precision(Precision::kBf16);
  const Rows rows = Rows(tokens_of(17), c.is_training).at(2);
  const at::Tensor x = wave({17, kIn}, 0.7).to(c.type).requires_grad_(),
                   upstream = wave({17, kOut}, 1.3).to(c.type);
  const at::Tensor y = layer(x, rows);
  (y * upstream).sum().backward();
  kernels::DropoutOptions dropout = rows.dropout(DropoutPlace::kAdapter, c.dropout);
  dropout.seed = mix(dropout.seed, 11);
  const at::Tensor mask =
      dropout.p > 0 ? kernels::dropout_mask(17, kIn, dropout) : at::ones({17, kIn});
  const auto expected = by_aten(layer, x, upstream, c.scaling, mask.to(at::kDouble));
  const double tolerance = c.type == at::kFloat ? 2e-6 : 0.02;
  EXPECT_LT(distance(y, expected[0]), tolerance);
  EXPECT_LT(distance(x.grad(), expected[1]), tolerance);
  EXPECT_LT(distance(layer->weight.grad(), expected[2]), tolerance);
  EXPECT_LT(distance(layer->bias.grad(), expected[3]), tolerance);
  EXPECT_LT(distance(parameter(layer, "lora.lora_A.weight").grad(), expected[4]), tolerance);
  EXPECT_LT(distance(parameter(layer, "lora.lora_B.weight").grad(), expected[5]), tolerance);
}

constexpr const char* kPlain = "{peft_type: LORA, r: 4, lora_alpha: 6}";
constexpr const char* kDrops = "{peft_type: lora, r: 4, lora_alpha: 6, lora_dropout: 0.3}";
INSTANTIATE_TEST_SUITE_P(
    Forms, LoraLayer,
    ::testing::Values(
        LoraCase{kPlain, 1.5, 0, true, at::kFloat}, LoraCase{kDrops, 1.5, 0.3, true, at::kFloat},
        LoraCase{kDrops, 1.5, 0, false, at::kFloat}, LoraCase{kPlain, 1.5, 0, true, at::kBFloat16},
        LoraCase{kDrops, 1.5, 0.3, true, at::kBFloat16},
        LoraCase{"{peft_type: lora, r: 4, lora_alpha: 6, use_rslora: true}", 3, 0, true,
                 at::kFloat},
        LoraCase{"{peft_type: lora, r: 8, lora_alpha: 6, rank_pattern: {'layer\\.\\d.query': 2}}",
                 3, 0, true, at::kFloat},
        LoraCase{"{peft_type: lora, r: 4, alpha_pattern: {query: 6, value: 1}}", 1.5, 0, true,
                 at::kFloat}));

// Bit for bit: the joined product adds what each layer alone would.
TEST(Lora, JoinedLayersGiveWhatEachGivesAlone) {
  for (const char* yaml : {kPlain, kDrops}) {
    Linear query = adapted_linear(yaml, 1), key(kIn, kOut), value = adapted_linear(yaml, 2, 16);
    const JoinedLinear joined({query, key, value});
    {
      const c10::AutoGradMode no_grad(false);
      for (const Linear& layer : {query, key, value})
        layer->weight.copy_(wave(layer->weight.sizes(), 0.3));
    }
    const Rows rows = Rows(tokens_of(9), true).at(1);
    const at::Tensor x = wave({9, kIn}, 0.7).requires_grad_();
    const at::Tensor y = joined.forward(x, rows);
    EXPECT_TRUE(y.narrow(1, 0, kOut).equal(query->forward(x, rows)));
    EXPECT_TRUE(y.narrow(1, kOut, kOut).equal(key->forward(x, rows)));
    EXPECT_TRUE(y.narrow(1, 2 * kOut, 16).equal(value->forward(x, rows)));
    y.square().sum().backward();
    const at::Tensor together = x.grad().clone(),
                     of_a = parameter(value, "lora.lora_A.weight").grad().clone();
    x.mutable_grad() = at::Tensor();
    parameter(value, "lora.lora_A.weight").mutable_grad() = at::Tensor();
    (query->forward(x, rows).square().sum() + key->forward(x, rows).square().sum() +
     value->forward(x, rows).square().sum())
        .backward();
    EXPECT_LT(distance(together, x.grad()), 2e-6);
    EXPECT_LT(distance(of_a, parameter(value, "lora.lora_A.weight").grad()), 2e-6);
  }
}

TEST(Lora, DrawsOtherMasksForOtherLayersAndTheSameForARowInAnyBatch) {
  Linear one = adapted_linear(kDrops, 1), two = adapted_linear(kDrops, 2);
  two->weight.set_data(one->weight.detach());
  for (const char* name : {"lora.lora_A.weight", "lora.lora_B.weight"})
    parameter(two, name).set_data(parameter(one, name).detach());
  const at::Tensor x = wave({9, kIn}, 0.7);
  const Packed all = tokens_of(9);
  Packed part = tokens_of(4);
  part.keys = all.keys.slice(0, 5);
  const at::Tensor y = one(x, Rows(all, true).at(0));
  EXPECT_FALSE(y.equal(two(x, Rows(all, true).at(0))));
  EXPECT_FALSE(y.equal(one(x, Rows(all, true).at(1))));  // a block that layers share
  EXPECT_TRUE(y.slice(0, 5).equal(one(x.slice(0, 5), Rows(part, true).at(0))));
}

TEST(Lora, BeginsAsTheLayerItselfAndFromItsSeedAlone) {
  Linear layer(kIn, kOut), plain(kIn, kOut);
  layer->initialise(0.5, 1), plain->initialise(0.5, 1);
  const ChosenAdapter method = chosen(kPlain);
  layer->attach("lora", method.make({"q", *layer, 7, 3}));
  const at::Tensor x = wave({5, kIn}, 0.7), a = parameter(layer, "lora.lora_A.weight");
  const Rows rows(tokens_of(5), false);
  EXPECT_TRUE(layer(x, rows).equal(plain(x, rows)));
  const double bound = 1 / std::sqrt(double(kIn));
  EXPECT_LE(a.abs().max().item<double>(), bound);
  EXPECT_GT(a.abs().max().item<double>(), 0.8 * bound);
  EXPECT_NEAR(a.std().item<double>(), bound / std::sqrt(3.0), 0.2 * bound);
  const auto again = method.make({"q", *layer, 7, 3}), other = method.make({"q", *layer, 8, 3});
  EXPECT_TRUE(again->named_parameters()["lora_A.weight"].equal(a));
  EXPECT_FALSE(other->named_parameters()["lora_A.weight"].equal(a));
}

TEST(Lora, MergedLayerGivesTheSame) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    Linear layer = adapted_linear(kPlain);
    layer->set_precision(precision);
    const at::Tensor x =
        wave({5, kIn}, 0.7).to(precision == Precision::kFp32 ? at::kFloat : at::kBFloat16);
    const Rows rows(tokens_of(5), false);
    const at::Tensor before = layer(x, rows);
    layer->merge_adapters();
    EXPECT_TRUE(layer->adapters().empty());
    EXPECT_EQ(layer->named_parameters().size(), 2U);
    EXPECT_LT(distance(layer(x, rows), before), precision == Precision::kFp32 ? 1e-6 : 0.02);
  }
}

// ---- DoRA

// PEFT's formula in double, with the length of V as a constant.
std::vector<at::Tensor> dora_by_aten(Linear layer, const at::Tensor& x, const at::Tensor& upstream,
                                     double scaling, const at::Tensor& mask) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& value :
       {x, parameter(layer, "lora.lora_A.weight"), parameter(layer, "lora.lora_B.weight"),
        parameter(layer, "lora.lora_magnitude_vector")})
    leaves.push_back(value.detach().to(at::kDouble).requires_grad_());
  const at::Tensor w = layer->weight.detach().to(at::kDouble),
                   b = layer->bias.detach().to(at::kDouble), dropped = leaves[0] * mask,
                   v = w + scaling * leaves[2].detach().mm(leaves[1].detach()),
                   factor = leaves[3] / v.norm(2, 1);
  const at::Tensor low = scaling * at::linear(at::linear(dropped, leaves[1]), leaves[2]);
  const at::Tensor y =
      at::linear(leaves[0], w, b) + (factor - 1) * at::linear(dropped, w) + factor * low;
  (y * upstream.to(at::kDouble)).sum().backward();
  std::vector<at::Tensor> result = {y.detach()};
  for (const at::Tensor& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

TEST(Dora, AgreesWithItsFormulaInValueAndGradients) {
  for (const double p : {0.0, 0.3}) {
    Linear layer =
        adapted_linear("{peft_type: lora, r: 4, lora_alpha: 6, use_dora: true, lora_dropout: " +
                       std::to_string(p) + "}");
    layer->weight.requires_grad_(false);
    layer->bias.requires_grad_(false);
    parameter(layer, "lora.lora_magnitude_vector").detach().mul_(1.5);
    const Rows rows = Rows(tokens_of(17), true).at(2);
    const at::Tensor x = wave({17, kIn}, 0.7).requires_grad_(), upstream = wave({17, kOut}, 1.3);
    const at::Tensor y = layer(x, rows);
    (y * upstream).sum().backward();
    kernels::DropoutOptions dropout = rows.dropout(DropoutPlace::kAdapter, p);
    dropout.seed = mix(dropout.seed, 11);
    const at::Tensor mask = p > 0 ? kernels::dropout_mask(17, kIn, dropout) : at::ones({17, kIn});
    const auto expected = dora_by_aten(layer, x, upstream, 1.5, mask.to(at::kDouble));
    EXPECT_LT(distance(y, expected[0]), 2e-6);
    EXPECT_LT(distance(x.grad(), expected[1]), 2e-6);
    EXPECT_LT(distance(parameter(layer, "lora.lora_A.weight").grad(), expected[2]), 2e-6);
    EXPECT_LT(distance(parameter(layer, "lora.lora_B.weight").grad(), expected[3]), 2e-6);
    EXPECT_LT(distance(parameter(layer, "lora.lora_magnitude_vector").grad(), expected[4]), 5e-6);
  }
}

// ---- every method: begins as the layer itself, merges, and serves joined layers

class EveryMethod : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Adapters, EveryMethod,
                         ::testing::Values(kPlain, "{peft_type: lora, r: 4, use_dora: true}",
                                           "{peft_type: lora, r: 4, init_lora_weights: pissa}",
                                           "{peft_type: adalora, init_r: 4, target_r: 2}",
                                           "{peft_type: ia3}",
                                           "{peft_type: ia3, feedforward_modules: [query]}"));

TEST_P(EveryMethod, BeginsAsTheLayerItselfAndMerges) {
  Linear layer(kIn, kOut), plain(kIn, kOut);
  layer->initialise(0.5, 1), plain->initialise(0.5, 1);
  const ChosenAdapter method = chosen(GetParam());
  layer->attach(method.name, method.make({"layer.query", *layer, 7, 3}));
  const at::Tensor x = wave({5, kIn}, 0.7);
  const Rows rows(tokens_of(5), false);
  EXPECT_LT(distance(layer(x, rows), plain(x, rows)), 1e-6);
  for (const auto& item : layer->named_parameters()) {
    const c10::AutoGradMode no_grad(false);
    if (item.key() == "bias") item.value().copy_(wave({kOut}, 0.4));
    if (item.key().starts_with(method.name)) item.value().add_(wave(item.value().sizes(), 0.9));
  }
  const at::Tensor before = layer(x, rows);
  EXPECT_GT(distance(before, plain(x, rows)), 1e-2);
  layer->merge_adapters();
  EXPECT_LT(distance(layer(x, rows), before), 2e-6);
}

TEST_P(EveryMethod, OnJoinedLayersGivesWhatEachGivesAlone) {
  Linear query(kIn, kOut), key(kIn, kOut);
  const JoinedLinear joined({query, key});
  query->initialise(0.5, 1), key->initialise(0.5, 2);
  const ChosenAdapter method = chosen(GetParam());
  query->attach(method.name, method.make({"layer.query", *query, 7, 3}));
  for (const auto& item : query->named_parameters()) {
    const c10::AutoGradMode no_grad(false);
    if (item.key().starts_with(method.name)) item.value().add_(wave(item.value().sizes(), 0.9));
  }
  const Rows rows(tokens_of(5), true);
  const at::Tensor x = wave({5, kIn}, 0.7), y = joined.forward(x, rows);
  EXPECT_TRUE(y.narrow(1, 0, kOut).equal(query->forward(x, rows)));
  EXPECT_TRUE(y.narrow(1, kOut, kOut).equal(key->forward(x, rows)));
}

// Backward needs the input of a product for the gradient of its weight alone.
TEST(Linear, AFrozenLayerKeepsNoInput) {
  const auto is_kept = [](bool frozen) {
    Linear layer(kIn, kOut);
    layer->weight.requires_grad_(!frozen);
    layer->bias.requires_grad_(!frozen);
    at::Tensor x = (at::ones({5, kIn}).requires_grad_() * 2);
    const auto storage = x.storage().getWeakStorageImpl();
    const at::Tensor y = layer(x, Rows(tokens_of(5), true));
    x = at::Tensor();
    return !storage.expired();
  };
  EXPECT_TRUE(is_kept(false));
  EXPECT_FALSE(is_kept(true));
}

TEST(Lora, RefusesOptionsThatMeanNothing) {
  const auto refusal = [](const std::string& yaml) {
    return error_of([&] { adapted_linear(yaml); });
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refusal("{peft_type: lora, r: 0}"), HasSubstr("a rank is 1 or more"));
  EXPECT_THAT(refusal("{peft_type: lora, r: 25}"), HasSubstr("40 x 24"));
  EXPECT_THAT(refusal("{peft_type: lora, lora_alpha: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("{peft_type: lora, lora_dropout: 1}"), HasSubstr("less than 1"));
  EXPECT_THAT(refusal("{peft_type: lora, rank_pattern: {'(': 2}}"), HasSubstr("no pattern"));
  EXPECT_THAT(refusal("{peft_type: lora, rnak_pattern: {q: 2}}"), HasSubstr("rank_pattern"));
  EXPECT_THAT(refusal("{peft_type: lore}"), HasSubstr("did you mean \"lora\""));
  EXPECT_THAT(refusal("{r: 4}"), HasSubstr("\"peft_type\" is missing"));
}

// ---- which layers

const std::vector<std::string> kLinear = {"bert.encoder.layer.0.attention.self.query",
                                          "bert.encoder.layer.0.attention.output.dense",
                                          "bert.encoder.layer.0.output.dense",
                                          "bert.encoder.layer.1.attention.self.query",
                                          "bert.encoder.layer.1.attention.output.dense",
                                          "bert.encoder.layer.1.output.dense",
                                          "bert.pooler.dense"};
const std::vector<std::string> kOthers = {"bert.embeddings.word_embeddings", "bert.encoder"};

std::vector<std::string> targets(const std::string& yaml) {
  Config section = Config::parse(yaml, "peft");
  const Targets read = Targets::read(section);
  section.refuse_unknown();
  return read.among(kLinear, kOthers);
}

// As peft.tuners.tuners_utils.check_target_module_exists decides.
TEST(Targets, FollowPeft) {
  using ::testing::ElementsAre;
  EXPECT_EQ(targets("{}"), kLinear);
  EXPECT_EQ(targets("{target_modules: All-Linear}"), kLinear);
  EXPECT_THAT(targets("{target_modules: [query]}"), ElementsAre(kLinear[0], kLinear[3]));
  EXPECT_THAT(targets("{target_modules: [attention.output.dense]}"),
              ElementsAre(kLinear[1], kLinear[4]));
  EXPECT_EQ(targets("{target_modules: [dense]}").size(), 5U);
  EXPECT_THAT(targets("{target_modules: '.*\\.(?:query|key)'}"),
              ElementsAre(kLinear[0], kLinear[3]));
  EXPECT_THAT(targets("{target_modules: 'bert\\.encoder\\.layer\\.[1-9]\\d*\\..*?query'}"),
              ElementsAre(kLinear[3]));
  EXPECT_THAT(targets("{target_modules: [dense], exclude_modules: [output.dense]}"),
              ElementsAre(kLinear[6]));
  EXPECT_THAT(targets("{target_modules: [query, dense], layers_to_transform: 1}"),
              ElementsAre(kLinear[3], kLinear[4], kLinear[5]));
  EXPECT_THAT(targets("{target_modules: [query], layers_to_transform: [0], layers_pattern: layer}"),
              ElementsAre(kLinear[0]));
  EXPECT_THAT(targets("{target_modules: [bert.pooler.dense]}"), ElementsAre(kLinear[6]));
}

TEST(Targets, WhatMatchesNothingIsToldWithWhatCould) {
  const auto refusal = [](const std::string& yaml) { return error_of([&] { targets(yaml); }); };
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  EXPECT_THAT(refusal("{target_modules: [query, valeu]}"),
              AllOf(HasSubstr("peft:1:18"), HasSubstr("\"valeu\""),
                    HasSubstr("attention.self.query, bert.pooler.dense, output.dense")));
  EXPECT_THAT(refusal("{target_modules: [attention.self.qury]}"),
              HasSubstr("did you mean \"attention.self.query\""));
  EXPECT_THAT(refusal("{target_modules: [word_embeddings]}"),
              AllOf(HasSubstr("no linear layer"), HasSubstr("modules_to_save")));
  EXPECT_THAT(refusal("{target_modules: 'query'}"),
              HasSubstr("\"query\""));  // an expression: whole
  EXPECT_THAT(refusal("{target_modules: '(('}"), HasSubstr("no pattern"));
  EXPECT_THAT(refusal("{target_modules: []}"), HasSubstr("empty"));
  EXPECT_THAT(refusal("{target_modules: [query], layers_to_transform: 7}"),
              HasSubstr("none of them is left"));
  EXPECT_THAT(refusal("{layers_to_transform: 1}"), HasSubstr("goes with a list"));
}

TEST(NamePattern, FollowsPythonWhereItIsSupported) {
  const auto fits = [](const char* expression, const char* name) {
    return NamePattern(expression).matches(name);
  };
  EXPECT_TRUE(fits("a.+?c", "abc"));
  EXPECT_FALSE(fits("ab+?", "a"));  // a lazy quantifier still wants one
  EXPECT_TRUE(fits("ab??c", "ac"));
  EXPECT_TRUE(fits("[\\w.]+", "a_1.b"));
  EXPECT_FALSE(fits("[\\w]+", "a.b"));
  EXPECT_TRUE(fits("x{2,3}|y", "xxx"));
  EXPECT_FALSE(fits("x{2,3}|y", "xy"));
  EXPECT_TRUE(fits("^layer\\.\\d+$", "layer.12"));
  EXPECT_FALSE(fits("layer\\.\\d+", "layer.12.b"));
  for (const char* hostile :
       {"(a", "[a", "(?=a)b", "(a)\\1", "((x{99}){99}){99}", "x{1000}", "[\\]]", "\\p{L}"})
    EXPECT_THROW(NamePattern{hostile}, Error) << hostile;
  EXPECT_THROW(NamePattern(std::string(2000, 'a')), Error);
  EXPECT_FALSE(fits("(a*)*(a*)*(a*)*b", std::string(200, 'a').c_str()));  // and soon
}

}  // namespace
}  // namespace hone
