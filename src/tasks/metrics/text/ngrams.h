// N-grams of token numbers, counted without a table of them: places sorted by the tokens that begin
// there. Exact (nothing is hashed), 4 bytes a token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hone::metrics {

// Gives equal words equal numbers, in the order of their first coming.
class WordNumbers {
 public:
  int32_t of(std::u32string_view word);
  std::vector<int32_t> of(const std::vector<std::u32string_view>& words);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::u32string_view word) const {
      return std::hash<std::u32string_view>()(word);
    }
  };
  std::unordered_map<std::u32string, int32_t, Hash, std::equal_to<>> numbers_;
};

// The n-grams of a text, of orders 1 to `longest`.
class Ngrams {
 public:
  Ngrams(std::vector<int32_t> tokens, int longest);

  const std::vector<int32_t>& all() const { return tokens_; }
  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t count(int order) const;  // of n-grams, equal ones each by itself

  // Equal n-grams of one order that stand in a row of sorted places.
  struct Run {
    std::span<const int32_t> ngram;  // empty: there are no more
    int64_t count = 0;
  };
  // The next one from `place` on, which moves behind it. Runs come in the order of their tokens.
  Run next(int order, size_t& place) const;

 private:
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> places_;
};

// N-grams of `text` that stand in a reference, too, each at most as often as in the reference that
// has it most often (Papineni et al. 2002).
int64_t shared_ngrams(const Ngrams& text, std::span<const Ngrams* const> references, int order);
inline int64_t shared_ngrams(const Ngrams& text, const Ngrams& reference, int order) {
  const Ngrams* const only = &reference;
  return shared_ngrams(text, {&only, 1}, order);
}

}  // namespace hone::metrics
