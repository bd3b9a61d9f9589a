#include "tune/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/kernels/embedding.h"
#include "models/kernels_testing.h"
#include "support/errors.h"
#include "tune/optim/adamw_fused.h"
#include "tune/optim/lazy_rows.h"

namespace hone {
namespace {

using kernels::testing::error;
using kernels::testing::normal;
using testing_support::error_of;

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }
void set_gradient(const at::Tensor& value, const at::Tensor& gradient) {
  value.mutable_grad() = gradient;
}
Parameter parameter(const std::string& name, const at::Tensor& value, double weight_decay = 0) {
  return {.name = name, .value = value, .weight_decay = weight_decay};
}
Parameter table_parameter(const at::Tensor& value, double weight_decay = 0) {
  Parameter table = parameter("table", value, weight_decay);
  table.rows = c10::make_intrusive<kernels::TableRows>();
  return table;
}

// torch.optim.AdamW's rule in double, on all rows.
struct Dense {
  at::Tensor value, m, v;
  double weight_decay;
  AdamWOptions options;
  int64_t steps = 0;

  Dense(const at::Tensor& start, double decay)
      : value(start.detach().to(at::kDouble)),
        m(at::zeros_like(value)),
        v(at::zeros_like(value)),
        weight_decay(decay) {}
  void step(double rate, const at::Tensor& gradient) {
    const at::Tensor g = gradient.to(at::kDouble);
    ++steps;
    value = value * (1 - rate * weight_decay);
    m = m * options.beta1 + g * (1 - options.beta1);
    v = v * options.beta2 + g * g * (1 - options.beta2);
    const double c1 = 1 - std::pow(options.beta1, steps), c2 = 1 - std::pow(options.beta2, steps);
    value = value - rate / c1 * m / ((v / c2).sqrt() + options.eps);
  }
};

TEST(AdamW, ProducesPyTorchValues) {
  std::ifstream file(
      "tests/golden/adamw.json");  // made by adamw.py beside it; tests run in the repository's root
  ASSERT_TRUE(file) << "tests/golden/adamw.json is missing";
  const auto golden = nlohmann::json::parse(file);
  const auto tensor = [](const nlohmann::json& values) {
    return at::tensor(values.get<std::vector<double>>(), at::kFloat);
  };
  ASSERT_EQ(golden["cases"].size(), 3u);
  for (const auto& c : golden["cases"]) {
    const auto& o = c["options"];
    const AdamWOptions options{.beta1 = o["beta1"], .beta2 = o["beta2"], .eps = o["eps"]};
    const at::Tensor value = leaf(tensor(c["start"]));
    AdamW optimizer({parameter("x", value, o["weight_decay"])}, options);
    ASSERT_EQ(c["steps"].size(), 10u);
    for (const auto& step : c["steps"]) {
      set_gradient(value, tensor(step["gradient"]) * 4);
      optimizer.step(step["lr"], 0.25);
      EXPECT_LT(error(value.detach(), tensor(step["value"])), 2e-7);
    }
    EXPECT_LT(error(optimizer.state().at("exp_avg.x"), tensor(c["exp_avg"])), 1e-6);
    EXPECT_LT(error(optimizer.state().at("exp_avg_sq.x"), tensor(c["exp_avg_sq"])), 1e-6);
  }
}

// What a GPU would run, on the CPU: two parameters, one with a shadow, several steps with weight
// decay and a gradient scale.
TEST(AdamW, TheFusedOperationFollowsTheSameRule) {
  const double decay = 0.1;
  const std::vector<at::Tensor> start = {normal({50, 40}, 1), normal({33}, 2)};
  std::vector<at::Tensor> ours;
  std::vector<Parameter> parameters;
  FusedParameters fused;
  for (size_t i = 0; i < start.size(); ++i) {
    ours.push_back(leaf(start[i]));
    parameters.push_back(parameter("p" + std::to_string(i), ours[i], decay));
    if (i == 0) parameters[i].shadow = at::zeros(start[i].sizes(), at::kBFloat16);
    fused.values.push_back(start[i].clone());
    fused.exp_avgs.push_back(at::zeros_like(start[i]));
    fused.exp_avg_sqs.push_back(at::zeros_like(start[i]));
  }
  fused.shadows = {at::zeros(start[0].sizes(), at::kBFloat16)};
  fused.shadowed = {fused.values[0]};
  AdamW optimizer(parameters, {});
  for (int64_t step = 1; step <= 5; ++step) {
    fused.gradients.clear();
    for (size_t i = 0; i < start.size(); ++i) {
      const at::Tensor gradient = normal(start[i].sizes(), static_cast<uint64_t>(10 * step) + i);
      set_gradient(ours[i], gradient.clone());
      fused.gradients.push_back(gradient);
    }
    EXPECT_NEAR(norm_fused(fused.gradients), gradient_norm(parameters),
                1e-5 * gradient_norm(parameters));
    optimizer.step(1e-2, 0.25);
    adamw_fused(fused, {}, step, 1e-2, 0.25, decay);
    for (size_t i = 0; i < start.size(); ++i)
      EXPECT_LT(error(fused.values[i], ours[i].detach()), 1e-6) << step;
  }
  EXPECT_TRUE(at::equal(fused.shadows[0], fused.values[0].to(at::kBFloat16)));
  EXPECT_LT(error(fused.exp_avg_sqs[1], optimizer.state().at("exp_avg_sq.p1")), 1e-6);
}

TEST(AdamW, WritesTheShadowRoundedAndLeavesOthersAlone) {
  const at::Tensor value = leaf(normal({50, 40}, 1)), idle = leaf(normal({7}, 2)),
                   idle_before = idle.detach().clone();
  const at::Tensor shadow = at::zeros({50, 40}, at::kBFloat16);
  Parameter shadowed = parameter("value", value, 0.1);
  shadowed.shadow = shadow;
  AdamW optimizer({shadowed, parameter("idle", idle, 0.1)}, {});
  set_gradient(value, normal({50, 40}, 3));
  optimizer.step(1e-2, 1);
  EXPECT_TRUE(at::equal(shadow, value.detach().to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(idle.detach(), idle_before));
  EXPECT_TRUE(at::equal(optimizer.state().at("exp_avg_sq.idle"), at::zeros({7})))
      << "a checkpoint has moments for all";
}

TEST(AdamW, DecaysOnlyWhatDecays) {
  const at::Tensor decaying = leaf(at::ones({4})), plain = leaf(at::ones({4}));
  AdamW optimizer({parameter("weight", decaying, 0.5), parameter("bias", plain, 0)}, {});
  set_gradient(decaying, at::zeros({4}));
  set_gradient(plain, at::zeros({4}));
  optimizer.step(0.1, 1);
  EXPECT_FLOAT_EQ(decaying[0].item<float>(), 0.95f);
  EXPECT_FLOAT_EQ(plain[0].item<float>(), 1.0f);
}

TEST(AdamW, AParameterMovesAtItsOwnRate) {
  const at::Tensor slow = leaf(normal({40}, 1)), same = leaf(slow), whole = leaf(slow);
  Parameter half = parameter("slow", slow, 0.1);
  half.rate = 0.5;
  AdamW both({half, parameter("whole", whole, 0.1)}, {}), alone({parameter("same", same, 0.1)}, {});
  for (int step = 0; step < 3; ++step) {
    for (const at::Tensor& value : {slow, same, whole}) set_gradient(value, normal({40}, 5));
    both.step(1e-2, 1);
    alone.step(5e-3, 1);
  }
  EXPECT_TRUE(at::equal(slow, same));
  EXPECT_FALSE(at::equal(slow, whole));
}

TEST(AdamW, StateSurvivesSaveAndLoad) {
  const auto run = [](bool restarts) {
    const at::Tensor value = leaf(normal({33}, 1));
    const std::vector<Parameter> parameters = {parameter("x", value, 0.1)};
    auto optimizer = std::make_unique<AdamW>(parameters, AdamWOptions{});
    for (int step = 0; step < 6; ++step) {
      if (restarts && step == 3) {
        StateDict state;
        for (const auto& [name, tensor] : optimizer->state()) state[name] = tensor.clone();
        optimizer = std::make_unique<AdamW>(parameters, AdamWOptions{});
        optimizer->load_state(state);
        EXPECT_EQ(optimizer->steps(), 3);
      }
      set_gradient(value, normal({33}, 10 + step));
      optimizer->step(1e-2, 1);
    }
    return value.detach();
  };
  EXPECT_TRUE(at::equal(run(true), run(false)));
  AdamW optimizer({parameter("y", leaf(normal({3}, 1)))}, {});
  EXPECT_THROW(optimizer.load_state({}), Error);
}

// Layers that are let join late, heads of tasks that the first steps do not have. An even gradient
// moves by the rate, whatever step of the run is a parameter's first.
TEST(AdamW, BiasCorrectionCountsAParametersOwnSteps) {
  for (const MomentType moments : {MomentType::kFp32, MomentType::kBf16, MomentType::kInt8}) {
    const at::Tensor early = leaf(at::zeros({40})), late = leaf(at::zeros({40})),
                     table = leaf(at::zeros({12, 40}));
    const std::vector<Parameter> all = {parameter("early", early), parameter("late", late),
                                        table_parameter(table)};
    AdamW optimizer(all, {.lazy_rows = true, .moments = moments});
    for (int step = 0; step < 510; ++step) {
      set_gradient(early, at::ones({40}));
      if (step >= 500) {
        set_gradient(late, at::ones({40}));
        kernels::embedding(table, at::full({1}, 2, at::kLong), all[2].rows)
            .backward(at::ones({1, 40}));
      }
      optimizer.step(1e-3, 1);
      table.mutable_grad() = at::Tensor();
    }
    optimizer.flush();
    const double tolerance = moments == MomentType::kFp32 ? 1e-5 : 1e-3;
    for (const at::Tensor& moved : {late, table[2]})
      EXPECT_LT((moved + 0.01).abs().max().item<double>(), tolerance) << moved.sizes();
    EXPECT_TRUE(at::equal(table[3], at::zeros({40})));
  }
}

TEST(AdamW, OwnStepsSurviveSaveAndLoadAndOlderStatesCountThoseOfTheRun) {
  const at::Tensor early = leaf(normal({33}, 1)), late = leaf(normal({33}, 2));
  AdamW optimizer({parameter("early", early), parameter("late", late)}, {});
  const auto step = [](AdamW& by, uint64_t seed, bool has_late) {
    set_gradient(by.parameters()[0].value, normal({33}, seed));
    if (has_late) set_gradient(by.parameters()[1].value, normal({33}, seed + 100));
    by.step(1e-2, 1);
  };
  for (uint64_t i = 0; i < 50; ++i) step(optimizer, i, /*has_late=*/i >= 48);
  StateDict saved;
  for (const auto& [name, tensor] : optimizer.state()) saved[name] = tensor.clone();
  EXPECT_FALSE(saved.contains("steps.early"));
  EXPECT_EQ(saved.at("steps.late").item<int64_t>(), 2);
  const at::Tensor restored = leaf(late), older = leaf(late);
  AdamW second({parameter("early", leaf(early)), parameter("late", restored)}, {}),
      third({parameter("early", leaf(early)), parameter("late", older)}, {});
  second.load_state(saved);
  saved.erase("steps.late");
  third.load_state(saved);
  EXPECT_FALSE(third.state().contains("steps.late"));
  for (AdamW* one : {&optimizer, &second, &third}) step(*one, 60, /*has_late=*/true);
  EXPECT_TRUE(at::equal(late, restored));
  EXPECT_FALSE(at::equal(late, older));
}

TEST(AdamW, GradientNormIsExactAndTheSameWithAnyNumberOfThreads) {
  const at::Tensor a = leaf(at::zeros({100001})), b = leaf(at::zeros({3, 5})),
                   c = leaf(at::zeros({4}));
  set_gradient(a, normal({100001}, 1) * 1e-30);  // squares that fp32 cannot hold
  set_gradient(b, at::full({3, 5}, 2e-28));
  const std::vector<Parameter> parameters = {parameter("a", a), parameter("b", b),
                                             parameter("c", c)};
  const double expected =
      std::sqrt((a.grad().to(at::kDouble).square().sum() + b.grad().to(at::kDouble).square().sum())
                    .item<double>());
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const double one = gradient_norm(parameters);
  at::set_num_threads(3);
  EXPECT_EQ(gradient_norm(parameters), one);
  at::set_num_threads(before);
  EXPECT_NEAR(one / expected, 1, 1e-12);
}

// ---- tables: a row's gradient is known to be zero unless it was looked up ----

at::Tensor ids_of_step(int64_t step) {
  std::vector<int64_t> ids = {2, step % 3};
  if (step == 0) ids = {1, 1, 4};
  if (step % 50 == 7) ids = {4, 9, 4};
  return at::tensor(ids, at::kLong);
}

void run_table(bool lazy, double decay, int64_t steps, double tolerance) {
  const at::Tensor table = leaf(normal({12, 40}, 1));
  const Parameter known = table_parameter(table, decay);
  Dense dense(table, decay);
  AdamW optimizer({known}, {.lazy_rows = lazy});
  for (int64_t step = 0; step < steps; ++step) {
    const double rate = 1e-2 * (1 - static_cast<double>(step) / static_cast<double>(2 * steps));
    const at::Tensor ids = ids_of_step(step), out = kernels::embedding(table, ids, known.rows);
    ASSERT_LT(error(out.detach(), dense.value.index_select(0, ids).to(at::kFloat)), tolerance)
        << step;
    out.backward(normal(out.sizes(), 100 + step));
    dense.step(rate, table.grad());
    optimizer.step(rate, 1);
    table.mutable_grad() = at::Tensor();
  }
  optimizer.flush();
  EXPECT_LT(error(table.detach(), dense.value.to(at::kFloat)), tolerance);
  EXPECT_LT(error(optimizer.state().at("exp_avg_sq.table"), dense.v.to(at::kFloat)), 1e-4);
}

TEST(AdamW, TablesFollowTheDenseRule) {
  run_table(/*lazy=*/false, 0.1, 30, 1e-6);
  run_table(/*lazy=*/false, 0, 30, 1e-6);
}

TEST(AdamW, LazyRowsFollowTheDenseRuleThroughLongGaps) {
  run_table(/*lazy=*/true, 0.1, 30, 1e-6);
  run_table(/*lazy=*/true, 0, 400, 2e-6);
  run_table(/*lazy=*/true, 0.01, 400, 2e-6);
}

// A checkpoint in the middle of a gap: the restored run rounds as the one that went on.
TEST(AdamW, RowsThatWaitGoOnWaitingWhenRestored) {
  const AdamWOptions options{.lazy_rows = true};
  const auto run = [](AdamW& optimizer, int64_t from, int64_t to) {
    const auto& [name, table, shadow, in_bf16, rate, decay, rows] = optimizer.parameters().front();
    for (int64_t step = from; step < to; ++step) {
      const at::Tensor out = kernels::embedding(table, ids_of_step(step), rows);
      out.backward(normal(out.sizes(), 100 + step));
      optimizer.step(1e-2, 1);
      table.mutable_grad() = at::Tensor();
    }
  };
  const at::Tensor table = leaf(normal({12, 40}, 1)), restored = leaf(at::zeros({12, 40}));
  AdamW optimizer({table_parameter(table, 0.1)}, options),
      second({table_parameter(restored, 0.1)}, options);
  run(optimizer, 0, 40);
  {
    const at::NoGradGuard no_grad;
    restored.copy_(table);
  }
  StateDict saved;
  for (const auto& [name, tensor] : optimizer.state()) saved[name] = tensor.clone();
  ASSERT_FALSE(saved.at("rows.steps.table").size(0) == 0);
  second.load_state(saved);
  {
    // A GPU takes over: there no row waits.
    const at::Tensor settled = table.detach().clone(), mean = saved.at("exp_avg.table").clone(),
                     square = saved.at("exp_avg_sq.table").clone();
    settle_rows(
        settled, mean, square,
        {saved.at("rows.seen.table"), saved.at("rows.moving.table"), saved.at("rows.steps.table")});
    EXPECT_FALSE(at::equal(settled, table)) << "nothing was owed";
    const at::Tensor flushed = leaf(table);
    AdamW third({table_parameter(flushed, 0.1)}, options);
    third.load_state(saved);
    third.flush();
    EXPECT_TRUE(at::equal(settled, flushed));
    EXPECT_TRUE(at::equal(mean, third.state().at("exp_avg.table")) &&
                at::equal(square, third.state().at("exp_avg_sq.table")));
  }
  run(optimizer, 40, 90);
  run(second, 40, 90);
  optimizer.flush();
  second.flush();
  EXPECT_TRUE(at::equal(table, restored));
  EXPECT_TRUE(
      at::equal(optimizer.state().at("exp_avg_sq.table"), second.state().at("exp_avg_sq.table")));
}

// A row that was looked up and got a gradient of zeros only moves no less than others: rounding
// must not tell whether a run was restored.
TEST(AdamW, ARestoredRowWithoutMomentsRoundsTheSame) {
  const AdamWOptions options{.lazy_rows = true};
  const at::Tensor table = leaf(normal({12, 40}, 1)), restored = leaf(table);
  AdamW optimizer({table_parameter(table, 0.1)}, options),
      second({table_parameter(restored, 0.1)}, options);
  const auto look_up = [](AdamW& by, int64_t row, double gradient) {
    const Parameter& in = by.parameters().front();
    kernels::embedding(in.value, at::full({1}, row, at::kLong), in.rows)
        .backward(at::full({1, 40}, gradient));
    by.step(1e-2, 1);
    in.value.mutable_grad() = at::Tensor();
  };
  look_up(optimizer, 3, 0);
  {
    const at::NoGradGuard no_grad;
    restored.copy_(table);
  }
  second.load_state(optimizer.state());
  for (int step = 0; step < 20; ++step) look_up(optimizer, 5, 1), look_up(second, 5, 1);
  optimizer.flush();
  second.flush();
  EXPECT_TRUE(at::equal(table, restored));
}

TEST(AdamW, RefusesRowsOfAnotherTable) {
  const AdamWOptions options{.lazy_rows = true};
  const at::Tensor table = leaf(normal({12, 40}, 1));
  AdamW optimizer({table_parameter(table)}, options);
  StateDict state = optimizer.state();
  state["rows.seen.table"] = at::full({12}, 3, at::kInt);  // three steps of none
  state["rows.moving.table"] = at::zeros({12}, at::kByte);
  state["rows.steps.table"] = at::zeros({0, 9});
  const std::string said = error_of([&] { optimizer.load_state(state); });
  EXPECT_NE(said.find("rows"), std::string::npos) << said;
  EXPECT_EQ(said.find("exp_avg"), std::string::npos) << said;
}

TEST(AdamW, ATableWithAnotherGradientBesidesIsDense) {
  const at::Tensor table = leaf(normal({6, 8}, 1));
  const Parameter known = table_parameter(table, 0.1);
  Dense dense(table, 0.1);
  AdamW optimizer({known}, {.lazy_rows = true});
  for (int64_t step = 0; step < 6; ++step) {
    at::Tensor loss =
        (kernels::embedding(table, at::full({1}, step % 3, at::kLong), known.rows) * 2).sum();
    if (step % 2 == 1) {  // as a tied output layer would
      optimizer.flush();
      loss = loss + (table * normal({6, 8}, step)).sum();
    }
    loss.backward();
    dense.step(0.01, table.grad());
    optimizer.step(0.01, 1);
    table.mutable_grad() = at::Tensor();
  }
  optimizer.flush();
  EXPECT_LT(error(table.detach(), dense.value.to(at::kFloat)), 1e-6);
}

TEST(AdamW, GradientNormOfATableCountsAllItsRows) {
  const at::Tensor table = leaf(normal({500, 16}, 1));
  const Parameter known = table_parameter(table);
  kernels::embedding(table, at::tensor({3, 400, 3}, at::kLong), known.rows)
      .backward(normal({3, 16}, 2));
  ASSERT_NE(touched_rows(known), nullptr);
  EXPECT_NEAR(gradient_norm({known}), table.grad().to(at::kDouble).norm().item<double>(), 1e-6);
}

}  // namespace
}  // namespace hone
