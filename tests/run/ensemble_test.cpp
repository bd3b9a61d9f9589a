// Models of several seeds made one.
#include "run/ensemble.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"
#include "tasks/averages.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;

TEST(Averages, AreTheMeanOfProbabilities) {
  const std::vector<at::Tensor> logits = {at::randn({5, 3}) * 4, at::randn({5, 3}),
                                          at::randn({5, 3})};
  at::Tensor classes = at::zeros({5, 3}), labels = at::zeros({5, 3});
  for (const at::Tensor& one : logits) {
    classes += one.softmax(1) / 3;
    labels += one.sigmoid() / 3;
  }
  EXPECT_TRUE(at::allclose(average_of_classes(logits).softmax(1), classes, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(average_of_labels(logits).sigmoid(), labels, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(average_of_numbers(logits), (logits[0] + logits[1] + logits[2]) / 3,
                           1e-5, 1e-6));
}

TEST(Averages, StayNumbersWhereAllAreSure) {
  const std::vector<at::Tensor> sure = {at::tensor({200.0F, -200.0F}).view({1, 2}),
                                        at::tensor({300.0F, -100.0F}).view({1, 2})};
  EXPECT_TRUE(average_of_classes(sure).isfinite().all().item<bool>());
  EXPECT_TRUE(average_of_labels(sure).isfinite().all().item<bool>());
}

class Ensembles : public testing::Test, public RunInFolder {
 protected:
  std::string train(const std::string& name, std::vector<std::string> overrides = {}) const {
    overrides.push_back("output.dir=" + *this / name);
    return fine_tune(config("", overrides)).model;
  }
  std::string refusal(const std::vector<std::string>& models,
                      EnsembleAs as = EnsembleAs::kProbabilities) const {
    return error_of([&] { make_ensemble(models, as, {}, {}, 2048, *this / "refused"); });
  }
  Reading reading(const std::string& name) const {
    Reading reading;
    reading.source.path = *this / (name + ".jsonl");
    return reading;
  }
  static std::vector<Json> answers(const std::string& model) {
    return load_model(model, {.precision = "fp32"})
        ->predict(testing_support::tiny_texts(20, "x", 8));
  }
};

TEST_F(Ensembles, AnswerWithTheMeanProbability) {
  const std::string a = train("a"), b = train("b", {"train.seed=7"});
  make_ensemble({a, b}, EnsembleAs::kProbabilities, {}, {}, 2048, *this / "both");
  const auto of_a = answers(a), of_b = answers(b), of_both = answers(*this / "both");
  for (size_t i = 0; i < of_both.size(); ++i) {
    for (const auto& [label, p] : of_both[i]["scores"].items()) {
      const double mean =
          (of_a[i]["scores"][label].get<double>() + of_b[i]["scores"][label].get<double>()) / 2;
      EXPECT_NEAR(p.get<double>(), mean, 2e-6);
    }
  }
  EXPECT_EQ(test_on(*load_model(*this / "both"), reading("test"), 2048, "").report.n, 15);
}

TEST_F(Ensembles, OfOneModelTwiceAreThatModel) {
  const std::string a = train("a");
  make_ensemble({a, a}, EnsembleAs::kSoup, {}, {}, 2048, *this / "soup");
  EXPECT_EQ(answers(*this / "soup"), answers(a));
}

TEST_F(Ensembles, ASoupHasTheMeanOfEachWeight) {
  const std::string a = train("a"), b = train("b", {"train.seed=7"});
  make_ensemble({a, b}, EnsembleAs::kSoup, {}, {}, 2048, *this / "soup");
  const auto of = [](const std::string& model) {
    return Pipeline::load(model)->network().weights();
  };
  const auto of_a = of(a), of_b = of(b), of_soup = of(*this / "soup");
  for (size_t i = 0; i < of_soup.size(); ++i)
    EXPECT_TRUE(at::allclose(of_soup[i].second, (of_a[i].second + of_b[i].second) / 2, 1e-6, 1e-7))
        << of_soup[i].first;
}

TEST_F(Ensembles, AGreedySoupIsNoWorseThanItsBestModel) {
  const std::vector<std::string> models = {train("a"), train("b", {"train.num_train_epochs=25"}),
                                           train("c", {"train.seed=9"})};
  const Ensemble made =
      make_ensemble(models, EnsembleAs::kGreedySoup, reading("dev"), {}, 2048, *this / "soup");
  EXPECT_TRUE(made.ingredients.front().is_in);
  double best = 0;
  for (const std::string& model : models)
    best = std::max(best, test_on(*load_model(model), reading("dev"), 2048, "").report.score);
  EXPECT_GE(test_on(*load_model(*this / "soup"), reading("dev"), 2048, "").report.score, best);
}

TEST_F(Ensembles, OfOtherLabelsAreRefused) {
  const std::string a = train("a"), b = train("b", {"task.labels=[c, b, a]"});
  EXPECT_THAT(refusal({a, b}), HasSubstr("labels, or their order"));
  EXPECT_THAT(refusal({a, b}, EnsembleAs::kSoup), HasSubstr("labels, or their order"));
  EXPECT_FALSE(std::filesystem::exists(*this / "refused"));
}

TEST_F(Ensembles, ASoupOfTwoBasesIsRefused) {
  const std::string a = train("a");
  testing_support::write_tiny_bert(*this / "bert", {}, /*seed=*/99);
  const std::string b = train("b");
  EXPECT_THAT(refusal({a, b}, EnsembleAs::kSoup), HasSubstr("another base model"));
  testing_support::TinyBert wide;
  wide.intermediate = 32;
  testing_support::write_tiny_bert(*this / "bert", wide);
  EXPECT_THAT(refusal({a, train("c")}, EnsembleAs::kSoup), HasSubstr("names or shapes"));
}

TEST_F(Ensembles, OfOneModelOrOfEnsemblesAreRefused) {
  const std::string a = train("a");
  EXPECT_THAT(refusal({a}), HasSubstr("two models or more"));
  EXPECT_THAT(refusal({a, a}, EnsembleAs::kGreedySoup), HasSubstr("needs labelled data"));
  make_ensemble({a, a}, EnsembleAs::kProbabilities, {}, {}, 2048, *this / "both");
  const auto pipeline = Pipeline::load(*this / "both");
  EXPECT_THAT(error_of([&] { pipeline->save(*this / "saved"); }), HasSubstr("is several models"));
}

TEST_F(Ensembles, ThatAreDamagedAreModelErrors) {
  const std::string a = train("a");
  make_ensemble({a, a}, EnsembleAs::kProbabilities, {}, {}, 2048, *this / "both");
  for (const char* text : {"[]", "{\"format\": 1}", "{\"format\": 1, \"members\": []}",
                           "{\"format\": 1, \"members\": [\"../a\"]}"}) {
    write_file(*this / "both/ensemble.json", text);
    EXPECT_THAT(error_of([&] { Pipeline::load(*this / "both"); }), HasSubstr("ensemble.json"))
        << text;
  }
}

}  // namespace
}  // namespace hone
