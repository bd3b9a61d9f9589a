#include "data/tokenizer/patterns/pattern.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <map>
#include <unordered_map>
#include <utility>

#include "data/tokenizer/patterns/syntax.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

using NodeKind = PatternNode::Kind;
using Signature = std::bitset<kMostSets>;  // of a character: which sets it is in

constexpr size_t kMostParts = 4000, kMostStates = 4000, kMostClasses = 200, kMostBounds = 1000;
constexpr int64_t kMostWork = 50'000'000;

CharacterTraits traits_of(char32_t c) {
  return {c, unicode::category_mask(c), unicode::is_white_space(c), unicode::is_word(c)};
}

Signature signature_of(const std::vector<CharacterSet>& sets, const CharacterTraits& character) {
  Signature out;
  for (size_t i = 0; i < sets.size(); ++i) out[i] = sets[i].contains(character);
  return out;
}

void collect_bounds(const CharacterSet& set, std::vector<char32_t>& out) {
  for (const auto& [first, last] : set.ranges) out.insert(out.end(), {first, last + 1});
  for (const CharacterSet& part : set.parts) collect_bounds(part, out);
}

bool minds_traits(const CharacterSet& set) {
  return set.categories != 0 || set.has_spaces || set.has_words ||
         std::any_of(set.parts.begin(), set.parts.end(), minds_traits);
}

// Every signature that a character may have, numbered: those of all combinations of traits between
// the bounds of all ranges. Some of them belong to no character.
class CharacterClasses {
 public:
  CharacterClasses(const std::vector<CharacterSet>& sets, const JsonNode& node) {
    for (const CharacterSet& set : sets) {
      collect_bounds(set, bounds_);
      minds_traits_ = minds_traits_ || minds_traits(set);
    }
    std::sort(bounds_.begin(), bounds_.end());
    bounds_.erase(std::unique(bounds_.begin(), bounds_.end()), bounds_.end());
    if (bounds_.size() > kMostBounds) throw node.error("too many ranges of characters");
    std::unordered_map<Signature, uint8_t> numbers;
    for (const char32_t code : bounds_) {
      for (uint32_t traits = 0; traits < kTraits; ++traits) {
        const CharacterTraits character{code, 1U << (traits / 4), (traits & 1) != 0,
                                        (traits & 2) != 0};
        const Signature signature = signature_of(sets, character);
        const auto [found, is_new] =
            numbers.emplace(signature, static_cast<uint8_t>(numbers.size()));
        if (is_new) signatures_.push_back(signature);
        if (signatures_.size() > kMostClasses) throw node.error("too many classes of characters");
        classes_.push_back(found->second);
      }
    }
  }

  const std::vector<Signature>& signatures() const { return signatures_; }

  uint8_t operator()(char32_t c) const {
    const CharacterTraits traits =
        minds_traits_ ? traits_of(c) : CharacterTraits{c, 1, false, false};
    const auto interval = std::upper_bound(bounds_.begin(), bounds_.end(), c) - bounds_.begin() - 1;
    const uint32_t number = static_cast<uint32_t>(std::countr_zero(traits.category)) * 4 +
                            (traits.is_space ? 1 : 0) + (traits.is_word ? 2 : 0);
    return classes_[static_cast<size_t>(interval) * kTraits + number];
  }

 private:
  static constexpr uint32_t kTraits = 4 * 32;
  bool minds_traits_ = false;
  std::vector<char32_t> bounds_{0};
  std::vector<Signature> signatures_;  // of each class
  std::vector<uint8_t> classes_;       // of each interval between bounds, by traits
};

// Where the expression can stand: before a character, a choice, a look ahead, or at its end.
struct Step {
  enum class Kind { kSet, kChoice, kAhead, kMatch } kind;
  int set = 0;
  int next = 0, other = 0;  // kChoice: `next` is tried first
  bool is_negative = false;
};

// Parts from the end of the expression to its beginning: each is made with what follows it.
class PartList {
 public:
  explicit PartList(const JsonNode& node) : node_(node) { add({Step::Kind::kMatch}); }

  const Step& operator[](int index) const { return parts_[index]; }
  size_t size() const { return parts_.size(); }

  // The part with which `tree` begins, where `next` follows it.
  int add(const PatternNode& tree, int next) {
    switch (tree.kind) {
      case NodeKind::kSet:
        return add({Step::Kind::kSet, tree.set, next});
      case NodeKind::kAhead:
        return add({Step::Kind::kAhead, tree.set, next, 0, tree.is_negative});
      case NodeKind::kSequence:
        for (size_t i = tree.parts.size(); i-- > 0;) next = add(tree.parts[i], next);
        return next;
      case NodeKind::kChoice: {
        int out = add(tree.parts.back(), next);
        for (size_t i = tree.parts.size() - 1; i-- > 0;)
          out = add({Step::Kind::kChoice, 0, add(tree.parts[i], next), out});
        return out;
      }
      default:
        return add_repeat(tree, next);
    }
  }

 private:
  const JsonNode& node_;
  std::vector<Step> parts_;

  int add(const Step& part) {
    if (parts_.size() >= kMostParts) throw node_.error("too long, with its repetitions");
    parts_.push_back(part);
    return static_cast<int>(parts_.size()) - 1;
  }

  int add_choice(bool is_lazy, int more, int next) {
    return add({Step::Kind::kChoice, 0, is_lazy ? next : more, is_lazy ? more : next});
  }

  int add_repeat(const PatternNode& tree, int next) {
    const PatternNode& body = tree.parts[0];
    int out = next;
    if (tree.most == PatternNode::kNoLimit) {
      out = add({Step::Kind::kChoice});
      const int more = add(body, out);
      parts_[out] = {Step::Kind::kChoice, 0, tree.is_lazy ? next : more,
                     tree.is_lazy ? more : next};
    } else {
      for (int i = tree.least; i < tree.most; ++i)
        out = add_choice(tree.is_lazy, add(body, out), next);
    }
    for (int i = 0; i < tree.least; ++i) out = add(body, out);
    return out;
  }
};

// The subset construction with priorities: a state is the list of parts where the expression can
// stand, the preferred first; what is behind an end is given up.
class Determinizer {
 public:
  using State = std::vector<int>;

  Determinizer(const PartList& parts, std::vector<Signature> classes, const JsonNode& node)
      : parts_(parts), classes_(std::move(classes)), node_(node), seen_(parts.size()) {}

  // steps[state * width + class], as Pattern::steps_ has them. State 0 is the dead one, 1 the
  // first.
  std::vector<uint32_t> run(int start) {
    number({});
    number({start});
    const size_t width = classes_.size() + 1;
    std::vector<uint32_t> steps;
    for (size_t i = 0; i < states_.size(); ++i) {
      for (size_t kind = 0; kind < width; ++kind) {
        const Signature* signature = kind < classes_.size() ? &classes_[kind] : nullptr;
        const auto [next, is_match] = step(*states_[i], signature);
        steps.push_back(static_cast<uint32_t>(2 * width) * number(next) + (is_match ? 1 : 0));
      }
    }
    return steps;
  }

 private:
  const PartList& parts_;
  const std::vector<Signature> classes_;
  const JsonNode& node_;
  std::map<State, uint32_t> numbers_;
  std::vector<const State*> states_;
  std::vector<int64_t> seen_;  // the round in which a part was met last
  int64_t round_ = 0, work_ = 0;

  uint32_t number(const State& state) {
    const auto [found, is_new] = numbers_.emplace(state, static_cast<uint32_t>(states_.size()));
    if (!is_new) return found->second;
    if (states_.size() >= kMostStates) throw node_.error("too many states");
    states_.push_back(&found->first);
    return found->second;
  }

  // Before a character of this signature, or at the end of the text (null).
  std::pair<State, bool> step(const State& state, const Signature* character) {
    ++round_;
    State next, open(state.rbegin(), state.rend());
    while (!open.empty()) {
      const int index = open.back();
      open.pop_back();
      if (std::exchange(seen_[index], round_) == round_) continue;
      work_ += 1 + static_cast<int64_t>(next.size());
      if (work_ > kMostWork) throw node_.error("too many states");
      const Step& part = parts_[index];
      const bool fits = character != nullptr && (*character)[part.set];
      if (part.kind == Step::Kind::kMatch) return {next, true};
      if (part.kind == Step::Kind::kChoice) open.insert(open.end(), {part.other, part.next});
      if (part.kind == Step::Kind::kAhead && fits != part.is_negative) open.push_back(part.next);
      if (part.kind == Step::Kind::kSet && fits &&
          std::find(next.begin(), next.end(), part.next) == next.end())
        next.push_back(part.next);
    }
    return {next, false};
  }
};

}  // namespace

Pattern::Pattern(const JsonNode& node) {
  PatternTree tree = parse_pattern(node);
  if (tree.sets.empty()) throw node.error("a regular expression that matches nothing");
  const CharacterClasses class_of(tree.sets, node);
  PartList parts(node);
  const int start = parts.add(tree.root, 0);
  steps_ = Determinizer(parts, class_of.signatures(), node).run(start);
  end_of_text_ = static_cast<uint32_t>(class_of.signatures().size());
  start_ = 2 * (end_of_text_ + 1);
  for (char32_t c = 0; c < ascii_.size(); ++c) ascii_[c] = class_of(c);
  classes_ = std::make_shared<const CodePointTable<uint8_t>>(class_of);
}

}  // namespace hone
