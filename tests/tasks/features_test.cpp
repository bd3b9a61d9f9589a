// Floats beside the ids, all the way: sample, store, batch, parts, a backbone that reads them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/sample_store.h"
#include "models/layers/linear.h"
#include "tasks/network.h"

namespace hone {
namespace {

constexpr int64_t kWidth = 3, kHidden = 4;

ModelConfig frames_config() {
  ModelConfig config;
  config.base_prefix = "frames";
  config.hidden_size = kHidden;
  return config;
}

// Each sequence's rows, projected and averaged, in the place of all of its tokens.
class FramesBackbone : public Backbone {
 public:
  FramesBackbone() : Backbone(frames_config()) {
    projection_ = register_module("projection", Linear(kWidth, kHidden));
    projection_->initialise(0.5, 1);
  }
  at::Tensor forward(std::span<const Packed> streams, const Want& want) override {
    const Packed& tokens = streams.front();
    const at::Tensor projected =
        (tokens.features.matmul(projection_->weight.t()) + projection_->bias).tanh();
    std::vector<at::Tensor> of_tokens;
    for (int64_t s = 0; s < tokens.sequences(); ++s) {
      const auto between = [&](const at::Tensor& ends) {
        return std::pair(ends[s].item<int64_t>(), ends[s + 1].item<int64_t>());
      };
      const auto [first, last] = between(tokens.feature_ends);
      const auto [begin, end] = between(tokens.cu_seqlens);
      of_tokens.push_back(projected.slice(0, first, last).mean(0).expand({end - begin, kHidden}));
    }
    const at::Tensor hidden = at::cat(of_tokens);
    return want.rows.defined() ? hidden.index_select(0, want.rows) : hidden;
  }

 private:
  Linear projection_{nullptr};
};

class FirstTokenHead : public Head {
 public:
  Outputs forward(Backbone& backbone, const Batch& batch) override {
    return backbone.forward(batch.streams, {.rows = batch.streams[0].first_rows()});
  }
  void initialise(uint64_t) override {}
};

// Of `tokens` tokens and as many rows as there are values.
Sample sample_of(size_t tokens, std::vector<float> values) {
  const std::vector<int32_t> zeros(tokens, 0);
  Sample sample;
  sample.streams.push_back(
      {zeros, zeros, zeros, zeros, std::vector<Span>(tokens), {kWidth, std::move(values)}});
  return sample;
}

at::Tensor gradient_of(Network& network, const Batch& batch) {
  const at::Tensor weight = network.weights().at(0).second;
  weight.mutable_grad().reset();
  at::Tensor(network.forward(batch)).square().sum().backward();
  return weight.grad().clone();
}

TEST(Features, ReachTheBackboneThroughStoreAndBatch) {
  SampleStore store("", /*memory_limit=*/0);
  store.add(sample_of(1, {0.25F, 2, -1}));
  store.add(sample_of(3, {1, 1, 1, 0.5F, 0, -3, 2, 2, 2}));
  store.add(sample_of(2, {-0.1F, 0.2F, 0.3F, 4, 5, 6}));
  store.seal();
  EXPECT_EQ(store.lengths(), (std::vector<int32_t>{2, 6, 4})) << "tokens and rows";
  Batch batch = collate({store.get(0), store.get(1), store.get(2)}, {0, 1, 2}, 0);
  Network network(std::make_shared<FramesBackbone>(), std::make_shared<FirstTokenHead>());
  const at::Tensor whole = network.forward(batch);
  EXPECT_EQ(whole.sizes(), (at::IntArrayRef{3, kHidden}));
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor alone = network.forward(collate({store.get(i)}, {i}, 0));
    EXPECT_LT((alone[0] - whole[i]).abs().max().item<double>(), 1e-6) << i;
  }
  const at::Tensor gradient = gradient_of(network, batch);
  EXPECT_GT(gradient.norm().item<double>(), 0);
  batch.parts = {2, 1};
  EXPECT_LT((gradient_of(network, batch) - gradient).norm().item<double>(),
            1e-6 * gradient.norm().item<double>());
}

}  // namespace
}  // namespace hone
