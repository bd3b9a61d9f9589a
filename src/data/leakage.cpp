// Texts that stand in two splits, exactly or nearly.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "data/clean.h"
#include "data/fingerprint.h"
#include "data/places.h"

namespace hone {
namespace {

constexpr double kNear = 0.9;
constexpr size_t kExamples = 20;

struct Split {
  std::string name;
  std::vector<uint64_t> texts = {};   // fingerprints of the rows
  std::vector<uint64_t> labels = {};  // the same
  Places places = {};                 // of the rows, in the same order
  std::vector<Sketch> sketches = {};  // the same: 128 bytes a row
};

// Train comes before validation before test before any other name.
int rank(const std::string& name) {
  constexpr std::array<std::string_view, 3> kOrder = {"train", "validation", "test"};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), name) - kOrder.begin());
}

}  // namespace

struct LeakageFinder::State {
  std::vector<Split> splits;

  Split& split(const std::string& name) {
    const auto it = std::find_if(splits.begin(), splits.end(),
                                 [&](const Split& other) { return other.name == name; });
    return it != splits.end() ? *it : splits.emplace_back(Split{name});
  }

  // For each row of `split` the row of `other` that holds its text, or -1.
  static std::vector<int64_t> exact_matches(const Split& split, const Split& other) {
    std::unordered_map<uint64_t, int64_t> first;
    for (const uint64_t text : split.texts)
      first.emplace(text, -1);  // the smaller split makes the smaller table
    for (size_t i = 0; i < other.texts.size(); ++i) {
      const auto it = first.find(other.texts[i]);
      if (it != first.end() && it->second < 0) it->second = static_cast<int64_t>(i);
    }
    std::vector<int64_t> matches;
    for (const uint64_t text : split.texts) matches.push_back(first.at(text));
    return matches;
  }

  // The same for texts that are nearly equal, of rows that have no exact match.
  static std::vector<int64_t> near_matches(const Split& split, const Split& other,
                                           const std::vector<int64_t>& exact) {
    NearIndex index(kNear);
    std::unordered_map<uint64_t, int64_t>
        texts;  // fingerprint -> row of `other`; each text is looked for once
    for (size_t i = 0; i < split.texts.size(); ++i) {
      if (exact[i] < 0 && texts.emplace(split.texts[i], -1).second)
        index.add(split.sketches[i], static_cast<int64_t>(i));
    }
    for (size_t i = 0; i < other.texts.size(); ++i) {
      index.each(other.sketches[i], [&](int64_t row) {
        int64_t& match = texts[split.texts[static_cast<size_t>(row)]];
        if (match < 0) match = static_cast<int64_t>(i);
        return true;
      });
    }
    std::vector<int64_t> matches;
    for (size_t i = 0; i < split.texts.size(); ++i)
      matches.push_back(exact[i] < 0 ? texts.at(split.texts[i]) : -1);
    return matches;
  }

  static LeakExample example(const Split& split, size_t row, const Split& other, size_t match) {
    const bool is_exact = split.texts[row] == other.texts[match];
    return {split.places.at(row),
            other.places.at(match),
            is_exact ? 1 : similarity(split.sketches[row], other.sketches[match]),
            {},
            {}};
  }

  Leak compare(const Split& split, const Split& other) const {
    Leak leak{.split = split.name, .other = other.name, .examples = {}};
    const std::vector<int64_t> exact = exact_matches(split, other);
    const std::vector<int64_t> near = near_matches(split, other, exact);
    for (const std::vector<int64_t>* matches : {&exact, &near}) {
      for (size_t i = 0; i < matches->size(); ++i) {
        const int64_t match = (*matches)[i];
        if (match < 0) continue;
        ++(matches == &exact ? leak.exact : leak.near);
        leak.relabelled +=
            matches == &exact && split.labels[i] != other.labels[static_cast<size_t>(match)];
        if (leak.examples.size() < kExamples)
          leak.examples.push_back(example(split, i, other, static_cast<size_t>(match)));
      }
    }
    return leak;
  }
};

LeakageFinder::LeakageFinder() : state_(std::make_unique<State>()) {}
LeakageFinder::~LeakageFinder() = default;

void LeakageFinder::add(const std::string& split, const Record& record,
                        const std::vector<std::string>& text_fields, uint64_t labels) {
  const std::string text = normalised_text(text_of_fields(record, text_fields));
  Split& rows = state_->split(split);
  rows.texts.push_back(hash_bytes(text));
  rows.labels.push_back(labels);
  rows.places.add(record);
  rows.sketches.push_back(sketch_of(text));
}

std::vector<Leak> LeakageFinder::find() const {
  std::vector<const Split*> order;
  for (const Split& split : state_->splits) order.push_back(&split);
  std::stable_sort(order.begin(), order.end(),
                   [](const Split* a, const Split* b) { return rank(a->name) < rank(b->name); });
  std::vector<Leak> leaks;
  for (size_t later = 1; later < order.size(); ++later) {
    for (size_t earlier = 0; earlier < later; ++earlier) {
      Leak leak = state_->compare(*order[later], *order[earlier]);
      if (leak.exact + leak.near > 0) leaks.push_back(std::move(leak));
    }
  }
  return leaks;
}

}  // namespace hone
