#include "tune/not_finite.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "tune/batch_loader.h"
#include "tune/parameters.h"

namespace hone {
namespace {

constexpr size_t kNamed = 10;  // rows that a message lists

bool is_finite_alone(Pipeline& pipeline, const std::vector<AdamWParameter>& parameters,
                     const MicroBatch& micro, bool with_gradient) {
  const Loss loss =
      pipeline.task().forward_loss(pipeline.network(), pipeline.network().place(micro.batch));
  if (!std::isfinite(loss.sum.item<double>())) return false;
  if (!with_gradient) return true;
  clear_gradients(parameters);
  loss.sum.backward();
  return std::isfinite(gradient_norm(parameters));
}

// The rows of samples, each once, in the order of the data.
std::vector<int64_t> records_of(const SampleStore& samples, const std::vector<int64_t>& indices) {
  std::vector<int64_t> records;
  for (int64_t index : indices) records.push_back(samples.get(index).record);
  std::sort(records.begin(), records.end());
  records.erase(std::unique(records.begin(), records.end()), records.end());
  return records;
}

std::string list_rows(const std::vector<int64_t>& records,
                      const std::function<Where(int64_t)>& where_of) {
  std::vector<std::string> places;
  for (int64_t record : records) {
    if (places.size() == kNamed) break;
    places.push_back(where_of(record).str());
  }
  const size_t more = records.size() - places.size();
  return fmt::format("{}{}", fmt::join(places, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

void refuse_not_finite(Pipeline& pipeline, const std::vector<AdamWParameter>& parameters,
                       const SampleStore& samples, const std::function<Where(int64_t)>& where_of,
                       const Suspects& suspects) {
  std::vector<int64_t> guilty;
  for (int64_t index : suspects.indices) {
    const MicroBatch micro = make_micro_batch(samples, {index}, suspects.seed, suspects.steps_done);
    if (!is_finite_alone(pipeline, parameters, micro, suspects.is_gradient))
      guilty.push_back(index);
  }
  clear_gradients(parameters);

  const char* what = suspects.is_gradient ? "gradient" : "loss";
  const int64_t step = suspects.steps_done + 1;
  const bool all = guilty.size() == suspects.indices.size(), none = guilty.empty();
  const auto rows = records_of(samples, none ? suspects.indices : guilty);
  const std::string listed = list_rows(rows, where_of);
  std::string message;
  if (none) {
    message = fmt::format(
        "the {} of step {} is not finite, though that of each of its {} samples alone is; its "
        "rows: {}. Try a smaller \"learning_rate\" or "
        "\"precision: fp32\"",
        what, step, suspects.indices.size(), listed);
  } else if (all && suspects.indices.size() > 1) {
    message = fmt::format(
        "the {} of step {} is not finite for any of its {} samples, so the weights themselves have "
        "diverged; try a smaller "
        "\"learning_rate\" or more warm-up. Its rows: {}",
        what, step, suspects.indices.size(), listed);
  } else {
    message = fmt::format(
        "the {} of step {} is not finite for {} of {} samples: {}. Look at the values of these "
        "rows; earlier checkpoints are untouched",
        what, step, guilty.size(), suspects.indices.size(), listed);
  }
  throw Error(ErrorKind::kData, where_of(rows.front()), message);
}

void refuse_diverged(const std::vector<AdamWParameter>& parameters, int64_t steps_done) {
  for (const AdamWParameter& parameter : parameters) {
    if (parameter.value.numel() == 0) continue;
    const auto [least, most] = at::aminmax(parameter.value.detach());  // one pass, no copy
    if (std::isfinite(least.item<double>()) && std::isfinite(most.item<double>())) continue;
    throw Error(ErrorKind::kData,
                fmt::format("after step {} the weights are no longer finite (\"{}\"): they have "
                            "diverged, and are not saved. Try a smaller \"learning_rate\" or more "
                            "warm-up; earlier checkpoints are untouched",
                            steps_done, parameter.name));
  }
}

}  // namespace hone
