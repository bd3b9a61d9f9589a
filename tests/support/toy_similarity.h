// A task whose loss is over a whole step: each text is to be nearer to its own other text than to
// those of all other samples of the step (in-batch negatives: Henderson et al. 2017,
// https://arxiv.org/abs/1705.00652). Not part of the program: this header adds it to the registry.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <span>

#include "base/random.h"
#include "models/kernels/cross_entropy.h"
#include "models/layers/linear.h"
#include "models/layers/rows.h"
#include "tasks/fields.h"
#include "tasks/task.h"
#include "tasks/truncate.h"

namespace hone::toy_similarity {

constexpr const char* kName = "toy_similarity";
constexpr double kScale = 20;  // of a cosine, before the softmax

// The first token of both texts, projected: [S, 2 * width].
class PairHead : public Head {
 public:
  explicit PairHead(const ModelConfig& config) : range_(config.initializer_range) {
    out_ = register_module("projection", Linear(config.hidden_size, 8));
  }
  Outputs forward(Backbone& backbone, const Batch& batch) override {
    return at::cat({side(backbone, batch.streams[0]), side(backbone, batch.streams[1])}, 1);
  }
  void initialise(uint64_t seed) override { out_->initialise(range_, mix(seed, 0)); }

 private:
  at::Tensor side(Backbone& backbone, const Packed& tokens) {
    const Rows rows = Rows(tokens, is_training()).choose(tokens.first_rows()).at_head();
    const at::Tensor x =
        backbone.forward(std::span(&tokens, 1), {.rows = rows.chosen()}).to(at::kFloat);
    return out_(kernels::dropout(x, rows.dropout(DropoutPlace::kHeadOut, 0.1)), rows);
  }

  double range_;
  Linear out_{nullptr};
};

class SimilarityScorer : public Scorer {
 public:
  void check(const Record&) const override {}  // gold has nothing that could be wrong
  void add(const Record& gold, const Json& result) override {
    sum_ += need_result(gold, result, "similarity").get<double>();
    ++count_;
  }
  Report report() const override {
    Report report;
    report.task = kName;
    report.metric = "mean_similarity";
    report.n = count_;
    report.add({"mean_similarity"}, {count_ == 0 ? 0 : sum_ / static_cast<double>(count_)});
    return report;
  }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

class Similarity : public Task {
 public:
  const TaskInfo& info() const override { return task_named(kName); }
  std::vector<std::string> text_fields() const override { return {"text", "other"}; }
  std::string label_of(const Record&) const override { return ""; }
  std::vector<std::string> gold_fields() const override { return {}; }
  void learn(const Record&) override {}
  void finish_learning() override {}
  std::vector<Sample> encode(const Record& record, const Tokenizer& tokenizer, bool,
                             bool* truncated) const override {
    Sample sample;
    if (truncated != nullptr) *truncated = false;
    for (const char* field : {"text", "other"}) {
      Encoding pieces = tokenizer.encode(need_text(record, field));
      const bool was_cut = truncate_longest_first(pieces, nullptr, 30);
      if (truncated != nullptr) *truncated = *truncated || was_cut;
      sample.streams.push_back(tokenizer.post_process(pieces));
    }
    return {sample};
  }
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override {
    return std::make_shared<PairHead>(config);
  }
  bool has_step_loss() const override { return true; }
  Loss loss(const Outputs& output, const Batch&, const LossOptions&) const override {
    const auto [a, b] = sides(output);
    const at::Tensor own = at::arange(a.size(0), at::TensorOptions(at::kLong).device(a.device()));
    return {kernels::cross_entropy_sum(kScale * a.matmul(b.t()), own, -100, 0),
            static_cast<double>(a.size(0))};
  }
  Json decode(const Record&, std::span<const Row> rows, const Tokenizer&) const override {
    const auto [a, b] = sides(rows.front().output.unsqueeze(0));
    return {{"similarity", probability((a * b).sum().item<double>())}};
  }
  std::unique_ptr<Scorer> make_scorer() const override {
    return std::make_unique<SimilarityScorer>();
  }
  Json state() const override { return {{"options", Json::object()}}; }
  void write_model_config(const ModelConfig& model, Json& config) const override {
    config["architectures"] = Json::array({model.architecture_stem + "Model"});
  }

 private:
  static std::pair<at::Tensor, at::Tensor> sides(const at::Tensor& output) {
    const auto unit = [](const at::Tensor& x) { return x / x.norm(2, 1, true).clamp_min(1e-12); };
    return {unit(output.slice(1, 0, output.size(1) / 2)),
            unit(output.slice(1, output.size(1) / 2))};
  }
};

inline TaskInfo info() {
  return {kName, "texts that belong together",
          [](Config&, int64_t) -> std::unique_ptr<Task> { return std::make_unique<Similarity>(); },
          [](const Json&) -> std::unique_ptr<Task> { return std::make_unique<Similarity>(); }};
}

inline const bool kIsAdded = tasks().add(info());  // once in a program

}  // namespace hone::toy_similarity
