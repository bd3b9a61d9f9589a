#include "tasks/metrics/common_stretch.h"

#include <algorithm>
#include <map>
#include <vector>

namespace hone::metrics {
namespace {

// Recognises every stretch of a text. A state stands for stretches that end in the same places; its
// link leads to that of the longest of their ends that ends in more.
class SuffixAutomaton {
 public:
  explicit SuffixAutomaton(std::span<const int32_t> text) : states_(1) {
    states_.reserve(2 * text.size() + 1);
    for (const int32_t token : text) append(token);
  }

  int64_t longest_in(std::span<const int32_t> other) const {
    int64_t longest = 0, length = 0;
    int32_t state = 0;
    for (const int32_t token : other) {
      while (state != 0 && !has(state, token)) {
        state = at(state).link;
        length = at(state).length;
      }
      if (!has(state, token)) continue;
      state = at(state).next.at(token);
      longest = std::max(longest, ++length);
    }
    return longest;
  }

 private:
  struct State {
    std::map<int32_t, int32_t> next = {};
    int32_t link = -1;
    int64_t length = 0;  // of its longest stretch
  };

  State& at(int32_t state) { return states_[static_cast<size_t>(state)]; }
  const State& at(int32_t state) const { return states_[static_cast<size_t>(state)]; }
  bool has(int32_t state, int32_t token) const { return at(state).next.contains(token); }

  int32_t add(State state) {
    states_.push_back(std::move(state));
    return static_cast<int32_t>(states_.size()) - 1;
  }

  void append(int32_t token) {
    const int32_t added = add({{}, 0, at(last_).length + 1});
    int32_t state = last_;
    last_ = added;
    for (; state >= 0 && !has(state, token); state = at(state).link) at(state).next[token] = added;
    if (state >= 0) at(added).link = split(state, token);
  }

  // Where `token` leads to from `state`, for stretches no longer than the one that takes it there.
  int32_t split(int32_t state, int32_t token) {
    const int32_t target = at(state).next[token];
    if (at(target).length == at(state).length + 1) return target;
    const int32_t copy = add({at(target).next, at(target).link, at(state).length + 1});
    at(target).link = copy;
    for (; state >= 0; state = at(state).link) {
      const auto found = at(state).next.find(token);
      if (found == at(state).next.end() || found->second != target) break;
      found->second = copy;
    }
    return copy;
  }

  std::vector<State> states_;
  int32_t last_ = 0;
};

}  // namespace

int64_t longest_common_stretch(std::span<const int32_t> a, std::span<const int32_t> b) {
  return a.size() < b.size() ? SuffixAutomaton(a).longest_in(b) : SuffixAutomaton(b).longest_in(a);
}

}  // namespace hone::metrics
