// The parts of a regular expression: what Pattern's automaton is built from.
#pragma once

#include <cstdint>
#include <vector>

#include "data/tokenizer/json_node.h"

namespace hone {

// What a set of characters may ask of one.
struct CharacterTraits {
  char32_t code;
  uint32_t category;  // a bit of ICU's masks (U_GC_LU_MASK …)
  bool is_space, is_word;
};

struct CharacterSet {
  struct Range {
    char32_t first, last;
    bool operator==(const Range&) const = default;
  };
  std::vector<Range> ranges = {};
  uint32_t categories = 0;
  bool has_spaces = false, has_words = false;
  std::vector<CharacterSet> parts = {};  // of which it is the union, with the above
  bool is_negated = false;

  bool contains(const CharacterTraits& character) const;
  bool operator==(const CharacterSet&) const = default;
};

struct PatternNode {
  enum class Kind {
    kSet,       // one character of sets[set]
    kSequence,  // parts one after the other
    kChoice,    // the first of its parts that fits
    kRepeat,    // parts[0], `least` to `most` times
    kAhead,     // the next character is of sets[set], or not where is_negative (so at the end)
  };
  static constexpr int kNoLimit = -1;

  Kind kind;
  int set = 0;
  std::vector<PatternNode> parts = {};
  int least = 0, most = kNoLimit;
  bool is_lazy = false, is_negative = false;
};

constexpr size_t kMostSets = 256;

struct PatternTree {
  PatternNode root;
  std::vector<CharacterSet> sets;  // each once, at most kMostSets
};

// Reads literals, ., \s \d \w and their opposites, \p{L} and the other general categories, classes
// with ranges and classes in them, groups ((…), (?:…), (?i:…)), alternatives, * + ? {n,m} (lazy
// with
// ?), and (?=X), (?!X) for one character X. Error(kModel) at `node` for anything else.
PatternTree parse_pattern(const JsonNode& node);

}  // namespace hone
