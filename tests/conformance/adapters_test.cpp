// Every method of fine-tuning with few weights passes the same trial on every family and task: what
// is trained, the gradient of a split batch, the folder, the merged model. Here each pair of
// (method, family), (method, task) and (family, task) that can be; with HONE_CONFORMANCE=1 the
// whole product. Each family's test says on how many cases it was held.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "conformance/cases.h"
#include "conformance/gradients.h"
#include "models/backbone.h"
#include "models/layers/initialise.h"
#include "support/temporary_folder.h"

namespace hone::conformance {
namespace {

using testing_support::TemporaryFolder;

struct Method {
  const char* peft;
  bool merges = true;  // into a plain model
};

const Method kMethods[] = {
    {"{peft_type: lora, r: 3, lora_dropout: 0.2}"},
    {"{peft_type: lora, r: 2, use_rslora: true, use_dora: true}"},
    {"{peft_type: lora, r: 2, init_lora_weights: pissa}"},
    {"{peft_type: lora, r: 2, init_lora_weights: gaussian, loraplus_lr_ratio: 16}"},
    {"{peft_type: lora, r: 2, base: nf4}", false},
    {"{peft_type: lora, r: 2, use_dora: true, base: int8}", false},
    {"{peft_type: adalora, init_r: 3, target_r: 2, lora_dropout: 0.1}"},
    {"{peft_type: ia3}"},
    {"{peft_type: double_seq_bn, dropout: 0.1}", false},
    {"{peft_type: seq_bn, reduction_factor: 4}", false},
    {"{peft_type: par_bn, leave_out: [0]}", false},
    {"{peft_type: prefix_tuning, num_virtual_tokens: 3}", false},
    {"{peft_type: prefix_tuning, num_virtual_tokens: 2, prefix_projection: true}", false},
    {"{peft_type: prompt_tuning, num_virtual_tokens: 3}", false},
    {"{peft_type: bitfit}"},
    {"{peft_type: ln_tuning}"},
    {"{peft_type: top_layers, layers: 1}"},
    {"{peft_type: head}"}};

// The example of each task, without its variants.
std::vector<Case> tasks_alone() {
  std::vector<Case> alone;
  for (const Case& c : all_cases()) {
    if (alone.empty() || alone.back().info != c.info) alone.push_back(c);
  }
  return alone;
}

struct Trial {
  const Method& method;
  Form form;
  const Case& task;
};

// Null where the task has no head on this family, or the family no layers for the method.
std::unique_ptr<Pipeline> pipeline_of(const Trial& trial, const std::string& folder) {
  try {
    return make_pipeline(trial.task, folder, trial.form);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    return nullptr;
  }
}

// Away from where fresh adapters do nothing.
void move_away(Pipeline& pipeline) {
  const c10::AutoGradMode no_grad(false);
  uint64_t seed = 0;
  for (const auto& [name, value] : pipeline.network().trained_weights()) {
    const at::Tensor shift = at::zeros_like(value);
    fill_normal(shift, 0.05, ++seed);
    value.add_(shift);
  }
}

double norm_of(const Gradients& gradients) {
  double total = 0;
  for (const auto& [name, gradient] : gradients) {
    if (gradient.defined()) total = std::hypot(total, gradient.norm().item<double>());
  }
  return total;
}

// Trained weights alone have a gradient, which is the same however the batch is split.
void try_gradients(const Trial& trial, Pipeline& pipeline) {
  pipeline.network().train();
  const Encoded all = encode(pipeline, trial.task.records, 8);
  const Gradients whole = gradients(pipeline, all, 8), split = gradients(pipeline, all, 3);
  const double total = norm_of(whole);
  EXPECT_GT(total, 0);
  for (const auto& [name, value] : pipeline.network().weights()) {
    ASSERT_EQ(whole.at(name).defined(), value.requires_grad()) << name;
    if (value.requires_grad())
      EXPECT_LT((whole.at(name) - split.at(name)).norm().item<double>(), 1e-5 * total) << name;
  }
  pipeline.network().eval();
}

at::Tensor outputs_of(Pipeline& pipeline, const Encoded& all) {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> values;
  for (const Encoded& own : by_task(all)) {
    const Batch batch = collate(own.samples, own.indices, 0);
    values.push_back(pipeline.task().predict(pipeline.network(), batch)[0].flatten());
  }
  return at::cat(values);
}

void expect_close(const at::Tensor& one, const at::Tensor& other, double tolerance) {
  EXPECT_LT((one - other).abs().max().item<double>(),
            tolerance * std::max(1.0, one.abs().max().item<double>()));
}

void try_folder(const Trial& trial, Pipeline& pipeline, const TemporaryFolder& folder) {
  const Encoded all = encode(pipeline, trial.task.records, 8);
  pipeline.save(folder / "saved");
  const auto loaded = Pipeline::load(folder / "saved");
  expect_close(outputs_of(pipeline, all), outputs_of(*loaded, all), 1e-5);
  EXPECT_EQ(loaded->adapted().has_value(), pipeline.adapted()->has_folder());
  if (!loaded->adapted()) return;
  EXPECT_EQ(loaded->adapted()->targets, pipeline.adapted()->targets);
  EXPECT_EQ(loaded->adapted()->base_weights, pipeline.adapted()->base_weights);
}

void try_merging(const Trial& trial, Pipeline& pipeline) {
  if (!trial.method.merges) {
    EXPECT_THROW(pipeline.merge_adapters(), Error);
    return;
  }
  const Encoded all = encode(pipeline, trial.task.records, 8);
  const at::Tensor before = outputs_of(pipeline, all);
  pipeline.merge_adapters();
  const at::Tensor after = outputs_of(pipeline, all);
  expect_close(before, after, 1e-4);
}

// Whether there is such a case.
bool try_all(const Trial& trial) {
  SCOPED_TRACE(std::string(trial.method.peft) + " on " + trial.form.family + " for " +
               trial.task.name);
  const TemporaryFolder folder;
  try {
    const auto pipeline = pipeline_of(trial, folder / "model");
    if (!pipeline) return false;
    move_away(*pipeline);
    try_gradients(trial, *pipeline);
    try_folder(trial, *pipeline, folder);
    try_merging(trial, *pipeline);
  } catch (const std::exception& error) {  // the others have their trial all the same
    ADD_FAILURE() << error.what();
  }
  return true;
}

// A test for each, so that processor cores share them.
class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  static size_t place() {
    const std::vector<std::string> names = families().names();
    return static_cast<size_t>(std::find(names.begin(), names.end(), GetParam()) - names.begin());
  }
};
INSTANTIATE_TEST_SUITE_P(ConformanceOfAdapters, EveryFamily, testing::ValuesIn(families().names()),
                         [](const auto& family) {
                           std::string name = family.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// With a task more or less for each method and each family, each family meets each task, and each
// method too, in as many cases as there are pairs of method and family.
TEST_P(EveryFamily, HoldsEveryMethodForEveryTask) {
  at::set_num_threads(1);
  const bool is_whole = std::getenv("HONE_CONFORMANCE") != nullptr;
  const std::vector<Case> tasks = tasks_alone();
  size_t first = place();
  int64_t held = 0;
  for (const Method& method : kMethods) {
    bool is_held = false;
    for (size_t i = 0; i < tasks.size() && (is_whole || !is_held); ++i) {
      is_held = try_all({method, {GetParam(), method.peft}, tasks[(first + i) % tasks.size()]});
      held += is_held ? 1 : 0;
    }
    ++first;
  }
  EXPECT_EQ(held > 0, GetParam() != "whisper");  // whose source is no text: no task has it
  std::cout << "[  CASES   ] " << held << " of " << GetParam() << ", " << std::size(kMethods)
            << " methods and " << tasks.size() << " tasks\n";
}

}  // namespace
}  // namespace hone::conformance
