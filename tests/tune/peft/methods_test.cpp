// Every method in a run: resumed bit for bit, the same bits with recomputation, in fp32 and bf16.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_run.h"

namespace hone {
namespace {

using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

struct MethodForm {
  const char* peft;
  const char* precision = "fp32";
};

class EveryMethodRun : public testing::TestWithParam<MethodForm> {};
INSTANTIATE_TEST_SUITE_P(
    Peft, EveryMethodRun,
    testing::Values(MethodForm{"{peft_type: lora, r: 4, use_dora: true, lora_dropout: 0.1}"},
                    MethodForm{"{peft_type: lora, r: 4, init_lora_weights: pissa}", "bf16"},
                    MethodForm{"{peft_type: lora, r: 4, loraplus_lr_ratio: 2}"},
                    MethodForm{"{peft_type: lora, r: 4, use_rslora: true}", "bf16"},
                    MethodForm{"{peft_type: adalora, init_r: 4, target_r: 2}", "bf16"},
                    MethodForm{"{peft_type: ia3}"},
                    MethodForm{"{peft_type: double_seq_bn, dropout: 0.1}", "bf16"},
                    MethodForm{"{peft_type: seq_bn}"}, MethodForm{"{peft_type: par_bn}", "bf16"},
                    MethodForm{"{peft_type: prefix_tuning, num_virtual_tokens: 3}"},
                    MethodForm{"{peft_type: prefix_tuning, num_virtual_tokens: 3, "
                               "prefix_projection: true}",
                               "bf16"},
                    MethodForm{"{peft_type: prompt_tuning, num_virtual_tokens: 3}"},
                    MethodForm{"{peft_type: bitfit}", "bf16"}, MethodForm{"{peft_type: ln_tuning}"},
                    MethodForm{"{peft_type: top_layers}"}, MethodForm{"{peft_type: head}"}));

TrainOptions options_of(const MethodForm& form) {
  TrainOptions options = tiny_options();
  options.precision = form.precision;
  options.learning_rate = 1e-2;
  return options;
}

TEST_P(EveryMethodRun, LearnsAndGoesOnBitForBit) {
  TinyRun whole, parts;
  whole.peft_yaml = parts.peft_yaml = GetParam().peft;
  const TrainOptions options = options_of(GetParam());
  whole.train(options);
  const auto steps = whole.events_of<Stepped>();
  EXPECT_LT(steps.back().loss, steps.front().loss);
  parts.also = [&](const Event& event) {
    const auto* s = std::get_if<Stepped>(&event);
    if (s != nullptr && s->step == 5) parts.stop = true;
  };
  EXPECT_TRUE(parts.train(options).interrupted);
  parts.stop = false;
  parts.train(options, /*resume=*/true);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
}

TEST_P(EveryMethodRun, RecomputingGivesTheSameBits) {
  TinyRun plain, recomputed;
  plain.peft_yaml = recomputed.peft_yaml = GetParam().peft;
  TrainOptions options = options_of(GetParam());
  plain.train(options);
  options.recompute = true;
  recomputed.train(options);
  EXPECT_EQ(first_difference(plain.weights(), recomputed.weights()), "");
}

}  // namespace
}  // namespace hone
