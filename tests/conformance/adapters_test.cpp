// Every method of fine-tuning with few weights passes the same trial on every family and task: what
// is trained, the gradient of a split batch, the folder, the merged model. Here each pair of
// (method, family), (method, task) and (family, task) that can be; with HONE_CONFORMANCE=1 the
// whole product. What cannot be is listed, and refused. Each family's test says on how many cases
// it was held.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>
#include <tuple>

#include "conformance/cases.h"
#include "conformance/gradients.h"
#include "models/backbone.h"
#include "models/layers/initialise.h"
#include "support/temporary_folder.h"

namespace hone::conformance {
namespace {

using testing_support::TemporaryFolder;

enum class Needs { kNothing, kPlainAttention, kOneStream, kBiases, kHeadOfItsOwn };

struct Method {
  const char* peft;
  bool merges = true;  // into a plain model
  Needs needs = Needs::kNothing;
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
    {"{peft_type: prefix_tuning, num_virtual_tokens: 3}", false, Needs::kPlainAttention},
    {"{peft_type: prefix_tuning, num_virtual_tokens: 2, prefix_projection: true}", false,
     Needs::kPlainAttention},
    {"{peft_type: prompt_tuning, num_virtual_tokens: 3}", false, Needs::kOneStream},
    {"{peft_type: bitfit}", true, Needs::kBiases},
    {"{peft_type: ln_tuning}"},
    {"{peft_type: top_layers, layers: 1}"},
    {"{peft_type: head}", true, Needs::kHeadOfItsOwn}};

using Names = std::set<std::string>;

const Names kTwoStreams = {"bart", "marian", "mbart", "mt5", "pegasus", "t5"};
const Names kDecoders = {"gemma2", "gpt2", "llama", "mistral", "phi3", "qwen2", "qwen3"};
// Whose answers Transformers marks in a text by a head of another form, or by none.
const Names kWithoutSpans = {"gemma2", "llama", "phi3"};
const Names kWithoutBiases = {"gemma2", "llama", "mistral", "modernbert",
                              "mt5",    "phi3",  "qwen3",   "t5"};
// Whose attention has windows, or goes by distances.
const Names kByDistance = {"deberta", "deberta-v2", "gemma2", "mistral", "modernbert", "mpnet"};

bool has_task(const std::string& family, const std::string& task) {
  if (family == "whisper") return false;  // its source is no text
  if (kTwoStreams.contains(family) || task == "seq2seq")
    return kTwoStreams.contains(family) && task == "seq2seq";
  if (task == "causal_lm") return kDecoders.contains(family);
  if (task == "mlm" || task == "prompt") return !kDecoders.contains(family);
  return task != "qa" || !kWithoutSpans.contains(family);
}

bool can_be(const Method& method, const std::string& family, const std::string& task) {
  // They learn the network's own output, or its states.
  static const Names kWithoutHead = {"causal_lm", "seq2seq", "embedding"};
  if (!has_task(family, task)) return false;
  switch (method.needs) {
    case Needs::kPlainAttention:
      return !kTwoStreams.contains(family) && !kByDistance.contains(family);
    case Needs::kOneStream:
      return !kTwoStreams.contains(family);
    case Needs::kBiases:
      return !kWithoutBiases.contains(family);
    case Needs::kHeadOfItsOwn:
      return !kWithoutHead.contains(task);
    case Needs::kNothing:
      break;
  }
  return true;
}

// The example of each task, without its variants.
std::vector<Case> tasks_alone() {
  std::vector<Case> alone;
  for (const Case& c : all_cases()) {
    if (alone.empty() || alone.back().info != c.info) alone.push_back(c);
  }
  return alone;
}

// Places in the lists of methods, families and tasks.
struct Cell {
  size_t method, family, task;
};

// Each pair of them that can be is in a cell. A method meets a family once, with the task whose
// pairs are still wanted; a family that has few methods left takes the tasks that it has not met.
class CoveringArray {
 public:
  CoveringArray(std::vector<std::string> families, std::vector<std::string> tasks)
      : families_(std::move(families)), tasks_(std::move(tasks)) {
    for (size_t family = 0; family < families_.size(); ++family) fill(family);
    for (const Cell& cell : all()) {  // a pair that no choice above was left for
      if (!has_method(cell) || !has_family(cell)) add(cell);
    }
  }
  const std::vector<Cell>& cells() const { return cells_; }
  // All that can be.
  std::vector<Cell> all() const {
    std::vector<Cell> found;
    for (size_t family = 0; family < families_.size(); ++family) {
      for (size_t method = 0; method < std::size(kMethods); ++method) {
        for (const Cell& cell : of(method, family)) found.push_back(cell);
      }
    }
    return found;
  }
  bool has_method(const Cell& cell) const { return by_method_.contains({cell.method, cell.task}); }
  bool has_family(const Cell& cell) const { return by_family_.contains({cell.family, cell.task}); }

 private:
  std::vector<Cell> of(size_t method, size_t family) const {
    std::vector<Cell> found;
    for (size_t task = 0; task < tasks_.size(); ++task) {
      if (can_be(kMethods[method], families_[family], tasks_[task]))
        found.push_back({method, family, task});
    }
    return found;
  }

  void fill(size_t family) {
    std::vector<size_t> methods;
    for (size_t method = 0; method < std::size(kMethods); ++method) {
      if (!of(method, family).empty()) methods.push_back(method);
    }
    size_t unmet = tasks_of(family), left = methods.size();
    for (const size_t method : methods) {
      const Cell cell = chosen(of(method, family), /*must_be_unmet=*/left-- <= unmet);
      if (!has_family(cell)) --unmet;
      add(cell);
    }
  }

  size_t tasks_of(size_t family) const {
    return static_cast<size_t>(
        std::count_if(tasks_.begin(), tasks_.end(),
                      [&](const std::string& task) { return has_task(families_[family], task); }));
  }

  // That of the fewest families among those whose pair with the method is wanted, and that the
  // family has not met.
  Cell chosen(const std::vector<Cell>& from, bool must_be_unmet) const {
    const auto rank = [&](const Cell& cell) {
      const bool is_met = has_family(cell);
      return std::tuple(must_be_unmet && is_met, has_method(cell), families_of(cell.task), is_met);
    };
    return *std::min_element(from.begin(), from.end(), [&](const Cell& one, const Cell& other) {
      return rank(one) < rank(other);
    });
  }

  size_t families_of(size_t task) const {
    return static_cast<size_t>(
        std::count_if(families_.begin(), families_.end(),
                      [&](const std::string& family) { return has_task(family, tasks_[task]); }));
  }

  void add(const Cell& cell) {
    cells_.push_back(cell);
    by_method_.insert({cell.method, cell.task});
    by_family_.insert({cell.family, cell.task});
  }

  std::vector<std::string> families_, tasks_;
  std::vector<Cell> cells_;
  std::set<std::pair<size_t, size_t>> by_method_, by_family_;  // with their tasks
};

std::vector<std::string> names_of(const std::vector<Case>& tasks) {
  std::vector<std::string> names;
  for (const Case& task : tasks) names.emplace_back(task.info->name);
  return names;
}

TEST(CoveringArray, HoldsEachPairThatCanBe) {
  const CoveringArray array(families().names(), names_of(tasks_alone()));
  for (const Cell& cell : array.all()) {
    EXPECT_TRUE(array.has_method(cell));
    EXPECT_TRUE(array.has_family(cell));
  }
  EXPECT_LT(array.cells().size(), array.all().size() / 5);
}

struct Trial {
  const Method& method;
  Form form;
  const Case& task;
};

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

void try_all(const Trial& trial) {
  SCOPED_TRACE(std::string(trial.method.peft) + " on " + trial.form.family + " for " +
               trial.task.name);
  const TemporaryFolder folder;
  try {
    const auto pipeline = make_pipeline(trial.task, folder / "model", trial.form);
    move_away(*pipeline);
    try_gradients(trial, *pipeline);
    try_folder(trial, *pipeline, folder);
    try_merging(trial, *pipeline);
  } catch (const std::exception& error) {  // the others have their trial all the same
    ADD_FAILURE() << error.what();
  }
}

void expect_refusal(const Trial& trial) {
  SCOPED_TRACE(std::string(trial.method.peft) + " on " + trial.form.family + " for " +
               trial.task.name);
  const TemporaryFolder folder;
  try {
    make_pipeline(trial.task, folder / "model", trial.form);
    ADD_FAILURE() << "is there, though the lists above say that it cannot be";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
  }
}

// A test for each, so that processor cores share them.
class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { at::set_num_threads(1); }

  const std::vector<Case> tasks_ = tasks_alone();
};
INSTANTIATE_TEST_SUITE_P(ConformanceOfAdapters, EveryFamily, testing::ValuesIn(families().names()),
                         [](const auto& family) {
                           std::string name = family.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryFamily, HoldsEveryMethodForEveryTask) {
  const std::vector<std::string> names = families().names();
  const CoveringArray array(names, names_of(tasks_));
  const bool is_whole = std::getenv("HONE_CONFORMANCE") != nullptr;
  int64_t held = 0;
  for (const Cell& cell : is_whole ? array.all() : array.cells()) {
    if (names[cell.family] != GetParam()) continue;
    const Method& method = kMethods[cell.method];
    try_all({method, {GetParam(), method.peft}, tasks_[cell.task]});
    ++held;
  }
  EXPECT_EQ(held > 0, GetParam() != "whisper");
  std::cout << "[  CASES   ] " << held << " of " << GetParam() << ", " << std::size(kMethods)
            << " methods and " << tasks_.size() << " tasks\n";
}

// The usual layers of ia3 are found by their names.
TEST_P(EveryFamily, HasFactorsForKeysValuesAndFeedForward) {
  for (const Case& task : tasks_) {
    if (!has_task(GetParam(), task.info->name)) continue;
    const TemporaryFolder folder;
    const auto pipeline = make_pipeline(task, folder / "model", {GetParam(), "{peft_type: ia3}"});
    int64_t of_inputs = 0, of_outputs = 0;
    for (const auto& [module, adapter] : adapters_of(pipeline->network()))
      (adapter->saved().front().second.size(0) == 1 ? of_inputs : of_outputs) += 1;
    EXPECT_GT(of_inputs, 0);
    EXPECT_GE(of_outputs, of_inputs);  // keys and values are one layer, or two
    return;
  }
}

// Each task that it has not, and each method that none of its tasks has.
TEST_P(EveryFamily, RefusesWhatItCannotHave) {
  const std::string& family = GetParam();
  for (const Case& task : tasks_) {
    if (!has_task(family, task.info->name))
      expect_refusal({kMethods[0], {family, kMethods[0].peft}, task});
  }
  for (const Method& method : kMethods) {
    const Case* own = nullptr;
    bool is_held = false;
    for (const Case& task : tasks_) {
      if (own == nullptr && has_task(family, task.info->name)) own = &task;
      is_held = is_held || can_be(method, family, task.info->name);
    }
    if (own != nullptr && !is_held) expect_refusal({method, {family, method.peft}, *own});
  }
}

}  // namespace
}  // namespace hone::conformance
