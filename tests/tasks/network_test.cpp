#include "tasks/network.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "tasks/heads.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelConfig tiny_config() {
  const testing_support::TemporaryFolder folder;
  testing_support::write_tiny_bert(folder.path());
  return ModelConfig::load(folder.path());
}

Network with_head(const std::string& name) {
  const ModelConfig config = tiny_config();
  HeadStyle style = config.token_head;
  style.out = name;
  return {make_backbone(config), std::make_shared<TokenHead>(config, style, 3)};
}

std::vector<std::string> names_of(const Network& network) {
  std::vector<std::string> names;
  for (const auto& [name, weight] : network.weights()) names.push_back(name);
  return names;
}

TEST(Network, NamesAHeadAsItsTaskDoes) {
  EXPECT_THAT(names_of(with_head("qa_outputs")), ::testing::Contains("qa_outputs.weight"));
  EXPECT_THAT(names_of(with_head("tags.out")), ::testing::Contains("tags.out.bias"));
}

TEST(Network, RefusesAHeadNamedAsTheBackbone) {
  EXPECT_THAT(testing_support::error_of([] { with_head("bert.encoder"); }),
              AllOf(HasSubstr("bert.encoder.weight"), HasSubstr("another name")));
}

Sample sample_of(std::vector<int32_t> ids) {
  const std::vector<int32_t> zeros(ids.size(), 0);
  const size_t size = ids.size();
  Sample sample;
  sample.streams.push_back({std::move(ids), zeros, zeros, zeros, std::vector<Span>(size)});
  return sample;
}

TEST(Network, GivesTheSameForABatchInParts) {
  Network network = with_head("classifier");
  network.backbone().initialise(3);
  network.head().initialise(4);
  Batch batch = collate({sample_of({2, 7, 3}), sample_of({2, 3}), sample_of({2, 8, 9, 10, 3})},
                        {4, 9, 11}, 5);
  const at::Tensor whole = network.forward(batch);
  batch.parts = {1, 2};
  const at::Tensor in_parts = network.forward(batch);
  EXPECT_TRUE(at::equal(in_parts, whole)) << "dropout too: it is of the sample";
  const at::Tensor weight = network.head().named_parameters()["classifier.weight"];
  whole.square().sum().backward();
  const at::Tensor gradient = weight.grad().clone();
  weight.mutable_grad().reset();
  in_parts.square().sum().backward();
  EXPECT_LT((weight.grad() - gradient).norm().item<double>(),
            1e-6 * gradient.norm().item<double>());
}

// A number for each token, two for each sample, and a weight that is the whole batch's.
class ThreeOutputs : public Head {
 public:
  explicit ThreeOutputs(int64_t hidden) {
    weight_ = register_parameter("classifier", at::ones({3, hidden}));
  }
  Outputs forward(Backbone& backbone, const Batch& batch) override {
    const at::Tensor x = backbone.forward(batch.streams).matmul(weight_.t());
    return {{x.select(1, 0), RowOf::kToken},
            {x.slice(1, 1).index_select(0, batch.streams[0].first_rows())},
            {weight_, RowOf::kBatch}};
  }
  void initialise(uint64_t) override {}

 private:
  at::Tensor weight_;
};

at::Tensor sum_of_squares(const Outputs& outputs) {
  return outputs[0].square().sum() + outputs[1].square().sum() + outputs[2].square().sum();
}

TEST(Network, GivesSeveralOutputsForABatchInParts) {
  const ModelConfig config = tiny_config();
  Network network(make_backbone(config), std::make_shared<ThreeOutputs>(config.hidden_size));
  network.backbone().initialise(3);
  Batch batch = collate({sample_of({2, 7, 3}), sample_of({2, 3}), sample_of({2, 8, 9, 10, 3})},
                        {4, 9, 11}, 5);
  const Outputs whole = network.forward(batch);
  batch.parts = {1, 2};
  const Outputs in_parts = network.forward(batch);
  ASSERT_EQ(in_parts.all().size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(in_parts[i], whole[i])) << i;
  const at::Tensor weight = network.head().named_parameters()["classifier"];
  sum_of_squares(whole).backward();
  const at::Tensor gradient = weight.grad().clone();
  weight.mutable_grad().reset();
  sum_of_squares(in_parts).backward();
  EXPECT_LT((weight.grad() - gradient).norm().item<double>(),
            1e-6 * gradient.norm().item<double>());
}

}  // namespace
}  // namespace hone
