#include "tasks/causal_lm_head.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/kernels/cross_entropy.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_decoder.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

// Gemma 2 caps its logits.
const Json kTied = {{"tie_word_embeddings", true}}, kUntied = {{"tie_word_embeddings", false}},
           kCapped = {{"final_logit_softcapping", 0.5}};

struct Model {
  std::shared_ptr<CausalLmHead> head;
  std::unique_ptr<Network> network;

  explicit Model(const std::string& model_type, const Json& changes = kTied) {
    const TemporaryFolder folder;
    testing_support::write_tiny_decoder(folder.path(), model_type, changes);
    const ModelConfig config = ModelConfig::load(folder.path());
    const auto backbone = make_backbone(config);
    backbone->initialise(3);
    head = std::make_shared<CausalLmHead>(config);
    network = std::make_unique<Network>(backbone, head);
    head->initialise(4);
    network->eval();
  }
  Backbone& backbone() { return network->backbone(); }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, weight] : network->weights()) names.push_back(name);
    return names;
  }
  at::Tensor output_weight() {
    for (const auto& [name, weight] : network->weights())
      if (name == "lm_head.weight") return weight;
    return backbone().word_table();
  }
};

Batch texts(const std::vector<std::vector<int32_t>>& all) {
  std::vector<Sample> samples;
  std::vector<int64_t> indices;
  for (const auto& ids : all) {
    const std::vector<int32_t> zeros(ids.size(), 0);
    indices.push_back(static_cast<int64_t>(samples.size()));
    samples.emplace_back().streams.push_back(
        {ids, zeros, zeros, zeros, std::vector<Span>(ids.size())});
  }
  return collate(samples, indices, 0);
}
at::Tensor longs(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }
Batch two_texts() { return texts({{2, 7, 8, 9}, {11, 12, 13}}); }

at::Tensor capped(const at::Tensor& x, double cap) { return at::tanh(x / cap) * cap; }

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item<double>();
}

TEST(CausalLmHead, MultipliesWithTheTableOfWordsOrWithWeightsOfItsOwn) {
  const c10::AutoGradMode no_grad(false);
  for (const Json& changes : {kTied, kUntied}) {
    Model model("llama", changes);
    const Batch batch = two_texts();
    const at::Tensor expected =
        at::mm(model.backbone().forward(batch.streams), model.output_weight().t());
    const at::Tensor logits = model.network->forward(batch);
    EXPECT_EQ(logits.sizes(), at::IntArrayRef({7, 45}));
    EXPECT_LT(difference(logits, expected), 1e-5) << changes;
  }
  EXPECT_THAT(Model("llama", kUntied).names(), testing::Contains("lm_head.weight"));
  EXPECT_THAT(Model("llama", kTied).names(), testing::Not(testing::Contains(HasSubstr("lm_head"))));
}

TEST(CausalLmHead, CapsLogits) {
  const c10::AutoGradMode no_grad(false);
  Model model("gemma2", kCapped);
  const at::Tensor states = model.head->states(model.backbone(), two_texts(), {}),
                   raw = at::mm(states, model.backbone().word_table().t());
  ASSERT_GT(raw.abs().max().item<float>(), 0.5);
  EXPECT_LT(difference(model.head->logits(model.backbone(), states), capped(raw, 0.5)), 1e-5);
}

// Loss and gradients of the chunked loss, beside those of whole logits.
TEST(CausalLmHead, LossAndGradientsAreThoseOfItsLogits) {
  for (const auto& [model_type, changes] :
       {std::pair("llama", kTied), {"llama", kUntied}, {"gemma2", kCapped}}) {
    for (const double smoothing : {0.0, 0.1}) {
      const Batch batch = two_texts();
      const at::Tensor rows = longs({0, 2, 3, 5}), targets = longs({7, 9, -100, 13});
      std::vector<StateDict> gradients;
      std::vector<double> losses;
      for (const bool in_chunks : {true, false}) {
        Model model(model_type, changes);
        const at::Tensor states = model.head->states(model.backbone(), batch, rows);
        const at::Tensor loss =
            in_chunks ? model.head->loss(model.backbone(), states, targets, smoothing)
                      : kernels::cross_entropy_sum(model.head->logits(model.backbone(), states),
                                                   targets, -100, smoothing);
        loss.backward();
        losses.push_back(loss.item<double>());
        StateDict& all = gradients.emplace_back();
        for (const auto& [name, weight] : model.network->weights()) all[name] = weight.grad();
      }
      EXPECT_NEAR(losses[0] / losses[1], 1, 1e-5);
      for (const auto& [name, gradient] : gradients[1])
        EXPECT_LT(difference(gradients[0].at(name), gradient), 2e-5)
            << model_type << " " << name << ", smoothing " << smoothing;
    }
  }
}

TEST(CausalLmHead, RecomputedBlocksHaveTheSameGradients) {
  for (const char* model_type : {"llama", "gemma2"}) {
    std::vector<StateDict> gradients;
    for (const bool recomputes : {true, false}) {
      Model model(model_type);
      model.network->set_recompute(recomputes);
      model.network->train();
      const at::Tensor states = model.head->states(model.backbone(), two_texts(), longs({0, 2, 5}));
      model.head->loss(model.backbone(), states, longs({7, 9, 13})).backward();
      StateDict& all = gradients.emplace_back();
      for (const auto& [name, weight] : model.network->weights()) all[name] = weight.grad();
    }
    for (const auto& [name, gradient] : gradients[1])
      EXPECT_TRUE(at::equal(gradients[0].at(name), gradient)) << model_type << " " << name;
  }
}

// A row without a target changes nothing, and nothing is computed for it behind the last block's
// attention.
TEST(CausalLmHead, RowsWithoutATargetChangeNothing) {
  Model model("llama", kUntied);
  const Batch batch = two_texts();
  const at::Tensor some = longs({1, 4}), targets = longs({8, 12}),
                   all = longs({0, 1, 2, 3, 4, 5, 6}),
                   all_targets = longs({-100, 8, -100, -100, 12, -100, -100});
  const at::Tensor few = model.head->states(model.backbone(), batch, some);
  EXPECT_EQ(few.sizes(), at::IntArrayRef({2, 16}));
  const double loss = model.head->loss(model.backbone(), few, targets).item<double>(),
               same = model.head
                          ->loss(model.backbone(), model.head->states(model.backbone(), batch, all),
                                 all_targets)
                          .item<double>();
  EXPECT_NEAR(loss, same, 1e-5);
}

TEST(CausalLmHead, NextTokensOfACacheHaveTheLogitsOfTheWhole) {
  const c10::AutoGradMode no_grad(false);
  for (const char* model_type : {"gpt2", "gemma2"}) {
    Model model(model_type);
    const Batch whole = two_texts();
    const at::Tensor expected = model.head->states(model.backbone(), whole, longs({3, 6}));
    KeyValueCache cache(model.backbone().config().num_layers);
    model.head->states(model.backbone(), texts({{2, 7, 8}, {11, 12}}), {}, &cache);
    Batch next = texts({{9}, {13}});
    next.streams[0].positions = longs({3, 2});
    const at::Tensor given = model.head->states(model.backbone(), next, {}, &cache);
    EXPECT_LT(difference(given, expected), 1e-5) << model_type;
  }
}

TEST(CausalLmHead, ComputesInTheBackbonesPrecision) {
  const c10::AutoGradMode no_grad(false);
  for (const Json& changes : {kTied, kUntied}) {
    Model model("llama", changes);
    const Batch batch = two_texts();
    const at::Tensor exact = model.network->forward(batch);
    for (const auto& [precision, off] :
         {std::pair(Precision::kBf16, 0.03), {Precision::kInt8, 0.05}}) {
      model.network->set_precision(precision);
      const at::Tensor logits = model.network->forward(batch);
      EXPECT_EQ(logits.scalar_type(), at::kFloat);
      EXPECT_LT(difference(logits, exact), off) << precision_name(precision);
      EXPECT_GT(difference(logits, exact), 1e-5) << "nothing was rounded";
    }
    model.network->set_precision(Precision::kFp32);
    EXPECT_TRUE(at::equal(at::Tensor(model.network->forward(batch)), exact));
  }
}

TEST(CausalLmHead, TrainsInBf16OnACopyThatIsRefreshed) {
  for (const Json& changes : {kTied, kUntied}) {
    Model model("llama", changes);
    model.network->set_precision(Precision::kBf16);
    const Batch batch = two_texts();
    const at::Tensor rows = longs({0, 5}), targets = longs({3, 4});
    const auto loss = [&] {
      const at::Tensor states = model.head->states(model.backbone(), batch, rows);
      EXPECT_EQ(states.scalar_type(), at::kBFloat16);
      return model.head->loss(model.backbone(), states, targets);
    };
    const at::Tensor before = loss(), weight = model.output_weight();
    before.backward();
    EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
    EXPECT_GT(weight.grad().abs().sum().item<float>(), 0);
    {
      const c10::AutoGradMode no_grad(false);
      weight.sub_(weight.grad(), 0.1);
    }
    model.network->refresh_shadows();
    EXPECT_LT(loss().item<float>(), before.item<float>()) << changes;
  }
}

TEST(CausalLmHead, IsOfDecodersAlone) {
  const TemporaryFolder folder;
  testing_support::write_tiny_bert(folder.path());
  EXPECT_THAT(error_of([&] { CausalLmHead head(ModelConfig::load(folder.path())); }),
              HasSubstr("models of the family bert predict no next token"));
}

TEST(CausalLmHead, TellsWhatAVocabularysLogitsTake) {
  Model model("llama");
  EXPECT_EQ(model.head->loss_bytes(Precision::kFp32), 2 * 256 * 45 * 4);
  EXPECT_EQ(model.head->loss_bytes(Precision::kBf16), 256 * 45 * 4);
}

}  // namespace
}  // namespace hone
