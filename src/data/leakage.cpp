// Texts that stand in two splits, exactly or nearly.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "data/clean.h"
#include "data/fingerprint.h"

namespace hone {
namespace {

constexpr double kNear = 0.9;
constexpr size_t kExamples = 20;

struct Row {
  uint64_t fingerprint;
  int64_t line;
  uint32_t file;  // index into the files seen
};

struct Split {
  std::string name;
  std::vector<Row> rows;
  std::vector<Sketch> sketches;  // of the rows, in their order: 128 bytes a row
};

// Train comes before validation before test before any other name.
int rank(const std::string& name) {
  constexpr std::array<std::string_view, 3> kOrder = {"train", "validation", "test"};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), name) - kOrder.begin());
}

}  // namespace

struct LeakageFinder::State {
  std::vector<Split> splits;
  std::vector<std::shared_ptr<const std::string>> files;

  Split& split(const std::string& name) {
    const auto it = std::find_if(splits.begin(), splits.end(),
                                 [&](const Split& other) { return other.name == name; });
    return it != splits.end() ? *it : splits.emplace_back(Split{name, {}, {}});
  }

  uint32_t file_index(const std::shared_ptr<const std::string>& file) {
    const auto same = [&](const std::shared_ptr<const std::string>& other) {
      return other == file || (other && file && *other == *file);
    };
    const auto it = std::find_if(files.begin(), files.end(), same);
    const auto index =
        static_cast<uint32_t>(it - files.begin());  // before push_back, which may move the list
    if (it == files.end()) files.push_back(file);
    return index;
  }

  Where where(const Row& row) const {
    return {files[row.file] ? *files[row.file] : "", row.line, 0};
  }

  // For each row of `split` the row of `other` that holds its text, or -1.
  static std::vector<int64_t> exact_matches(const Split& split, const Split& other) {
    std::unordered_map<uint64_t, int64_t> first;
    for (const Row& row : split.rows)
      first.emplace(row.fingerprint, -1);  // the smaller split makes the smaller table
    for (size_t i = 0; i < other.rows.size(); ++i) {
      const auto it = first.find(other.rows[i].fingerprint);
      if (it != first.end() && it->second < 0) it->second = static_cast<int64_t>(i);
    }
    std::vector<int64_t> matches;
    for (const Row& row : split.rows) matches.push_back(first.at(row.fingerprint));
    return matches;
  }

  // The same for texts that are nearly equal, of rows that have no exact match.
  static std::vector<int64_t> near_matches(const Split& split, const Split& other,
                                           const std::vector<int64_t>& exact) {
    NearIndex index(kNear);
    std::unordered_map<uint64_t, int64_t>
        texts;  // fingerprint -> row of `other`; each text is looked for once
    for (size_t i = 0; i < split.rows.size(); ++i) {
      if (exact[i] < 0 && texts.emplace(split.rows[i].fingerprint, -1).second)
        index.add(split.sketches[i], static_cast<int64_t>(i));
    }
    for (size_t i = 0; i < other.rows.size(); ++i) {
      index.each(other.sketches[i], [&](int64_t row) {
        int64_t& match = texts[split.rows[static_cast<size_t>(row)].fingerprint];
        if (match < 0) match = static_cast<int64_t>(i);
        return true;
      });
    }
    std::vector<int64_t> matches;
    for (size_t i = 0; i < split.rows.size(); ++i)
      matches.push_back(exact[i] < 0 ? texts.at(split.rows[i].fingerprint) : -1);
    return matches;
  }

  LeakExample example(const Split& split, size_t row, const Split& other, size_t match) const {
    const bool is_exact = split.rows[row].fingerprint == other.rows[match].fingerprint;
    return {where(split.rows[row]),
            where(other.rows[match]),
            is_exact ? 1 : similarity(split.sketches[row], other.sketches[match]),
            {},
            {}};
  }

  Leak compare(const Split& split, const Split& other) const {
    Leak leak{split.name, other.name, 0, 0, {}};
    const std::vector<int64_t> exact = exact_matches(split, other);
    const std::vector<int64_t> near = near_matches(split, other, exact);
    for (const std::vector<int64_t>* matches : {&exact, &near}) {
      for (size_t i = 0; i < matches->size(); ++i) {
        const int64_t match = (*matches)[i];
        if (match < 0) continue;
        ++(matches == &exact ? leak.exact : leak.near);
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
                        const std::vector<std::string>& text_fields) {
  const std::string text = normalised_text(text_of_fields(record, text_fields));
  Split& rows = state_->split(split);
  rows.rows.push_back({hash_bytes(text), record.line, state_->file_index(record.file)});
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
