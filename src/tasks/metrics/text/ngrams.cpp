#include "tasks/metrics/text/ngrams.h"

#include <algorithm>
#include <numeric>

namespace hone::metrics {
namespace {

bool is_before(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

// A walk over the runs of one text.
struct RunWalk {
  RunWalk(const Ngrams& ngrams, int order) : ngrams(&ngrams), order(order) { advance(); }

  void advance() { run = ngrams->next(order, place); }
  bool is_over() const { return run.ngram.empty(); }

  const Ngrams* ngrams;
  int order;
  size_t place = 0;
  Ngrams::Run run;
};

}  // namespace

int32_t WordNumbers::of(std::u32string_view word) {
  const auto known = numbers_.find(word);
  if (known != numbers_.end()) return known->second;
  const auto number = static_cast<int32_t>(numbers_.size());
  numbers_.emplace(word, number);
  return number;
}

std::vector<int32_t> WordNumbers::of(const std::vector<std::u32string_view>& words) {
  std::vector<int32_t> numbers;
  numbers.reserve(words.size());
  for (const std::u32string_view word : words) numbers.push_back(of(word));
  return numbers;
}

Ngrams::Ngrams(std::vector<int32_t> tokens, int longest)
    : tokens_(std::move(tokens)), places_(tokens_.size()) {
  std::iota(places_.begin(), places_.end(), 0);
  const std::span<const int32_t> all = tokens_;
  const auto from = [&](uint32_t place) {
    return all.subspan(place, std::min<size_t>(longest, all.size() - place));
  };
  std::sort(places_.begin(), places_.end(),
            [&](uint32_t a, uint32_t b) { return is_before(from(a), from(b)); });
}

int64_t Ngrams::count(int order) const { return std::max<int64_t>(tokens() - order + 1, 0); }

Ngrams::Run Ngrams::next(int order, size_t& place) const {
  const auto length = static_cast<size_t>(order);
  const auto is_short = [&](size_t at) { return places_[at] + length > tokens_.size(); };
  const auto ngram = [&](size_t at) {
    return std::span<const int32_t>(tokens_).subspan(places_[at], length);
  };
  while (place < places_.size() && is_short(place)) ++place;
  if (place == places_.size()) return {};
  const size_t first = place;
  const std::span<const int32_t> same = ngram(first);
  // A text's end sorts before what it begins: none stands within a run.
  while (place < places_.size() && !is_short(place) && std::ranges::equal(ngram(place), same))
    ++place;
  return {same, static_cast<int64_t>(place - first)};
}

int64_t shared_ngrams(const Ngrams& text, std::span<const Ngrams* const> references, int order) {
  std::vector<RunWalk> walks;
  for (const Ngrams* reference : references) walks.emplace_back(*reference, order);
  int64_t shared = 0;
  for (RunWalk own(text, order); !own.is_over(); own.advance()) {
    int64_t most = 0;
    for (RunWalk& walk : walks) {
      while (!walk.is_over() && is_before(walk.run.ngram, own.run.ngram)) walk.advance();
      if (!walk.is_over() && std::ranges::equal(walk.run.ngram, own.run.ngram))
        most = std::max(most, walk.run.count);
    }
    shared += std::min(own.run.count, most);
  }
  return shared;
}

}  // namespace hone::metrics
