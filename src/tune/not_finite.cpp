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

// What follows "the loss of step 4 is not finite".
std::string of_none_alone(const Suspects& suspects, const std::string& rows) {
  return fmt::format(
      ", though that of each of its {} samples alone is; its rows: {}. Try a smaller "
      "\"learning_rate\" or \"precision: fp32\"",
      suspects.indices.size(), rows);
}

// Before anything is trained, the base model is as likely a cause as the rows.
std::string of_some(const Suspects& suspects, size_t guilty, const std::string& rows) {
  const size_t count = suspects.indices.size();
  const bool is_first = suspects.steps_done == 0;
  if (guilty == count && count > 1)
    return fmt::format(
        " for any of its {} samples, so {}. Its rows: {}", count,
        is_first ? "the base model's own weights give no numbers: are they damaged? Try another "
                   "copy of it, or \"precision: fp32\""
                 : "the weights themselves have diverged; try a smaller \"learning_rate\" or more "
                   "warm-up",
        rows);
  return fmt::format(" for {} of {} samples: {}. Look at the values of these rows; {}", guilty,
                     count, rows,
                     is_first ? "nothing has been trained yet: the base model's weights may be "
                                "damaged too"
                              : "earlier checkpoints are untouched");
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

  const bool none = guilty.empty();
  const auto rows = records_of(samples, none ? suspects.indices : guilty);
  throw Error(ErrorKind::kData, where_of(rows.front()),
              fmt::format("the {} of step {} is not finite{}", suspects.failure.what,
                          suspects.steps_done + 1,
                          none ? of_none_alone(suspects, list_rows(rows, where_of))
                               : of_some(suspects, guilty.size(), list_rows(rows, where_of))));
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
