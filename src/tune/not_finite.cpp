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

bool is_finite_alone(const Pass& pass, const std::vector<Parameter>& parameters, const Batch& batch,
                     bool is_gradient) {
  clear_gradients(parameters);
  try {
    pass(batch);
  } catch (const NotFinite&) {
    return false;
  }
  return !is_gradient || std::isfinite(gradient_norm(parameters));
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

void refuse_not_finite(const Pass& pass, const Network& network,
                       const std::vector<Parameter>& parameters, const SampleStore& samples,
                       const std::function<Where(int64_t)>& where_of, const Suspects& suspects) {
  std::vector<int64_t> guilty;
  for (int64_t index : suspects.indices) {
    const MicroBatch micro = make_micro_batch(samples, {index}, suspects.seed, suspects.steps_done);
    if (!is_finite_alone(pass, parameters, network.place(micro.batch),
                         suspects.failure.is_gradient))
      guilty.push_back(index);
  }
  clear_gradients(parameters);

  const std::string& what = suspects.failure.what;
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

void refuse_diverged(const std::vector<Parameter>& parameters, int64_t steps_done) {
  for (const Parameter& parameter : parameters) {
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
