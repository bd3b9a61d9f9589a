#include "run/baseline.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <torch/optim/lbfgs.h>

#include <chrono>
#include <cmath>

#include "run/tf_idf.h"

namespace hone {
namespace {

constexpr int64_t kMostWeights = 8'000'000;  // features times outputs: some hundred MB in all

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A linear model of sparse rows with the task's own loss.
class LinearModel {
 public:
  LinearModel(int64_t features, int64_t outputs)
      : weight_(at::zeros({features, outputs})), bias_(at::zeros({outputs})) {}

  at::Tensor outputs(const SparseRows& x) const { return x.times(weight_) + bias_; }

  // `batch` has the targets of the rows of `x`.
  void fit(const SparseRows& x, const Batch& batch, const Task& task) {
    const SparseRows by_feature = x.transposed();
    const double rows = std::max<double>(1, static_cast<double>(x.rows()));
    torch::optim::LBFGS optimizer({weight_, bias_}, torch::optim::LBFGSOptions(1)
                                                        .max_iter(100)
                                                        .history_size(6)
                                                        .tolerance_grad(1e-6)
                                                        .line_search_fn("strong_wolfe"));
    optimizer.step([&] {
      const at::AutoGradMode with_gradient(true);
      at::Tensor logits = outputs(x).requires_grad_();
      const at::Tensor loss = task.loss(logits, batch).sum;
      loss.backward();
      weight_.mutable_grad() = (by_feature.times(logits.grad()) + weight_) / rows;
      bias_.mutable_grad() = logits.grad().sum(0) / rows;
      return (loss.detach() + weight_.square().sum() / 2) / rows;
    });
  }

 private:
  at::Tensor weight_, bias_;
};

// The places of rows of the file: copies of a row stand behind it.
std::vector<int64_t> places_of_rows(const SampleStore& samples) {
  std::vector<int64_t> places;
  int64_t last = -1;
  for (int64_t i = 0; i < samples.size(); ++i) {
    const int64_t record = samples.get(i).record;
    if (record != last) places.push_back(i);
    last = record;
  }
  return places;
}

// Targets alone: the network's own columns are not needed.
Sample without_texts(Sample sample) {
  sample.streams.clear();
  return sample;
}

Report scored(const LinearModel& model, const TfIdf& features, const Prepared& prepared,
              const EncodedSource& records) {
  const std::unique_ptr<Scorer> scorer = prepared.task->make_scorer();
  for (auto part = records(); !part.empty(); part = records()) {
    SparseRows x;
    for (const EncodedRecord& one : part) features.append(one.samples.front(), x);
    const at::Tensor outputs = model.outputs(x);
    for (size_t i = 0; i < part.size(); ++i) {
      const Row row{&part[i].samples.front(), outputs[static_cast<int64_t>(i)].contiguous()};
      scorer->add(part[i].record,
                  prepared.task->decode(part[i].record, {&row, 1}, *prepared.tokenizer));
    }
  }
  return scorer->report();
}

void refuse_others(const RunConfig& config, const Task& task) {
  if (task.plain_outputs() == 0)
    throw Error(ErrorKind::kUsage, {config.path},
                fmt::format("--baseline is for tasks with one answer a text (classify), and this "
                            "one is {}",
                            task.info().name));
  if (config.data.tested().empty())
    throw Error(ErrorKind::kUsage, {config.path},
                "--baseline needs test or validation data to be scored on, and there are none");
}

}  // namespace

LinearBaseline linear_baseline(const RunConfig& config, const Prepared& prepared,
                               const RunData& data) {
  refuse_others(config, *prepared.task);
  const auto start = std::chrono::steady_clock::now();
  const int64_t outputs = prepared.task->plain_outputs();
  LinearBaseline baseline;
  baseline.split = config.data.tested().front();
  TfIdf features;
  const std::vector<int64_t> places = places_of_rows(data.train);
  for (const int64_t place : places) features.count(data.train.get(place));
  features.finish(static_cast<size_t>(std::max<int64_t>(1, kMostWeights / outputs)));
  SparseRows x;
  std::vector<Sample> targets;
  for (const int64_t place : places) {
    Sample sample = data.train.get(place);
    features.append(sample, x);
    targets.push_back(without_texts(std::move(sample)));
  }
  const at::NoGradGuard no_gradient;
  LinearModel model(features.width(), outputs);
  model.fit(x, collate(targets, places, 0), *prepared.task);
  baseline.report = scored(model, features, prepared, data.tested.at(baseline.split).all());
  baseline.features = features.width();
  baseline.seconds = seconds_since(start);
  return baseline;
}

Json LinearBaseline::json() const {
  return {
      {"split", split}, {"features", features}, {"seconds", seconds}, {"report", report.json()}};
}

std::string LinearBaseline::text() const {
  std::string text = fmt::format(
      "baseline (TF-IDF of {} tokens and pairs of neighbours, logistic regression, {:.1f} s), on "
      "{}\n",
      features, seconds, split);
  PlainTable table{.columns = {{"metric", "metric"},
                               {"value", "value"},
                               {"low", "from"},
                               {"high", "to"},
                               {"baseline", report.baseline}}};
  for (const Metric& metric : report.metrics)
    table.rows.push_back({metric.name, finite(metric.value),
                          metric.interval ? finite(metric.interval->low) : Json(),
                          metric.interval ? finite(metric.interval->high) : Json(),
                          metric.baseline ? finite(*metric.baseline) : Json()});
  return text + section_text({"metrics", "metrics", std::move(table)}, "");
}

}  // namespace hone
