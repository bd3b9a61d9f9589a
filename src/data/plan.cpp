#include "data/plan.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/random.h"

namespace hone {
namespace {

using Group = std::vector<int64_t>;  // indices of samples
using Indices = std::span<const int64_t>;

// Longest first; equal lengths by index, so that the order is one whatever the sort.
void sort_by_length(Group& group, const std::vector<int32_t>& lengths) {
  std::sort(group.begin(), group.end(), [&](int64_t a, int64_t b) {
    const int32_t length_a = lengths[static_cast<size_t>(a)],
                  length_b = lengths[static_cast<size_t>(b)];
    return length_a != length_b ? length_a > length_b : a < b;
  });
}

// How many samples the next micro-batch takes, in order: by count, or while their tokens fit; a
// sample above the budget stands alone.
size_t next_size(Indices samples, const std::vector<int32_t>& lengths, const PlanOptions& options) {
  if (options.max_tokens <= 0)
    return std::min(samples.size(), static_cast<size_t>(options.batch_size));
  int64_t filled = 0;
  size_t count = 0;
  for (; count < samples.size(); ++count) {
    filled += lengths[static_cast<size_t>(samples[count])];
    if (count > 0 && filled > options.max_tokens) break;
  }
  return count;
}

std::vector<Group> cut(Indices samples, const std::vector<int32_t>& lengths,
                       const PlanOptions& options) {
  std::vector<Group> out;
  for (; !samples.empty(); samples = samples.subspan(out.back().size())) {
    const Indices taken = samples.first(next_size(samples, lengths, options));
    out.emplace_back(taken.begin(), taken.end());
  }
  return out;
}

Group all_of(const std::vector<int32_t>& lengths) {
  Group order(lengths.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

EpochPlan::EpochPlan(const std::vector<int32_t>& lengths, PlanOptions options, int64_t epoch)
    : lengths_(&lengths),
      options_(options),
      order_(permutation(static_cast<int64_t>(lengths.size()),
                         mix(options.seed, static_cast<uint64_t>(epoch)))) {
  options_.batch_size = std::max<int64_t>(options.batch_size, 1);
  options_.accumulation = std::max<int64_t>(options.accumulation, 1);
  // A step holds `accumulation` micro-batches of the shuffled order, so its samples depend on no
  // grouping.
  for (Indices left = order_; !left.empty();) {
    begins_.push_back(static_cast<int64_t>(order_.size() - left.size()));
    for (int64_t micro = 0; micro < options_.accumulation && !left.empty(); ++micro) {
      left = left.subspan(next_size(left, lengths, options_));
    }
  }
}

std::vector<std::vector<int64_t>> EpochPlan::step(int64_t index) const {
  const auto begin = static_cast<size_t>(begins_.at(static_cast<size_t>(index)));
  const size_t end = index + 1 < size()
                         ? static_cast<size_t>(begins_[static_cast<size_t>(index) + 1])
                         : order_.size();
  const Indices shuffled = Indices(order_).subspan(begin, end - begin);
  std::vector<Group> plain = cut(shuffled, *lengths_, options_);
  if (!options_.group_by_length) return plain;
  Group by_length(shuffled.begin(), shuffled.end());
  sort_by_length(by_length, *lengths_);
  // Sorted samples can need one micro-batch more than the shuffled ones; then the shuffled cut
  // stands.
  std::vector<Group> sorted = cut(by_length, *lengths_, options_);
  return sorted.size() <= plain.size() ? sorted : plain;
}

std::vector<std::vector<int64_t>> plan_evaluation(const std::vector<int32_t>& lengths,
                                                  int64_t max_tokens) {
  Group order = all_of(lengths);
  sort_by_length(order, lengths);
  return cut(order, lengths, {.max_tokens = std::max<int64_t>(max_tokens, 1)});
}

}  // namespace hone
