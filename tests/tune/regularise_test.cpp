#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "support/tiny_run.h"
#include "support/toy_similarity.h"
#include "tasks/divergence.h"
#include "tune/batch_loader.h"
#include "tune/parameters.h"
#include "tune/regularise/regularisers.h"
#include "tune/regularise/shifts.h"

namespace hone {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::largest_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

std::vector<ChosenRegulariser> chosen(const std::string& yaml) {
  Config root = Config::parse(yaml, "run.yaml");
  Config section = root.section("regularise");
  auto all = read_regularisers(section);
  root.refuse_unknown();
  return all;
}

// A network with its regularisers, and the gradient of samples.
class Trained {
 public:
  Trained(TinyRun& run, const std::string& regularise, bool loads = true) : run_(run) {
    if (loads) run.load_pipeline();
    network().train();
    optimizer_ = optimizers().named("adamw").make(trainable_parameters(network(), tiny_options()),
                                                  tiny_options());
    all_ = std::make_unique<Regularisers>(chosen("regularise: " + regularise),
                                          RegulariserContext{run.pipeline(), *optimizer_});
    pass_ = all_->pass(run.pipeline().task(), network(), {});
  }

  Network& network() { return run_.pipeline().network(); }
  Batch batch(const std::vector<int64_t>& indices) const {
    return make_micro_batch(run_.store(), indices, 42, 0).batch;
  }
  const PassResult& last() const { return last_; }
  double sum() const { return sum_; }  // of the losses of all passes

  // Of the samples in micro-batches of so many.
  std::map<std::string, at::Tensor> gradient(int64_t samples, int64_t micro) {
    clear_gradients(optimizer_->parameters());
    numbers.clear();
    sum_ = 0;
    double count = 0;
    for (int64_t first = 0; first < samples; first += micro) {
      std::vector<int64_t> indices;
      for (int64_t i = first; i < first + micro; ++i) indices.push_back(i);
      last_ = pass_(batch(indices));
      count += last_.count;
      sum_ += last_.loss;
      for (const auto& [name, value] : last_.numbers) numbers[name] += value;
    }
    all_->before_step(count);
    std::map<std::string, at::Tensor> all;
    for (const Parameter& p : optimizer_->parameters()) all[p.name] = p.value.grad().clone();
    clear_gradients(optimizer_->parameters());
    return all;
  }

  std::map<std::string, double> numbers;

 private:
  TinyRun& run_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Regularisers> all_;
  Pass pass_;
  PassResult last_;
  double sum_ = 0;
};

// ---- how far outputs are apart

TEST(Divergence, OfClassesIsTheMeanOfBothKullbackLeiblers) {
  const at::Tensor a = at::randn({5, 4}, at::kDouble), b = at::randn({5, 4}, at::kDouble),
                   has_target = at::tensor({1, 0, 1, 1, 0}).to(at::kBool);
  const at::Tensor log_p = at::log_softmax(a, 1), log_q = at::log_softmax(b, 1);
  const at::Tensor both = (at::kl_div(log_q, log_p.exp(), at::Reduction::None) +
                           at::kl_div(log_p, log_q.exp(), at::Reduction::None))
                              .sum(1);
  EXPECT_NEAR(class_divergence(a, b, has_target).item<double>(),
              (both * has_target.to(at::kDouble)).sum().item<double>() / 2, 1e-12);
  EXPECT_EQ(class_divergence(a, a, has_target).item<double>(), 0);
}

TEST(Divergence, OfLabelsIsThatOfTwoClassesEach) {
  const at::Tensor a = at::randn({6, 3}, at::kDouble), b = at::randn({6, 3}, at::kDouble);
  const auto as_classes = [](const at::Tensor& x) {
    return at::stack({x.flatten(), at::zeros({x.numel()}, at::kDouble)}, 1);
  };
  const at::Tensor all = at::ones({6, 3}, at::kBool);
  EXPECT_NEAR(label_divergence(a, b, all).item<double>(),
              class_divergence(as_classes(a), as_classes(b), all.flatten()).item<double>(), 1e-12);
}

// ---- shifts of embeddings

// Of a sample whose two sequences have two tokens and one, and of one with a single token.
TEST(Shifts, AreMeasuredOverAllSequencesOfASample) {
  const auto sequence = [](size_t tokens) {
    const std::vector<int32_t> ones(tokens, 1);
    return Sequence{ones, ones, ones, ones, std::vector<Span>(tokens)};
  };
  Sample two;
  two.streams.emplace_back();
  two.streams[0].append(sequence(2));
  two.streams[0].append(sequence(1));
  const Batch batch = collate({two, Sample{{sequence(1)}}}, {0, 1}, 0);
  EXPECT_TRUE(tokens_of(batch).equal(at::tensor({3.0, 1.0}, at::kDouble)));
  const Shifts ones = {at::ones({4, 3})};
  EXPECT_TRUE(norms(batch, ones).allclose(at::tensor({3.0, std::sqrt(3.0)}, at::kDouble)));
  const Shifts halved = scaled(batch, ones, at::tensor({0.5, 2.0}, at::kDouble));
  EXPECT_TRUE(halved[0].select(1, 0).equal(at::tensor({0.5F, 0.5F, 0.5F, 2.0F})));
}

// The factor is beyond fp32, and what it gives is not.
TEST(Shifts, OfTinyGradientsHaveTheirLengthAllTheSame) {
  const std::vector<int32_t> ones(2, 1);
  const Sample sample{{Sequence{ones, ones, ones, ones, std::vector<Span>(2)}}};
  const Batch batch = collate({sample, sample}, {0, 1}, 0);
  const Shifts moved = leaves({at::zeros({4, 3})});
  moved[0].mutable_grad() = at::full({4, 3}, 2e-38F);
  moved[0].grad().slice(0, 2).zero_();
  const at::Tensor length = norms(batch, ascent(batch, moved, 1000));
  EXPECT_NEAR(length[0].item<double>(), 1000, 1e-2);
  EXPECT_EQ(length[1].item<double>(), 0);
}

// ---- the section

TEST(Regularise, WhatIsNoneGetsTheNearestAtItsPlace) {
  const auto refusal = [](const std::string& yaml) {
    return error_of([&] { chosen("regularise:\n  " + yaml + "\n"); });
  };
  EXPECT_THAT(refusal("rdrop: {}"),
              AllOf(HasSubstr("run.yaml:2:"), HasSubstr("did you mean \"r_drop\"")));
  EXPECT_THAT(refusal("r_drop: {alfa: 1}"),
              AllOf(HasSubstr("run.yaml:2:"), HasSubstr("\"alpha\"")));
  EXPECT_THAT(refusal("r_drop: {alpha: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("fgm: {epsilon: -1}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("pgd: {steps: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("freelb: {epsilon: -1}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("neftune: {alpha: -1}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("ema: {decay: 1}"), HasSubstr("less than 1"));
  EXPECT_THAT(refusal("swa: {start: 1}"), HasSubstr("less than 1"));
  EXPECT_THAT(refusal("swa: {every: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("l2_sp: {alpha: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("mixout: {p: 1}"), HasSubstr("less than 1"));
  EXPECT_THAT(refusal("word_dropout: {p: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("layer_drop: {p: 1}"), HasSubstr("less than 1"));
  EXPECT_THAT(refusal("mixup: {alpha: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("reinit: {layers: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("gradual_unfreezing: {share: 0}"), HasSubstr("above 0"));
  EXPECT_THAT(refusal("smart: {xi: 0}"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("ema:"), HasSubstr("write \"ema: {}\""));
  EXPECT_THAT(refusal("average: {last: 1}"), HasSubstr("2 or more"));
  EXPECT_THAT(refusal("average: {}\n  ema: {}"), HasSubstr("take one"));
}

TEST(Regularise, IsTakenInTheOrderOfTheTable) {
  std::vector<std::string> names;
  for (const auto& one : chosen("regularise: {ema: {}, fgm: {}, r_drop: {}}"))
    names.push_back(one.name);
  EXPECT_EQ(names, (std::vector<std::string>{"r_drop", "fgm", "ema"}));
}

// ---- gradients

struct Case {
  const char *task, *yaml;
};

class EveryRegulariser : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Regularise, EveryRegulariser,
    testing::Values(Case{"classify", "{r_drop: {alpha: 2}}"}, Case{"classify", "{fgm: {}}"},
                    Case{"classify", "{r_drop: {}, fgm: {}, ema: {}}"},
                    Case{"ner", "{r_drop: {alpha: 2}, fgm: {}}"}, Case{"classify", "{pgd: {}}"},
                    Case{"ner", "{pgd: {steps: 2}, r_drop: {}}"}, Case{"classify", "{freelb: {}}"},
                    Case{"ner", "{freelb: {steps: 2, epsilon: 0.1}}"},
                    Case{"classify", "{neftune: {}}"}, Case{"classify", "{smart: {}}"},
                    Case{"ner", "{smart: {steps: 2}, pgd: {steps: 2}}"},
                    Case{"classify", "{word_dropout: {p: 0.3}, r_drop: {}}"},
                    Case{"classify", "{layer_drop: {p: 0.4}, r_drop: {}}"},
                    Case{"ner", "{layer_drop: {p: 0.4}, fgm: {}}"}, Case{"classify", "{l2_sp: {}}"},
                    Case{"ner", "{mixout: {p: 0.5}, fgm: {}}"},
                    Case{"classify", "{reinit: {}, mixout: {}, l2_sp: {}, swa: {}}"},
                    Case{"ner", "{neftune: {}, r_drop: {}, fgm: {}}"}));

TEST_P(EveryRegulariser, GradientDependsOnTheSamplesAlone) {
  TinyRun run(GetParam().task, {}, 16);
  Trained trained(run, GetParam().yaml);
  const auto whole = trained.gradient(16, 16);
  const auto numbers = trained.numbers;
  double size = 0;
  for (const auto& [name, value] : whole) size = std::max(size, value.abs().max().item<double>());
  for (const int64_t micro : {4, 1}) {
    for (const auto& [name, value] : trained.gradient(16, micro))
      EXPECT_LT((value - whole.at(name)).abs().max().item<double>() / size, 2e-6)
          << name << " in micro-batches of " << micro;
    for (const auto& [name, value] : trained.numbers)
      EXPECT_NEAR(value, numbers.at(name), 1e-5 * std::abs(numbers.at(name))) << name;
  }
}

TEST(RDrop, DivergesWithDropoutAndNotWithout) {
  for (const char* task : {"classify", "ner"}) {
    TinyRun with(task), without(task, {.dropout = 0});
    Trained a(with, "{r_drop: {}}"), b(without, "{r_drop: {}}");
    a.gradient(8, 8);
    b.gradient(8, 8);
    EXPECT_GT(a.numbers.at("r_drop.divergence"), 1e-6) << task;
    EXPECT_EQ(b.numbers.at("r_drop.divergence"), 0) << task;
  }
}

TEST(RDrop, ComparesLabelsAndNumbersToo) {
  for (const char* yaml :
       {"{type: multi, label_separator: x}", "{type: regression, label: length}"}) {
    TinyRun run;
    for (auto* records : {&run.train_records(), &run.validation_records()}) {
      for (Record& record : *records)
        record.fields["length"] = record.fields["text"].get<std::string>().size() / 10.0;
    }
    run.task_yaml = yaml;
    Trained trained(run, "{r_drop: {}}");
    trained.gradient(8, 8);
    EXPECT_GT(trained.numbers.at("r_drop.divergence"), 1e-8) << yaml;
  }
}

// The mean of two losses and the divergence, from two passes made by hand.
TEST(RDrop, GradientIsThatOfItsFormula) {
  TinyRun run;
  Trained trained(run, "{r_drop: {alpha: 3}}");
  const auto ours = trained.gradient(8, 8);
  const Task& task = run.pipeline().task();
  Batch batch = trained.batch({0, 1, 2, 3, 4, 5, 6, 7});
  const at::Tensor a = trained.network().forward(batch);
  batch.streams[0].pass = 1;
  const at::Tensor b = trained.network().forward(batch);
  const at::Tensor apart = task.divergence()(a, b, batch);
  ((task.loss(a, batch).sum + task.loss(b, batch).sum) / 2 + 3 * apart).backward();
  for (const auto& [name, value] : trained.network().weights())
    EXPECT_TRUE(at::allclose(ours.at(name), value.grad(), 1e-5, 1e-7)) << name;
  EXPECT_NEAR(trained.numbers.at("r_drop.divergence"), apart.item<double>(), 1e-6);
}

// Both passes by hand, dropout on: the second has the first one's masks, or gradients would differ.
TEST(Fgm, GradientIsThatOfAPlainAndAnAdversarialPassWithTheSameMasks) {
  TinyRun run;
  Trained trained(run, "{fgm: {epsilon: 0.01}}");
  const auto ours = trained.gradient(6, 6);
  const Task& task = run.pipeline().task();
  Batch batch = trained.batch({0, 1, 2, 3, 4, 5});
  Packed& tokens = batch.streams[0];
  const at::Tensor move = at::zeros({tokens.tokens(), 16}).requires_grad_();
  tokens.shift = move;
  task.forward_loss(trained.network(), batch).sum.backward();
  at::Tensor shift = at::zeros_like(move, move.options().requires_grad(false));
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < tokens.sequences(); ++s) {
    const at::Tensor g = move.grad().slice(0, ends[s], ends[s + 1]);
    shift.slice(0, ends[s], ends[s + 1]).copy_(0.01 * g / g.norm());
    EXPECT_NEAR(shift.slice(0, ends[s], ends[s + 1]).norm().item<double>(), 0.01, 1e-6);
  }
  tokens.shift = shift;
  const at::Tensor adversarial = task.forward_loss(trained.network(), batch).sum;
  adversarial.backward();
  for (const auto& [name, value] : trained.network().weights())
    EXPECT_TRUE(at::allclose(ours.at(name), value.grad(), 1e-4, 1e-6)) << name;
  EXPECT_NEAR(trained.numbers.at("fgm.loss"), adversarial.item<double>(), 1e-5);
  EXPECT_GT(trained.numbers.at("fgm.loss"), trained.last().loss);
}

TEST(RDrop, IsRefusedForATaskThatCannotCompareOutputs) {
  TinyRun run(toy_similarity::kName);
  run.regularise_yaml = "{r_drop: {}}";
  for (Record& record : run.train_records()) record.fields["other"] = record.fields["text"];
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  EXPECT_THAT(error_of([&] { run.train(options); }),
              AllOf(HasSubstr("regularise.r_drop"), HasSubstr("toy_similarity")));
}

// ---- several adversarial steps

// Passes by hand at word embeddings of one stream that were moved.
class ByHand {
 public:
  ByHand(Trained& trained, const Task& task) : trained_(trained), task_(task) {
    batch_ = trained.batch({0, 1, 2, 3, 4, 5});
  }
  at::Tensor zero() const { return at::zeros({batch_.streams[0].tokens(), 16}); }
  // The slope of the loss by `shift`; gradients of weights add up.
  at::Tensor slope(const at::Tensor& shift) {
    const at::Tensor leaf = shift.detach().clone().requires_grad_();
    batch_.streams[0].shift = leaf;
    const at::Tensor loss = task_.forward_loss(trained_.network(), batch_).sum;
    loss.backward();
    last_loss = loss.item<double>();
    return leaf.grad();
  }
  // Sample by sample: shift + size · g / ‖g‖, cut to the radius.
  at::Tensor climbed(const at::Tensor& shift, const at::Tensor& slope, double size,
                     double radius) const {
    at::Tensor moved = shift.clone();
    const auto* ends = batch_.streams[0].cu_seqlens.const_data_ptr<int32_t>();
    for (int64_t s = 0; s < batch_.streams[0].sequences(); ++s) {
      at::Tensor own = moved.slice(0, ends[s], ends[s + 1]);
      const at::Tensor g = slope.slice(0, ends[s], ends[s + 1]);
      own.add_(size * g / g.norm());
      own.mul_(std::min(1.0, radius / own.norm().item<double>()));
    }
    return moved;
  }
  void forget_gradients() {
    for (const auto& [name, value] : trained_.network().weights()) value.mutable_grad().reset();
  }
  std::map<std::string, at::Tensor> gradients() {
    std::map<std::string, at::Tensor> all;
    for (const auto& [name, value] : trained_.network().weights()) all[name] = value.grad().clone();
    return all;
  }
  double last_loss = 0;

 private:
  Trained& trained_;
  const Task& task_;
  Batch batch_;
};

TEST(Pgd, GradientIsThatOfAPlainPassAndOfOneWhereTheStepsEnd) {
  TinyRun run;
  Trained trained(run, "{pgd: {alpha: 0.01, epsilon: 0.015, steps: 3}}");
  const auto ours = trained.gradient(6, 6);
  ByHand hand(trained, run.pipeline().task());
  at::Tensor shift = hand.climbed(hand.zero(), hand.slope(hand.zero()), 0.01, 0.015);
  const auto plain = hand.gradients();
  for (int step = 0; step < 2; ++step) shift = hand.climbed(shift, hand.slope(shift), 0.01, 0.015);
  hand.forget_gradients();
  hand.slope(shift);
  for (const auto& [name, value] : hand.gradients())
    EXPECT_TRUE(at::allclose(ours.at(name), plain.at(name) + value, 1e-4, 1e-6)) << name;
  EXPECT_NEAR(trained.numbers.at("pgd.loss"), hand.last_loss, 1e-5);
  EXPECT_GT(trained.numbers.at("pgd.loss"), trained.last().loss);
}

TEST(Pgd, LeavesWeightsAsTheyWereTrainedOrNot) {
  TinyRun run;
  Trained trained(run, "{pgd: {}}");
  trained.network().weights().front().second.requires_grad_(false);
  const auto is_trained = [&] {
    std::vector<bool> all;
    for (const auto& [name, value] : trained.network().weights())
      all.push_back(value.requires_grad());
    return all;
  };
  const auto before = is_trained();
  trained.network().weights().front().second.requires_grad_(true);
  EXPECT_NE(before, is_trained());
  trained.gradient(4, 4);
  EXPECT_EQ(is_trained(), std::vector<bool>(before.size(), true));
}

// One regulariser of a small run, with a batch and a shift of another one around it.
struct Alone {
  explicit Alone(const std::string& yaml) {
    run.load_pipeline();
    run.pipeline().network().train();
    optimizer = optimizers().named("adamw").make(
        trainable_parameters(run.pipeline().network(), tiny_options()), tiny_options());
    one = chosen("regularise: " + yaml).at(0).make(RegulariserContext{run.pipeline(), *optimizer});
    batch = make_micro_batch(run.store(), {0, 1, 2, 3}, 42, 0).batch;
    around = zero_shifts(batch, run.pipeline().network().backbone().embedding_width());
  }

  TinyRun run{"classify", {.dropout = 0}, 8};
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Regulariser> one;
  Batch batch;
  Shifts around;
};

// A shift is climbed by the gradient of what trains: passes that search have gradients of their
// own.
TEST(Pgd, ItsSearchDoesNotReachTheShiftAroundIt) {
  Alone pgd("{pgd: {steps: 3}}");
  const Pass pass = pgd.one->around_pass([](const Batch& batch) {
    const at::Tensor sum = batch.streams[0].shift.sum();
    sum.backward();
    return PassResult{sum.item<double>(), 1, {}, {}};
  });
  pass(with_added(pgd.batch, pgd.around));
  EXPECT_TRUE(pgd.around[0].grad().eq(2).all().item<bool>()) << "two passes train";
}

TEST(Smart, ItsSearchDoesNotReachTheShiftAroundIt) {
  Alone smart("{smart: {steps: 2}}");
  Pipeline& pipeline = smart.run.pipeline();
  const LossOf loss = smart.one->around_loss([&](const Batch& batch) {
    const Outputs outputs = pipeline.network().forward(batch);
    return Outcome{pipeline.task().loss(outputs, batch), outputs, {}};
  });
  const Outcome outcome = loss(with_added(smart.batch, smart.around));
  EXPECT_FALSE(smart.around[0].grad().defined());
  outcome.loss.sum.backward();
  EXPECT_GT(smart.around[0].grad().norm().item<double>(), 0);
}

// From a start that is next to nothing.
TEST(FreeLb, GradientIsTheMeanOfItsPasses) {
  TinyRun run;
  Trained trained(run, "{freelb: {alpha: 0.01, init: 1.0e-9, steps: 2}}");
  const auto ours = trained.gradient(6, 6);
  EXPECT_EQ(trained.last().count, 2 * 6);
  ByHand hand(trained, run.pipeline().task());
  const at::Tensor shift = hand.climbed(hand.zero(), hand.slope(hand.zero()), 0.01, 1e9);
  const double first = hand.last_loss;
  hand.slope(shift);
  for (const auto& [name, value] : hand.gradients())
    EXPECT_TRUE(at::allclose(ours.at(name), value, 1e-4, 1e-6)) << name;
  EXPECT_NEAR(trained.last().loss, first + hand.last_loss, 1e-5);
  EXPECT_GT(hand.last_loss, first);
}

TEST(FreeLb, RaisesTheLossMoreFurtherAway) {
  double before = 0;
  for (const char* alpha : {"0.001", "0.03", "0.1", "1"}) {
    TinyRun run("classify", {.dropout = 0}, 8);
    Trained trained(run, fmt::format("{{freelb: {{alpha: {}, init: 1.0e-9}}}}", alpha));
    trained.gradient(8, 8);
    EXPECT_GT(trained.sum(), before) << alpha;
    before = trained.sum();
  }
}

TEST(Noise, IsUniformAndAFunctionOfSampleTokenAndPass) {
  TinyRun run(std::string("classify"), {}, 16);
  Trained trained(run, "{neftune: {}}");
  Batch all = trained.batch({0, 1, 2, 3, 4, 5, 6, 7});
  const at::Tensor drawn = noise(all, 64)[0];
  EXPECT_LT(drawn.abs().max().item<double>(), 1.0001);
  EXPECT_NEAR(drawn.mean().item<double>(), 0, 0.05);
  EXPECT_NEAR(drawn.var().item<double>(), 1.0 / 3, 0.03);
  const Batch alone = trained.batch({3});
  const auto* ends = all.streams[0].cu_seqlens.const_data_ptr<int32_t>();
  EXPECT_TRUE(drawn.slice(0, ends[3], ends[4]).equal(noise(alone, 64)[0]));
  all.streams[0].pass = 1;
  EXPECT_GT((noise(all, 64)[0] - drawn).abs().mean().item<double>(), 0.5);
}

TEST(Neftune, IsAsLargeAsItsFormulaSays) {
  TinyRun run;
  Trained plain(run, "{ema: {}}");
  const auto without = plain.gradient(6, 6);
  TinyRun other;
  Trained noisy(other, "{neftune: {alpha: 0.5}}");
  const auto with = noisy.gradient(6, 6);
  ByHand hand(noisy, other.pipeline().task());
  const Batch batch = noisy.batch({0, 1, 2, 3, 4, 5});
  at::Tensor shift = noise(batch, 16)[0].clone();
  const auto* ends = batch.streams[0].cu_seqlens.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < 6; ++s)
    shift.slice(0, ends[s], ends[s + 1]).mul_(0.5 / std::sqrt(16.0 * (ends[s + 1] - ends[s])));
  hand.slope(shift);
  double apart = 0;
  for (const auto& [name, value] : hand.gradients()) {
    EXPECT_TRUE(at::allclose(with.at(name), value, 1e-4, 1e-6)) << name;
    apart += (with.at(name) - without.at(name)).abs().max().item<double>();
  }
  EXPECT_GT(apart, 1e-3);
}

// ---- EMA

TEST(Ema, IsThePlainFormulaOverTenSteps) {
  for (const bool warmup : {true, false}) {
    TinyRun run;
    run.regularise_yaml = fmt::format("{{ema: {{decay: 0.7, warmup: {}}}}}", warmup);
    run.load_pipeline();
    auto expected = run.weights();
    TrainOptions options = tiny_options();
    options.max_steps = 10;
    options.eval_strategy = "no";
    run.train(options);
    // A run without it, looked at after each step: what is trained is the same.
    TinyRun plain;
    double n = 0;
    plain.evaluate_instead = [&] {
      ++n;
      const double decay = warmup ? std::min(0.7, (1 + n) / (10 + n)) : 0.7;
      for (const auto& [name, value] : plain.weights())
        expected[name] = expected[name] * decay + value * (1 - decay);
      return std::pair(Report{}, 1.0);
    };
    options.eval_strategy = "steps";
    options.eval_steps = 1;
    options.load_best_model_at_end = false;
    plain.train(options);
    EXPECT_EQ(n, 10);
    EXPECT_LT(largest_difference(expected, run.weights()), 1e-5);
    EXPECT_NE(first_difference(plain.weights(), run.weights()), "");
  }
}

TEST(Ema, IsEvaluatedAndKeptAsTheBestWhileTheWeightsAreTrained) {
  TinyRun run;
  run.regularise_yaml = "{ema: {decay: 0.9}}";
  std::map<std::string, at::Tensor> evaluated, after;
  double score = 0;
  run.evaluate_instead = [&] {
    evaluated = run.weights();
    Report report;
    report.metric = "accuracy";
    report.metrics = {{"accuracy", score += 0.1}};
    return std::pair(report, 1.0);
  };
  TrainOptions options = tiny_options();
  run.also = [&](const Event& event) {
    const auto* saved = std::get_if<Saved>(&event);
    if (saved != nullptr && !saved->is_best) after = run.weights();
  };
  run.train(options);
  EXPECT_EQ(first_difference(evaluated, run.weights()), "") << "the run ends with the best";
  const StateDict best = read_safetensors(run.output() + "/checkpoints/best/model.safetensors"),
                  last = read_safetensors(run.output() + "/checkpoints/last/model.safetensors");
  for (const auto& [name, value] : evaluated) EXPECT_TRUE(at::equal(best.at(name), value)) << name;
  for (const auto& [name, value] : after) EXPECT_TRUE(at::equal(last.at(name), value)) << name;
  EXPECT_NE(first_difference(evaluated, after), "");
}

// ---- checkpoint averaging

TEST(Average, IsTheMeanOfTheLastCopiesWhileTheWeightsAreTrained) {
  TinyRun run;
  run.regularise_yaml = "{average: {last: 3, every: 2}}";
  TrainOptions options = tiny_options();
  options.max_steps = 11;
  options.eval_strategy = "no";
  std::map<std::string, at::Tensor> sum, last;  // copies are of steps 6, 8 and 10
  run.also = [&](const Event& event) {
    const auto* stepped = std::get_if<Stepped>(&event);
    if (stepped == nullptr) return;
    last = run.weights();
    if (stepped->step < 6 || stepped->step % 2 != 0) return;
    for (const auto& [name, value] : last)
      sum[name] = sum.contains(name) ? sum.at(name) + value : value;
  };
  run.train(options);
  for (auto& [name, value] : sum) value = value / 3;
  EXPECT_LT(largest_difference(sum, run.weights()), 1e-5);
  EXPECT_NE(first_difference(last, run.weights()), "");
}

TEST(Average, BeforeItsFirstCopyIsTheWeightsThemselves) {
  TinyRun run, plain;
  run.regularise_yaml = "{average: {every: 100}}";
  TrainOptions options = tiny_options();
  options.max_steps = 5;
  options.eval_strategy = "no";
  run.train(options);
  plain.train(options);
  EXPECT_EQ(first_difference(plain.weights(), run.weights()), "");
}

// ---- weights

Trained plain(TinyRun& run) { return Trained(run, "{}"); }

TEST(L2Sp, AddsTheGradientOfThePenaltyOnceAStep) {
  TinyRun run("classify", {.dropout = 0}, 16), same("classify", {.dropout = 0}, 16);
  Trained pulled(run, "{l2_sp: {alpha: 0.5, beta: 0.25}}");
  Trained as_it_is = plain(same);
  {
    const c10::AutoGradMode no_grad(false);
    for (Network* network : {&pulled.network(), &as_it_is.network()}) {
      for (auto& [name, value] : network->weights()) value.add_(0.01);
    }
  }
  const auto with = pulled.gradient(16, 4), without = as_it_is.gradient(16, 4);
  for (const auto& [name, value] : pulled.network().weights()) {
    if (name.find("embeddings.") != std::string::npos) continue;  // those looked up alone
    const at::Tensor pull = name.starts_with("bert.") ? at::full_like(value.detach(), 0.5 * 0.01)
                                                      : 0.25 * value.detach();
    EXPECT_TRUE(at::allclose(with.at(name) - without.at(name), 16 * pull, 1e-2, 2e-5)) << name;
  }
}

TEST(L2Sp, LeavesWordsAloneThatWereNotLookedUp) {
  TinyRun run("classify", {}, 16);
  Trained pulled(run, "{l2_sp: {}}");
  {
    const c10::AutoGradMode no_grad(false);
    for (auto& [name, value] : pulled.network().weights()) value.add_(1);
  }
  const at::Tensor table = pulled.gradient(1, 1).at("bert.embeddings.word_embeddings.weight");
  EXPECT_LT(table.abs().sum(1).count_nonzero().item<int64_t>(), table.size(0));
}

// A plain network whose weights were mixed by hand gives the same loss; its gradient goes to what
// was kept, times 1 / (1 - p).
TEST(Mixout, IsAPassOfMixedWeights) {
  TinyRun run("classify", {.dropout = 0}, 8);
  Trained mixed(run, "{mixout: {p: 0.5}}");
  std::map<std::string, at::Tensor> starts;
  {
    const c10::AutoGradMode no_grad(false);
    for (auto& [name, value] : mixed.network().weights()) {
      starts[name] = value.detach().clone();
      value.add_(0.1);
    }
  }
  const auto before = run.weights();
  const auto gradient = mixed.gradient(8, 4);
  EXPECT_EQ(first_difference(before, run.weights()), "") << "the weights are back after the step";
  int64_t kept = 0, all = 0;
  for (const auto& [name, value] : gradient) {
    if (!name.starts_with("bert.encoder") || value.dim() != 2) continue;
    kept += value.count_nonzero().item<int64_t>();
    all += value.numel();
  }
  EXPECT_NEAR(static_cast<double>(kept) / static_cast<double>(all), 0.5, 0.03);
}

TEST(Mixout, AtTheStartChangesNoLoss) {
  TinyRun run("classify", {.dropout = 0}, 8), same("classify", {.dropout = 0}, 8);
  Trained mixed(run, "{mixout: {p: 0.7}}");
  Trained as_it_is = plain(same);
  mixed.gradient(8, 8);
  as_it_is.gradient(8, 8);
  EXPECT_NEAR(mixed.last().loss, as_it_is.last().loss, 1e-4);
}

TEST(Swa, IsTheMeanOfTheLastSteps) {
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  options.save_strategy = "no";
  options.load_best_model_at_end = false;
  TinyRun run;
  run.regularise_yaml = "{swa: {start: 0.5, every: 2}}";
  std::vector<std::map<std::string, at::Tensor>> seen;
  run.also = [&](const Event& event) {
    if (std::holds_alternative<Stepped>(event)) seen.push_back(run.weights());
  };
  run.train(options);
  ASSERT_EQ(seen.size(), 12U);  // steps 7, 9 and 11 count
  const auto averaged = run.weights();
  for (const auto& [name, value] : averaged) {
    const at::Tensor mean = (seen[6].at(name) + seen[8].at(name) + seen[10].at(name)) / 3;
    EXPECT_TRUE(at::allclose(value, mean, 1e-5, 1e-6)) << name;
  }
}

TEST(Swa, BeforeItBeginsTheWeightsThemselvesAreEvaluated) {
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  options.save_strategy = "no";
  options.load_best_model_at_end = false;
  TinyRun with, without;
  with.regularise_yaml = "{swa: {start: 0.99}}";  // of 12 steps none comes after
  with.train(options);
  without.train(options);
  EXPECT_EQ(first_difference(with.weights(), without.weights()), "");
}

TEST(Reinit, BeginsTheTopLayersAnewAndNothingElse) {
  TinyRun run, other;
  Trained fresh(run, "{reinit: {}}");
  const auto after = run.weights();
  plain(other);
  const auto before = other.weights();
  for (const auto& [name, value] : after) {
    const bool is_top =
        name.find(".layer.1.") != std::string::npos || name.find(".pooler.") != std::string::npos;
    const bool is_matrix = value.dim() == 2;
    if (is_top && is_matrix) EXPECT_FALSE(at::equal(value, before.at(name))) << name;
    if (!is_top) EXPECT_TRUE(at::equal(value, before.at(name))) << name;
  }
}

TEST(Reinit, OfAllLayersIsRefused) {
  TinyRun run;
  EXPECT_THAT(error_of([&] { Trained(run, "{reinit: {layers: 2}}"); }),
              HasSubstr("nothing of it would be left"));
}

TEST(GradualUnfreezing, LetsLayersJoinFromTheTopDown) {
  TrainOptions options = tiny_options();
  options.eval_strategy = options.save_strategy = "no";
  options.load_best_model_at_end = false;
  options.weight_decay = 0.1;  // what has not joined does not decay either
  TinyRun run;
  run.regularise_yaml = "{gradual_unfreezing: {share: 0.5}}";  // of 12 steps, two layers: 2 each
  std::vector<std::map<std::string, at::Tensor>> seen;
  run.also = [&](const Event& event) {
    if (std::holds_alternative<Started>(event) || std::holds_alternative<Stepped>(event))
      seen.push_back(run.weights());
  };
  run.train(options);
  ASSERT_EQ(seen.size(), 13U);
  const auto first_change = [&](const std::string& part) {
    for (size_t step = 1; step < seen.size(); ++step) {
      for (const auto& [name, value] : seen[step]) {
        if (name.find(part) != std::string::npos && !at::equal(value, seen[0].at(name)))
          return step;
      }
    }
    return seen.size();
  };
  EXPECT_LE(first_change("classifier"), 2U);  // the first step of a warm-up has the rate 0
  EXPECT_EQ(first_change(".layer.1."), 3U);
  EXPECT_EQ(first_change(".layer.0."), 5U);
  EXPECT_EQ(first_change("word_embeddings"), 7U);
}

// ---- words

TEST(WordDropout, DropsTheShareAndNoSpecialToken) {
  TinyRun run("classify", {}, 21);
  run.load_pipeline();
  const auto optimizer = optimizers().named("adamw").make(
      trainable_parameters(run.pipeline().network(), tiny_options()), tiny_options());
  const auto one = chosen("regularise: {word_dropout: {p: 0.4}}")
                       .at(0)
                       .make(RegulariserContext{run.pipeline(), *optimizer});
  const Tokenizer& tokenizer = run.pipeline().tokenizer();
  int64_t words = 0, dropped = 0;
  for (uint64_t step = 0; step < 40; ++step) {
    const Batch batch = make_micro_batch(run.store(), {0, 1, 2, 3, 4}, 42, step).batch;
    one->around_loss([&](const Batch& seen) {
      const at::Tensor was = batch.streams[0].ids, is = seen.streams[0].ids;
      for (int64_t i = 0; i < was.numel(); ++i) {
        const auto before = was[i].item<int64_t>(), after = is[i].item<int64_t>();
        const bool is_special =
            before == *tokenizer.id("[CLS]") || before == *tokenizer.id("[SEP]");
        if (is_special) EXPECT_EQ(before, after);
        words += !is_special;
        dropped += before != after;
        if (before != after) EXPECT_EQ(after, tokenizer.unk_id());
      }
      return Outcome{};
    })(batch);
  }
  EXPECT_NEAR(static_cast<double>(dropped) / static_cast<double>(words), 0.4, 0.03);
}

// ---- smoothness

// Hidden states of samples, in training, with blocks left out.
at::Tensor states_with(Trained& trained, double p, uint32_t pass = 0) {
  Batch batch =
      trained.batch({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  batch.streams[0].layer_drop = p;
  batch.streams[0].pass = pass;
  const at::NoGradGuard no_gradient;
  return trained.network().backbone().forward(batch.streams);
}

TEST(LayerDrop, LeavesAWholeSampleAsItWasOrRunsTheBlock) {
  TinyRun run("classify", {.layers = 1, .dropout = 0});
  Trained trained(run, "{}");
  const at::Tensor all = states_with(trained, 0), none = states_with(trained, 0.999999),
                   some = states_with(trained, 0.5);
  EXPECT_FALSE(all.allclose(none));
  const Batch batch =
      trained.batch({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  const auto* ends = batch.streams[0].cu_seqlens.const_data_ptr<int32_t>();
  int left_out = 0;
  for (int64_t s = 0; s < 20; ++s) {
    const auto own = [&](const at::Tensor& x) { return x.slice(0, ends[s], ends[s + 1]); };
    const bool is_out = own(some).equal(own(none));
    EXPECT_TRUE(is_out || own(some).equal(own(all))) << s;
    left_out += is_out;
  }
  EXPECT_GT(left_out, 3);  // of 20, each with probability 1/2: beyond three deviations
  EXPECT_LT(left_out, 17);
  EXPECT_FALSE(some.equal(states_with(trained, 0.5, /*pass=*/1)));
  trained.network().eval();
  EXPECT_TRUE(all.equal(states_with(trained, 0.5)));
}

TEST(LayerDrop, DecidesForEachLayerByItself) {
  TinyRun two("classify", {.layers = 2, .dropout = 0});
  Trained trained(two, "{}");
  std::vector<at::Tensor> whole, some;
  Batch batch =
      trained.batch({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  const at::NoGradGuard no_gradient;
  trained.network().backbone().forward(batch.streams, {.states = &whole});
  batch.streams[0].layer_drop = 0.5;
  trained.network().backbone().forward(batch.streams, {.states = &some});
  const auto* ends = batch.streams[0].cu_seqlens.const_data_ptr<int32_t>();
  int first_alone = 0, both = 0;
  for (int64_t s = 0; s < 20; ++s) {
    const auto own = [&](const at::Tensor& x) { return x.slice(0, ends[s], ends[s + 1]); };
    const bool ran_first = own(some[0]).equal(own(whole[0]));
    first_alone += ran_first && own(some[1]).equal(own(some[0]));
    both += own(some[1]).allclose(own(whole[1]));
  }
  EXPECT_GT(first_alone, 0);
  EXPECT_GT(both, 0);
}

TEST(Mixup, GradientIsThatOfItsFormula) {
  TinyRun run("classify", {.dropout = 0});
  Trained trained(run, "{mixup: {alpha: 1}}");
  const auto ours = trained.gradient(5, 5);
  const double share = trained.numbers.at("mixup.share") / 5;
  EXPECT_GT(share, 0);
  EXPECT_LT(share, 1);
  const Batch batch = trained.batch({0, 1, 2, 3, 4});
  Backbone& backbone = trained.network().backbone();
  const Packed& tokens = batch.streams[0];
  const Rows rows = Rows(tokens, true).choose(tokens.first_rows());
  const at::Tensor h = backbone.pool(backbone.forward(batch.streams, {.rows = rows.chosen()}),
                                     rows),
                   partners = at::tensor({1, 0, 3, 2, 4}, at::kLong);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, value] : trained.network().weights()) weights[name] = value;
  const at::Tensor mixed = share * h + (1 - share) * h.index_select(0, partners),
                   logits = at::linear(mixed, weights.at("classifier.weight"),
                                       weights.at("classifier.bias")),
                   labels = batch.targets.at("labels").to(at::kLong);
  const auto loss = [&](const at::Tensor& of) {
    return at::cross_entropy_loss(logits, of, {}, at::Reduction::Sum);
  };
  const at::Tensor sum =
      share * loss(labels) + (1 - share) * loss(labels.index_select(0, partners));
  EXPECT_NEAR(trained.last().loss, sum.item<double>(), 1e-5);
  sum.backward();
  for (const auto& [name, value] : ours)
    EXPECT_TRUE(at::allclose(value, weights.at(name).grad(), 1e-4, 1e-6)) << name;
}

TEST(Mixup, GradientDependsOnThePairsAlone) {
  TinyRun run("classify", {}, 16);
  Trained trained(run, "{mixup: {}, r_drop: {}}");
  const auto whole = trained.gradient(16, 16);
  for (const int64_t micro : {4, 2}) {
    for (const auto& [name, value] : trained.gradient(16, micro))
      EXPECT_TRUE(at::allclose(value, whole.at(name), 1e-4, 2e-6)) << name << " " << micro;
  }
}

TEST(Mixup, SharesAreOfTheBetaDistributionAndOfTheStep) {
  TinyRun run("classify", {.layers = 1, .dropout = 0});
  run.load_pipeline();
  run.pipeline().network().train();
  const auto optimizer = optimizers().named("adamw").make(
      trainable_parameters(run.pipeline().network(), tiny_options()), tiny_options());
  const Regularisers all(chosen("regularise: {mixup: {alpha: 0.4}}"), {run.pipeline(), *optimizer});
  const Pass pass = all.pass(run.pipeline().task(), run.pipeline().network(), {});
  constexpr int kSteps = 300;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // the steps are tiny
  double sum = 0, squares = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    const PassResult result = pass(make_micro_batch(run.store(), {0, 1}, 42, step).batch);
    const double share = result.numbers.at(0).second / result.count;
    sum += share;
    squares += share * share;
  }
  at::set_num_threads(threads);
  const double mean = sum / kSteps, variance = squares / kSteps - mean * mean;
  EXPECT_NEAR(mean, 0.5, 0.08);
  EXPECT_NEAR(variance, 0.25 / 1.8, 0.03);  // 1 / (4 (2 alpha + 1))
}

TEST(Mixup, OfATaskWithoutAPooledVectorIsRefused) {
  TinyRun run("ner");
  EXPECT_THAT(error_of([&] { Trained(run, "{mixup: {}}"); }),
              AllOf(HasSubstr("regularise.mixup"), HasSubstr("ner")));
}

TEST(Mixup, LearnsWithSeveralLabelsAndNumbers) {
  TinyRun labels, numbers;
  for (Record& record : labels.train_records())
    record.fields["label"] = Json::array({record.fields["label"]});
  for (size_t i = 0; i < numbers.train_records().size(); ++i)
    numbers.train_records()[i].fields["label"] = 0.5 * static_cast<double>(i % 3);
  numbers.task_yaml = "{type: regression}";
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  for (TinyRun* run : {&labels, &numbers}) {
    run->regularise_yaml = "{mixup: {}}";
    run->train(options);
    EXPECT_TRUE(std::isfinite(run->events_of<Stepped>().back().loss));
  }
}

TEST(Smart, DivergesMoreFurtherAway) {
  double before = 0;
  for (const char* yaml : {"{smart: {epsilon: 0.01}}", "{smart: {}}", "{smart: {epsilon: 1}}"}) {
    TinyRun run("classify", {.dropout = 0}, 8);
    Trained trained(run, yaml);
    trained.gradient(8, 8);
    EXPECT_GT(trained.numbers.at("smart.divergence"), before) << yaml;
    before = trained.numbers.at("smart.divergence");
  }
}

TEST(Smart, FindsAWorseDirectionThanChance) {
  TinyRun run("classify", {.dropout = 0}, 8);
  Trained trained(run, "{smart: {epsilon: 0.5, steps: 2}}");
  trained.gradient(8, 8);
  const double worst = trained.numbers.at("smart.divergence");
  trained.network().eval();
  const c10::AutoGradMode no_grad(false);
  const Batch batch = trained.batch({0, 1, 2, 3, 4, 5, 6, 7});
  const int64_t width = trained.network().backbone().embedding_width();
  const Shifts random = noise(batch, width);
  const Shifts moved = scaled(batch, random, 0.5 / norms(batch, random));
  const Divergence apart = run.pipeline().task().divergence();
  const double by_chance = apart(trained.network().forward(batch),
                                 trained.network().forward(with_added(batch, moved)), batch)
                               .item<double>();
  EXPECT_GT(worst, by_chance);
}

TEST(Smart, OfATaskWithoutDivergenceIsRefused) {
  TinyRun run("ner");
  run.task_yaml = "{crf: true}";
  EXPECT_THAT(error_of([&] { Trained(run, "{smart: {}}"); }), HasSubstr("regularise.smart"));
}

// ---- what has no direction

class WithoutADirection : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Regularise, WithoutADirection,
                         testing::Values("{fgm: {}}", "{pgd: {}}", "{freelb: {}}", "{smart: {}}"));

// A head of zeros: no word changes the output, and 0 / 0 would be no number.
TEST_P(WithoutADirection, GradientsAreNumbersInFp32AndBf16) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    TinyRun run("classify", {.dropout = 0}, 8);
    Trained trained(run, GetParam());
    trained.network().set_precision(precision);
    {
      const c10::AutoGradMode no_grad(false);
      for (auto& [name, value] : trained.network().weights()) {
        if (name.starts_with("classifier")) value.zero_();
      }
    }
    const auto gradient = trained.gradient(8, 8);
    for (const auto& [name, value] : gradient)
      EXPECT_TRUE(value.isfinite().all().item<bool>()) << name;
    EXPECT_GT(gradient.at("classifier.weight").norm().item<double>(), 0);
    for (const auto& [name, value] : trained.numbers) EXPECT_TRUE(std::isfinite(value)) << name;
  }
}

// A small run whose embeddings of words, places and segments stay as they are.
void freeze_embeddings(TinyRun& run) {
  run.load_pipeline();
  for (auto& [name, value] : run.pipeline().network().weights())
    value.requires_grad_(name.find("embeddings") == std::string::npos);
}

// Their own gradient is not asked for, and the words' shift has one all the same.
TEST(Fgm, ClimbsWithFrozenEmbeddings) {
  for (const char* yaml : {"{fgm: {epsilon: 0.1}}", "{pgd: {epsilon: 0.1, alpha: 0.05}}"}) {
    TinyRun run("classify", {.dropout = 0}, 8);
    freeze_embeddings(run);
    Trained trained(run, yaml, /*loads=*/false);
    const auto gradient = trained.gradient(8, 4);
    EXPECT_FALSE(gradient.contains("bert.embeddings.word_embeddings.weight"));
    EXPECT_GT(trained.numbers.begin()->second, trained.sum());
  }
}

TEST(FreeLb, ClimbsWithFrozenEmbeddings) {
  TinyRun run("classify", {.dropout = 0}, 8), same("classify", {.dropout = 0}, 8);
  freeze_embeddings(run);
  freeze_embeddings(same);
  Trained trained(run, "{freelb: {init: 1.0e-9, steps: 3}}", /*loads=*/false);
  Trained as_it_is(same, "{}", /*loads=*/false);
  const auto gradient = trained.gradient(8, 4);
  as_it_is.gradient(8, 4);
  EXPECT_FALSE(gradient.contains("bert.embeddings.word_embeddings.weight"));
  EXPECT_GT(trained.sum(), 3 * as_it_is.sum()) << "passes at the second and third place";
}

TEST(Smart, FindsADirectionWithFrozenEmbeddings) {
  TinyRun run("classify", {.dropout = 0}, 8);
  freeze_embeddings(run);
  Trained trained(run, "{smart: {}}", /*loads=*/false);
  EXPECT_FALSE(trained.gradient(8, 4).contains("bert.embeddings.word_embeddings.weight"));
  EXPECT_GT(trained.numbers.at("smart.divergence"), 0);
}

TEST(Fgm, RaisesTheLossMoreFurtherAway) {
  double before = 0;
  for (const char* yaml :
       {"{fgm: {epsilon: 0.001}}", "{fgm: {epsilon: 0.03}}", "{fgm: {}}", "{fgm: {epsilon: 1}}"}) {
    TinyRun run("classify", {.dropout = 0}, 8);
    Trained trained(run, yaml);
    trained.gradient(8, 8);
    EXPECT_GT(trained.numbers.at("fgm.loss"), std::max(before, trained.last().loss)) << yaml;
    before = trained.numbers.at("fgm.loss");
  }
}

// ---- runs

class EveryRun : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Regularise, EveryRun,
                         testing::Values("{r_drop: {}}", "{fgm: {}}", "{ema: {}}",
                                         "{pgd: {steps: 2}, neftune: {}}", "{freelb: {steps: 2}}",
                                         "{average: {last: 3, every: 2}}",
                                         "{r_drop: {}, fgm: {}, ema: {}}", "{swa: {start: 0.3}}",
                                         "{l2_sp: {}, mixout: {p: 0.4}}",
                                         "{gradual_unfreezing: {}}",
                                         "{reinit: {}, word_dropout: {}, smart: {}}",
                                         "{mixup: {}, layer_drop: {p: 0.3}}"));

// Killed without warning some steps after its checkpoint.
TEST_P(EveryRun, KilledAndResumedEqualsTheUninterruptedBitForBit) {
  TrainOptions options = tiny_options();
  options.save_strategy = options.eval_strategy = "steps";
  options.save_steps = 4;
  options.eval_steps = 5;
  options.logging_steps = 3;
  TinyRun whole, parts;
  whole.regularise_yaml = parts.regularise_yaml = GetParam();
  whole.train(options);
  struct Killed {};
  parts.also = [&](const Event& event) {
    if (const auto* s = std::get_if<Stepped>(&event); s != nullptr && s->step == 7) throw Killed{};
  };
  EXPECT_THROW(parts.train(options), Killed);
  parts.also = [](const Event&) {};
  parts.train(options, /*resume=*/true);
  EXPECT_EQ(parts.events_of<Started>().at(0).step, 4);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
  const auto all = whole.events_of<Stepped>(), rest = parts.events_of<Stepped>();
  ASSERT_EQ(rest.size(), 8U);
  for (size_t i = 0; i < rest.size(); ++i) {
    EXPECT_EQ(rest[i].loss, all[i + 4].loss);
    EXPECT_EQ(rest[i].numbers, all[i + 4].numbers);
  }
}

// A sample has no other beside it: no partner, no norm but its own.
TEST(Regularise, StepsOfOneSampleTrain) {
  TrainOptions options = tiny_options();
  options.per_device_train_batch_size = 1;
  options.max_steps = 3;
  options.eval_strategy = options.save_strategy = "no";
  options.load_best_model_at_end = false;
  for (const char* yaml :
       {"{r_drop: {}}", "{fgm: {}}", "{pgd: {}}", "{freelb: {}}", "{smart: {}}", "{neftune: {}}",
        "{mixup: {}}", "{word_dropout: {}}", "{layer_drop: {}}", "{mixout: {}, l2_sp: {}}"}) {
    TinyRun run;
    run.regularise_yaml = yaml;
    run.load_pipeline();
    const auto before = run.weights();
    run.train(options);
    EXPECT_EQ(run.events_of<Stepped>().size(), 3U) << yaml;
    EXPECT_NE(first_difference(before, run.weights()), "") << yaml;
    for (const auto& [name, value] : run.weights())
      EXPECT_TRUE(value.isfinite().all().item<bool>()) << yaml << " " << name;
  }
}

TEST(Regularise, ItsNumbersAreMeansOverTheStepsSinceTheLastLoggedOne) {
  TinyRun each, third;
  each.regularise_yaml = third.regularise_yaml = "{r_drop: {}, fgm: {}}";
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  each.train(options);
  options.logging_steps = 3;
  third.train(options);
  const auto all = each.events_of<Stepped>(), means = third.events_of<Stepped>();
  for (size_t n = 0; n < 2; ++n) {
    double sum = 0;
    for (size_t i = 3; i < 6; ++i) sum += all[i].numbers.at(n).second;
    EXPECT_NEAR(means[5].numbers.at(n).second, sum / 3, 1e-9);
    EXPECT_EQ(means[5].numbers[n].first, n == 0 ? "fgm.loss" : "r_drop.divergence");
  }
}

TEST(Regularise, AnotherSetIsRefusedWhenARunGoesOnAndAnotherOptionIsTold) {
  TinyRun run;
  run.regularise_yaml = "{fgm: {}, ema: {}}";
  run.train(tiny_options());
  run.regularise_yaml = "{fgm: {}}";
  EXPECT_THAT(error_of([&] { run.train(tiny_options(), true); }),
              AllOf(HasSubstr("its regularisers were ema, fgm, now they would be fgm"),
                    HasSubstr("--overwrite")));
  run.regularise_yaml = "{fgm: {epsilon: 2}, ema: {}}";
  run.train(tiny_options(), true);
  ASSERT_EQ(run.events_of<Warned>().size(), 1U);
  EXPECT_THAT(run.events_of<Warned>()[0].message, HasSubstr("regularise.fgm was"));
}

// ---- one that fails

// Wraps passes as FGM does, and fails in its second one at step 3.
struct Failing : Regulariser {
  explicit Failing(const std::function<double(int64_t step)>& then) : then_(then) {}
  LossOf around_loss(LossOf inner) override {
    return [this, inner](const Batch& batch) {
      Outcome outcome = inner(batch);
      if (is_second_) outcome.loss.sum = outcome.loss.sum * then_(step_);
      return outcome;
    };
  }
  Pass around_pass(Pass inner) override {
    return [this, inner](const Batch& batch) {
      is_second_ = false;
      PassResult first = inner(batch);
      is_second_ = true;
      inner(batch);
      return first;
    };
  }
  void after_step(const StepDone& step) override { step_ = step.steps; }

  std::function<double(int64_t)> then_;
  int64_t step_ = 0;
  bool is_second_ = false;
};

void expect_clean_end(const std::function<double(int64_t)>& then, const std::string& words) {
  TinyRun run;
  run.load_pipeline();
  std::map<std::string, at::Tensor> before;
  TrainerInputs inputs;
  inputs.pipeline = &run.pipeline();
  inputs.train = &run.store();
  inputs.where_of = [&](int64_t record) { return run.train_records()[record].where(); };
  inputs.output_dir = run.output();
  std::filesystem::create_directories(run.output());
  inputs.regularisers = {{"failing", Json::object(), [&](const RegulariserContext&) {
                            return std::make_unique<Failing>(then);
                          }}};
  TrainOptions options = tiny_options();
  options.save_strategy = "steps";
  options.save_steps = 2;
  const Listener watch = [&](const Event& event) {
    if (std::holds_alternative<Saved>(event)) before = run.weights();
  };
  EXPECT_THAT(error_of([&] { train(inputs, options, {watch}); }), HasSubstr(words));
  const auto saved = read_safetensors(run.output() + "/checkpoints/last/model.safetensors");
  for (const auto& [name, value] : before) EXPECT_TRUE(at::equal(saved.at(name), value)) << name;
  for (const auto& [name, value] : run.pipeline().network().weights())
    EXPECT_FALSE(value.grad().defined()) << name;
  for (const auto& [name, value] : run.weights()) {
    if (name.starts_with("bert.embeddings.")) continue;  // whose rows wait in a checkpoint
    EXPECT_TRUE(at::equal(value, before.at(name))) << name;
  }
}

TEST(Regularise, OneThatThrowsInItsSecondPassEndsTheRunWithTheWeightsOfBefore) {
  expect_clean_end(
      [](int64_t step) -> double {
        if (step == 2) throw Error(ErrorKind::kInternal, "the second pass went wrong");
        return 1;
      },
      "the second pass went wrong");
}

TEST(Regularise, OneThatGivesNoNumberInItsSecondPassEndsTheRunWithTheWeightsOfBefore) {
  expect_clean_end([](int64_t step) { return step == 2 ? std::nan("") : 1.0; },
                   "the loss of step 3 is not finite for any of its 4 samples");
}

}  // namespace
}  // namespace hone
