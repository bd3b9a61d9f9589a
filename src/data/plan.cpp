#include "data/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

Group all_of(const std::vector<int32_t>& samples) {
  Group order(samples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

bool has_tasks(const PlanOptions& options) {
  return options.tasks != nullptr && !options.tasks->empty();
}

// What decides how often a sample is drawn: its group, and the groups' temperature.
struct Draws {
  const std::vector<int32_t>* group_of = nullptr;  // null: each is drawn once
  double temperature = 1;
};

Draws draws_in(const PlanOptions& options) {
  const bool has_strata = options.strata != nullptr && !options.strata->empty();
  if (has_tasks(options) && options.temperature != 1) return {options.tasks, options.temperature};
  if (has_strata && options.strata_temperature != 1)
    return {options.strata, options.strata_temperature};
  return {};
}

// Samples by their task, or class, in their order.
std::vector<Group> in_groups(Indices samples, const std::vector<int32_t>& group_of) {
  std::vector<Group> groups;
  for (const int64_t sample : samples) {
    const auto group = static_cast<size_t>(group_of[static_cast<size_t>(sample)]);
    if (group >= groups.size()) groups.resize(group + 1);
    groups[group].push_back(sample);
  }
  return groups;
}

// How many samples an epoch draws from each group: as many as there are in all. What rounding
// leaves goes to the largest remainders.
std::vector<int64_t> draws_of(const std::vector<Group>& groups, double temperature) {
  std::vector<double> shares;
  for (const Group& group : groups)
    shares.push_back(group.empty() ? 0
                                   : std::pow(static_cast<double>(group.size()), 1 / temperature));
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  int64_t left = 0;
  for (const Group& group : groups) left += static_cast<int64_t>(group.size());
  const auto total = static_cast<double>(left);
  std::vector<int64_t> draws;
  std::vector<std::pair<double, size_t>> remainders;  // negative: the largest come first
  for (const double share : shares) {
    const double exact = total * share / all;
    remainders.emplace_back(std::floor(exact) - exact, draws.size());
    draws.push_back(static_cast<int64_t>(exact));
    left -= draws.back();
  }
  std::sort(remainders.begin(), remainders.end());
  for (int64_t i = 0; i < left; ++i) ++draws[remainders[static_cast<size_t>(i)].second];
  return draws;
}

// The next `count` samples of a group, of which each epoch before took as many: from one shuffle
// after the other, so that all come before any comes again.
void append_draws(const Group& samples, int64_t count, int64_t epoch, uint64_t seed, Group& out) {
  const auto size = static_cast<int64_t>(samples.size());
  for (int64_t at = epoch * count, end = at + count; at < end;) {
    const int64_t round = at / size;
    const Group shuffle = permutation(size, mix(seed, static_cast<uint64_t>(round)));
    for (; at < end && at / size == round; ++at)
      out.push_back(samples[static_cast<size_t>(shuffle[static_cast<size_t>(at % size)])]);
  }
}

// The samples of an epoch in the order in which they form its steps.
Group order_of(size_t samples, const PlanOptions& options, int64_t epoch) {
  Group shuffle =
      permutation(static_cast<int64_t>(samples), mix(options.seed, static_cast<uint64_t>(epoch)));
  const Draws by = draws_in(options);
  if (by.group_of == nullptr) return shuffle;
  Group drawn;
  const std::vector<Group> groups = in_groups(all_of(*by.group_of), *by.group_of);
  const std::vector<int64_t> draws = draws_of(groups, by.temperature);
  for (size_t group = 0; group < groups.size(); ++group)
    append_draws(groups[group], draws[group], epoch, mix(options.seed, ~uint64_t{group}), drawn);
  for (int64_t& place : shuffle) place = drawn[static_cast<size_t>(place)];
  return shuffle;
}

}  // namespace

EpochPlan::EpochPlan(const std::vector<int32_t>& lengths, PlanOptions options, int64_t epoch)
    : lengths_(&lengths), options_(options), order_(order_of(lengths.size(), options, epoch)) {
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
  if (!has_tasks(options_)) return micro_batches(shuffled);
  std::vector<Group> all;
  for (const Group& of_task : in_groups(shuffled, *options_.tasks)) {
    for (Group& micro : micro_batches(of_task)) all.push_back(std::move(micro));
  }
  return all;
}

std::vector<std::vector<int64_t>> EpochPlan::paired_batches(Indices shuffled) const {
  std::vector<Group> pairs;
  for (Indices left = shuffled; left.size() > 1; left = left.subspan(2))
    pairs.push_back({left[0], left[1]});
  const auto longest = [&](const Group& pair) {
    return std::max((*lengths_)[static_cast<size_t>(pair[0])],
                    (*lengths_)[static_cast<size_t>(pair[1])]);
  };
  if (options_.group_by_length)
    std::stable_sort(pairs.begin(), pairs.end(),
                     [&](const Group& a, const Group& b) { return longest(a) > longest(b); });
  Group order;
  for (const Group& pair : pairs) order.insert(order.end(), pair.begin(), pair.end());
  if (shuffled.size() % 2 == 1) order.push_back(shuffled.back());
  std::vector<Group> out;
  for (Indices left = order; !left.empty(); left = left.subspan(out.back().size())) {
    size_t size = next_size(left, *lengths_, options_);
    if (size < left.size()) size = std::min(left.size(), std::max<size_t>(size - size % 2, 2));
    out.emplace_back(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(size));
  }
  return out;
}

std::vector<std::vector<int64_t>> EpochPlan::micro_batches(Indices shuffled) const {
  if (options_.pairs) return paired_batches(shuffled);
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
