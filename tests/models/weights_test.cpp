#include "models/weights.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::error_of;
using testing_support::TemporaryFolder;

using Parameters = std::vector<std::pair<std::string, at::Tensor>>;

TEST(LoadInto, FindsNamesWithAndWithoutThePrefix) {
  for (const char* here : {"", "bert."}) {
    for (const char* there : {"", "bert."}) {
      const at::Tensor parameter = at::zeros({2, 2}).requires_grad_();
      const LoadReport report =
          load_into({{std::string(here) + "pooler.weight", parameter}},
                    {{std::string(there) + "pooler.weight", at::ones({2, 2})}}, "bert", "x");
      EXPECT_TRUE(parameter.equal(at::ones({2, 2}))) << here << there;
      EXPECT_THAT(report.missing, IsEmpty());
      EXPECT_THAT(report.unexpected, IsEmpty());
    }
  }
}

TEST(LoadInto, KnowsTheOldNamesOfLayerNorm) {
  const at::Tensor weight = at::zeros({2}), bias = at::zeros({2});
  load_into({{"embeddings.LayerNorm.weight", weight}, {"embeddings.LayerNorm.bias", bias}},
            {{"bert.embeddings.LayerNorm.gamma", at::full({2}, 3.0f)},
             {"bert.embeddings.LayerNorm.beta", at::full({2}, 4.0f)}},
            "bert", "x");
  EXPECT_EQ(weight[0].item<float>(), 3);
  EXPECT_EQ(bias[0].item<float>(), 4);
}

TEST(LoadInto, ReportsMissingAndUnexpectedButNotDerivedBuffers) {
  const at::Tensor kept = at::full({2}, 5.0f);
  const LoadReport report = load_into(
      {{"a", kept}},
      {{"cls.predictions.bias", at::ones({2})}, {"embeddings.position_ids", at::arange(3)}}, "bert",
      "x");
  EXPECT_THAT(report.missing, ElementsAre("a"));
  EXPECT_THAT(report.unexpected, ElementsAre("cls.predictions.bias"));
  EXPECT_EQ(kept[0].item<float>(), 5);
}

TEST(LoadInto, PrefersTheExactNameAndReportsTheOther) {
  const at::Tensor parameter = at::zeros({1});
  const LoadReport report = load_into(
      {{"a", parameter}}, {{"a", at::ones({1})}, {"bert.a", at::full({1}, 2.0f)}}, "bert", "x");
  EXPECT_EQ(parameter.item<float>(), 1);
  EXPECT_THAT(report.unexpected, ElementsAre("bert.a"));
}

TEST(LoadInto, NamesWrongShapesAndTypes) {
  const Parameters parameters = {{"w", at::zeros({2, 3})}};
  EXPECT_EQ(error_of([&] {
              load_into(parameters, {{"bert.w", at::zeros({3, 2})}}, "bert", "model.safetensors");
            }),
            "model.safetensors: \"bert.w\" has shape [3, 2] but the model wants [2, 3]; does "
            "config.json belong to these weights?");
  EXPECT_THAT(
      error_of([&] { load_into(parameters, {{"w", at::zeros({2, 3}, at::kLong)}}, "bert", "x"); }),
      HasSubstr("\"w\" has type Long but the model wants Float"));
}

TEST(LoadInto, WidensHalfTypes) {
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const at::Tensor parameter = at::zeros({3});
    load_into({{"w", parameter}}, {{"w", at::tensor({0.5, -1.25, 3.0}).to(type)}}, "", "x");
    EXPECT_TRUE(parameter.equal(at::tensor({0.5f, -1.25f, 3.0f})));
  }
}

TEST(LoadInto, NamesTheFirstValueThatIsNoNumber) {
  const auto load = [](const at::Tensor& weight) {
    return error_of([&] { load_into({{"w", at::zeros({2, 2})}}, {{"w", weight}}, "", "x"); });
  };
  const float nan = std::nanf(""), infinite = std::numeric_limits<float>::infinity();
  EXPECT_THAT(load(at::tensor({1.0f, 2.0f, nan, nan}).view({2, 2})),
              HasSubstr("\"w\" has the value nan (number 3 of 4)"));
  EXPECT_THAT(load(at::tensor({1.0f, -infinite, infinite, 0.0f}).view({2, 2})),
              HasSubstr("\"w\" has the value -inf (number 2 of 4)"));
  EXPECT_EQ(load(at::full({2, 2}, std::numeric_limits<float>::max())), "no error")
      << "only their sum is infinite";
}

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(folder_ / "model-00001-of-00002.safetensors", {{"a", at::ones({2})}});
    write_safetensors(folder_ / "model-00002-of-00002.safetensors", {{"b", at::zeros({3})}});
  }
  std::string error_with(const std::string& index) {
    write_file(folder_ / "model.safetensors.index.json", index);
    return error_of([&] { load_state_dict(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(Shards, AreReadByTheirIndex) {
  write_file(
      folder_ / "model.safetensors.index.json",
      R"({"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  const StateDict weights = load_state_dict(folder_.path());
  EXPECT_EQ(weights.size(), 2u);
  EXPECT_TRUE(weights.at("b").equal(at::zeros({3})));
}

TEST_F(Shards, WithDefectsAreNamed) {
  EXPECT_THAT(error_with(R"({"weight_map":{"a":"model-00003-of-00002.safetensors"}})"),
              HasSubstr("model-00003-of-00002.safetensors: cannot be opened"));
  EXPECT_THAT(error_with(R"({"weight_map":{"c":"model-00001-of-00002.safetensors"}})"),
              HasSubstr("model-00001-of-00002.safetensors: tensor \"c\" is not here, though "
                        "model.safetensors.index.json says so"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":"../secret.safetensors"}})"),
              HasSubstr("should be a file name in this folder, not \"../secret.safetensors\""));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":".hidden.safetensors"}})"),
              HasSubstr("should be a file name in this folder, not \".hidden.safetensors\""));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":7}})"),
              HasSubstr("should be a file name in this folder, not 7"));
  EXPECT_THAT(error_with(R"({"weights":{}})"),
              HasSubstr("model.safetensors.index.json: has no \"weight_map\""));
}

TEST(LoadStateDict, LeavesOutTheNamesOfWrappersWhereAllHaveThem) {
  const TemporaryFolder folder;
  const auto names = [&](const StateDict& weights) {
    write_safetensors(folder / "model.safetensors", weights);
    std::vector<std::string> out;
    for (const auto& [name, tensor] : load_state_dict(folder.path())) out.push_back(name);
    return out;
  };
  const at::Tensor one = at::ones({1});
  EXPECT_THAT(names({{"module.a", one}, {"module.b", one}}), ElementsAre("a", "b"));
  EXPECT_THAT(names({{"_orig_mod.module.a", one}}), ElementsAre("a"));
  EXPECT_THAT(names({{"module.a", one}, {"b", one}}), ElementsAre("b", "module.a"));
}

TEST(LoadStateDict, SaysWhichFilesWereLookedFor) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { load_state_dict(folder.path()); }),
              HasSubstr("has no weights: none of model.safetensors"));
}

}  // namespace
}  // namespace hone
