#include "data/plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace hone {
namespace {

using Group = std::vector<int64_t>;  // indices of samples

// Longest first; equal lengths by index, so that the order is one whatever the sort.
void sort_by_length(Group& group, const std::vector<int32_t>& lengths) {
  std::sort(group.begin(), group.end(), [&](int64_t a, int64_t b) {
    const int32_t length_a = lengths[static_cast<size_t>(a)], length_b = lengths[static_cast<size_t>(b)];
    return length_a != length_b ? length_a > length_b : a < b;
  });
}

std::vector<Group> cut_by_count(const Group& samples, size_t size) {
  std::vector<Group> out;
  for (size_t start = 0; start < samples.size(); start += size) {
    const size_t end = std::min(samples.size(), start + size);
    out.emplace_back(samples.begin() + static_cast<std::ptrdiff_t>(start), samples.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return out;
}

// Each micro-batch takes samples in order while they fit; a sample above the budget stands alone.
std::vector<Group> cut_by_tokens(const Group& samples, const std::vector<int32_t>& lengths, int64_t max_tokens) {
  std::vector<Group> out;
  int64_t filled = 0;
  for (const int64_t sample : samples) {
    const int64_t length = lengths[static_cast<size_t>(sample)];
    if (out.empty() || filled + length > max_tokens) {
      out.emplace_back();
      filled = 0;
    }
    out.back().push_back(sample);
    filled += length;
  }
  return out;
}

// A step holds `accumulation` micro-batches of the shuffled order, so its samples depend on no grouping.
EpochPlan steps_by_tokens(const Group& order, const std::vector<int32_t>& lengths, const PlanOptions& options) {
  EpochPlan plan;
  const std::vector<Group> cuts = cut_by_tokens(order, lengths, options.max_tokens);
  const size_t per_step = static_cast<size_t>(std::max<int64_t>(options.accumulation, 1));
  for (size_t start = 0; start < cuts.size(); start += per_step) {
    const size_t end = std::min(cuts.size(), start + per_step);
    std::vector<Group> step(cuts.begin() + static_cast<std::ptrdiff_t>(start), cuts.begin() + static_cast<std::ptrdiff_t>(end));
    if (options.group_by_length) {
      Group samples;
      for (const Group& group : step) samples.insert(samples.end(), group.begin(), group.end());
      sort_by_length(samples, lengths);
      // Sorted samples can need one micro-batch more than the shuffled ones; then the shuffled cut stands.
      std::vector<Group> sorted = cut_by_tokens(samples, lengths, options.max_tokens);
      if (sorted.size() <= step.size()) step = std::move(sorted);
    }
    plan.push_back(std::move(step));
  }
  return plan;
}

EpochPlan steps_by_count(const Group& order, const std::vector<int32_t>& lengths, const PlanOptions& options) {
  EpochPlan plan;
  const size_t size = static_cast<size_t>(std::max<int64_t>(options.batch_size, 1));
  const size_t per_step = size * static_cast<size_t>(std::max<int64_t>(options.accumulation, 1));
  for (Group& samples : cut_by_count(order, per_step)) {
    if (options.group_by_length) sort_by_length(samples, lengths);
    plan.push_back(cut_by_count(samples, size));
  }
  return plan;
}

Group all_of(const std::vector<int32_t>& lengths) {
  Group order(lengths.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

EpochPlan plan_epoch(const std::vector<int32_t>& lengths, const PlanOptions& options, int64_t epoch) {
  const Group order = permutation(static_cast<int64_t>(lengths.size()), mix(options.seed, static_cast<uint64_t>(epoch)));
  return options.max_tokens > 0 ? steps_by_tokens(order, lengths, options) : steps_by_count(order, lengths, options);
}

std::vector<std::vector<int64_t>> plan_evaluation(const std::vector<int32_t>& lengths, int64_t max_tokens) {
  Group order = all_of(lengths);
  sort_by_length(order, lengths);
  return cut_by_tokens(order, lengths, max_tokens);
}

}  // namespace hone
