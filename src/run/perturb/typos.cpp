// Slips of the hand within a word, one character each: two change places, one is missing, one is
// doubled by its neighbour on the keyboard, one is that neighbour (Pruthi et al. 2019,
// https://arxiv.org/abs/1905.11268). As there the first and the last character of a word stay,
// since people read past the rest; words of fewer than four characters have no such middle. A
// number with a slip is another number: what has a digit stays.
#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "data/tokenizer/unicode.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

constexpr size_t kShortest = 4;

// Of a QWERTY keyboard: what lies left and right of each letter.
constexpr std::array<std::u32string_view, 3> kKeys = {U"qwertyuiop", U"asdfghjkl", U"zxcvbnm"};

// A neighbour of the key; 0 of what is no key.
char32_t beside(char32_t c, RandomStream& random) {
  for (const std::u32string_view row : kKeys) {
    const size_t at = row.find(c);
    if (at == std::u32string_view::npos) continue;
    const bool goes_right = at == 0 || (at + 1 < row.size() && random.below(2) == 0);
    return row[goes_right ? at + 1 : at - 1];
  }
  return 0;
}

class Typos : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word,
                                  RandomStream& random) const override {
    const std::u32string is = from_utf8(bytes_of(text, word));
    if (is.size() < kShortest || std::any_of(is.begin(), is.end(), unicode::is_number)) return {};
    std::vector<std::string> slips;
    const auto add = [&](const std::u32string& slip) {
      std::string other = to_utf8(slip);
      if (slip != is && std::find(slips.begin(), slips.end(), other) == slips.end())
        slips.push_back(std::move(other));
    };
    add(swapped(is, random));
    add(without_one(is, random));
    add(with_neighbour(is, random, /*replaces=*/true));
    add(with_neighbour(is, random, /*replaces=*/false));
    return slips;
  }

 private:
  // A place that is neither the first nor the last, with `behind` more after it.
  static size_t middle(const std::u32string& word, RandomStream& random, size_t behind = 0) {
    return 1 + random.below(word.size() - 2 - behind);
  }

  static std::u32string swapped(std::u32string word, RandomStream& random) {
    const size_t at = middle(word, random, 1);
    std::swap(word[at], word[at + 1]);
    return word;
  }

  static std::u32string without_one(std::u32string word, RandomStream& random) {
    return word.erase(middle(word, random), 1);
  }

  static std::u32string with_neighbour(std::u32string word, RandomStream& random, bool replaces) {
    const size_t at = middle(word, random);
    const char32_t key = beside(word[at], random);
    if (key == 0) return word;
    return replaces ? word.replace(at, 1, 1, key) : word.insert(at, 1, key);
  }
};

}  // namespace

PerturbationInfo typos() {
  return {"typos", "slips of the hand: characters swapped, missing, doubled, beside the right key",
          nullptr, [](const PerturbationFiles&) -> std::unique_ptr<Perturbation> {
            return std::make_unique<Typos>();
          }};
}

}  // namespace hone
