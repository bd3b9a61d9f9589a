// One file in three parts: decided by the texts and the seed alone, so the order of the rows does
// not matter and a row added later moves few others.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "base/random.h"
#include "data/clean.h"
#include "data/fingerprint.h"

namespace hone {
namespace {

// Rows of equal text, or of one group: they stay together, else a test text would be trained on.
struct Group {
  uint64_t order;       // of the seed and the key: groups are dealt out in this order
  std::string stratum;  // where it has several, one of them, whatever the order of the rows
  std::vector<size_t> rows;
};

const std::string& stratum_of(size_t row, const std::vector<std::string>& strata) {
  static const std::string kNone;
  return row < strata.size() ? strata[row] : kNone;
}

std::vector<Group> groups_of(const SplitOptions& options, const std::vector<std::string>& strata,
                             const std::vector<uint64_t>& keys) {
  std::unordered_map<uint64_t, size_t> index;
  std::vector<Group> groups;
  for (size_t row = 0; row < keys.size(); ++row) {
    const std::string& stratum = stratum_of(row, strata);
    const auto [it, is_new] = index.emplace(keys[row], groups.size());
    if (is_new)
      groups.push_back({mix(static_cast<uint64_t>(options.seed), keys[row]), stratum, {}});
    Group& group = groups[it->second];
    group.stratum = std::min(group.stratum, stratum);
    group.rows.push_back(row);
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.order < b.order; });
  return groups;
}

struct Stratum {
  std::string name;
  int64_t rows = 0;
  int64_t room = 0;  // rows that no part has taken yet
};

// The strata in the order in which they give one of the rows left over by rounding: by chance, the
// likelier the larger the remainder (Efraimidis and Spirakis 2006, "Weighted random sampling with a
// reservoir"), so that over seeds each gives its share. One that would be left without a row comes
// last: training needs to see each label.
std::vector<size_t> order_of_giving(const std::vector<Stratum>& strata,
                                    const std::vector<int64_t>& taken, double fraction,
                                    uint64_t key) {
  std::vector<std::pair<bool, double>> rank(strata.size());
  for (size_t i = 0; i < strata.size(); ++i) {
    const double remainder =
        fraction * static_cast<double>(strata[i].rows) - static_cast<double>(taken[i]);
    const double chance = RandomStream(mix(key, hash_bytes(strata[i].name))).uniform();
    rank[i] = {taken[i] + 1 >= strata[i].room, -std::log1p(-chance) / std::max(remainder, 1e-9)};
  }
  std::vector<size_t> order(strata.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rank[a] < rank[b]; });
  return order;
}

// Rows of each stratum for one part: `fraction` of it, rounded so that they add up to the share of
// the whole, none of more than its room, which shrinks by them.
std::vector<int64_t> take(std::vector<Stratum>& strata, double fraction, uint64_t key) {
  std::vector<int64_t> taken(strata.size());
  int64_t all = 0;
  for (const Stratum& stratum : strata) all += stratum.rows;
  int64_t open = std::llround(fraction * static_cast<double>(all));
  for (size_t i = 0; i < strata.size(); ++i) {
    taken[i] = std::min(static_cast<int64_t>(fraction * static_cast<double>(strata[i].rows)),
                        strata[i].room);
    open -= taken[i];
  }
  const std::vector<size_t> order = order_of_giving(strata, taken, fraction, key);
  for (bool gives = true; gives && open > 0;) {  // again where strata without room left some over
    gives = false;
    for (const size_t i : order) {
      if (open == 0 || taken[i] >= strata[i].room) continue;
      ++taken[i];
      --open;
      gives = true;
    }
  }
  for (size_t i = 0; i < strata.size(); ++i) strata[i].room -= taken[i];
  return taken;
}

std::vector<Part> by_row_number(size_t rows) {
  std::vector<Part> parts(rows, Part::kTrain);
  for (size_t row = 0; row < rows; ++row) {
    if (row % 10 == 0) parts[row] = Part::kTest;
    if (row % 10 == 1) parts[row] = Part::kValidation;
  }
  return parts;
}

// Exact to the row in each stratum, as far as equal texts allow.
std::vector<Part> by_share(const SplitOptions& options, const std::vector<Group>& groups,
                           size_t rows) {
  std::map<std::string, size_t> index;
  for (const Group& group : groups) index.emplace(group.stratum, 0);
  std::vector<Stratum> strata;
  for (auto& [name, number] : index) {
    number = strata.size();
    strata.push_back({name});
  }
  for (const Group& group : groups)
    strata[index.at(group.stratum)].rows += static_cast<int64_t>(group.rows.size());
  for (Stratum& stratum : strata) stratum.room = stratum.rows;
  const auto seed = static_cast<uint64_t>(options.seed);
  std::vector<int64_t> test = take(strata, options.test, mix(seed, 1));
  std::vector<int64_t> validation = take(strata, options.validation, mix(seed, 2));
  std::vector<Part> parts(rows, Part::kTrain);
  for (const Group& group : groups) {
    const size_t stratum = index.at(group.stratum);
    const auto size = static_cast<int64_t>(group.rows.size());
    Part part = Part::kTrain;
    // A group larger than what its stratum may still give stays in train.
    if (size <= test[stratum]) {
      part = Part::kTest;
      test[stratum] -= size;
    } else if (size <= validation[stratum]) {
      part = Part::kValidation;
      validation[stratum] -= size;
    }
    for (const size_t row : group.rows) parts[row] = part;
  }
  return parts;
}

// What each part lacks to its share of the rows dealt out so far.
using Lacks = std::array<double, 3>;

// Groups of any size and any mixture of strata: each goes where it brings the parts nearest to
// their shares, of all rows and of each stratum (the smallest sum of squares).
std::vector<Part> by_group(const SplitOptions& options, const std::vector<Group>& groups,
                           const std::vector<std::string>& strata, size_t rows) {
  const Lacks shares = {1 - options.validation - options.test, options.validation, options.test};
  Lacks of_all{};
  std::unordered_map<std::string, Lacks> of_stratum;
  std::vector<Part> parts(rows, Part::kTrain);
  for (const Group& group : groups) {
    std::map<std::string, double> counts;
    for (const size_t row : group.rows) ++counts[stratum_of(row, strata)];
    const auto size = static_cast<double>(group.rows.size());
    Lacks gain{};
    for (size_t part = 0; part < shares.size(); ++part) {
      gain[part] = size * (of_all[part] += shares[part] * size);
      for (const auto& [name, count] : counts)
        gain[part] += count * (of_stratum[name][part] += shares[part] * count);
      if (shares[part] == 0) gain[part] = -std::numeric_limits<double>::infinity();
    }
    const auto best =
        static_cast<size_t>(std::max_element(gain.begin(), gain.end()) - gain.begin());
    of_all[best] -= size;
    for (const auto& [name, count] : counts) of_stratum[name][best] -= count;
    for (const size_t row : group.rows) parts[row] = static_cast<Part>(best);
  }
  return parts;
}

// How many groups hold rows of each stratum.
std::unordered_map<std::string, int64_t> groups_by_stratum(const std::vector<Group>& groups,
                                                           const std::vector<std::string>& strata) {
  std::unordered_map<std::string, int64_t> counts;
  for (const Group& group : groups) {
    std::set<std::string> own;
    for (const size_t row : group.rows) own.insert(stratum_of(row, strata));
    for (const std::string& stratum : own) ++counts[stratum];
  }
  return counts;
}

constexpr int64_t kNeverTested = -1;

// The fold of each group, from 0: where it brings the folds nearest to equal shares, of all rows
// and of each stratum (as by_group).
std::vector<int64_t> folds_of(const SplitOptions& options, const std::vector<Group>& groups,
                              const std::vector<std::string>& strata) {
  const auto with = groups_by_stratum(groups, strata);
  const auto folds = static_cast<size_t>(options.folds);
  std::vector<double> of_all(folds);  // rows
  std::unordered_map<std::string, std::vector<double>> of_stratum;
  std::vector<int64_t> found;
  for (const Group& group : groups) {
    std::map<std::string, double> counts;
    for (const size_t row : group.rows) ++counts[stratum_of(row, strata)];
    const bool is_only = std::any_of(counts.begin(), counts.end(),
                                     [&](const auto& one) { return with.at(one.first) == 1; });
    if (is_only) {
      found.push_back(kNeverTested);
      continue;
    }
    std::vector<double> cost(folds);
    for (size_t fold = 0; fold < folds; ++fold) {
      cost[fold] = static_cast<double>(group.rows.size()) * of_all[fold];
      for (const auto& [name, count] : counts) {
        std::vector<double>& rows = of_stratum[name];
        rows.resize(folds);
        cost[fold] += count * rows[fold];
      }
    }
    const auto best =
        static_cast<size_t>(std::min_element(cost.begin(), cost.end()) - cost.begin());
    of_all[best] += static_cast<double>(group.rows.size());
    for (const auto& [name, count] : counts) of_stratum[name][best] += count;
    found.push_back(static_cast<int64_t>(best));
  }
  return found;
}

// The fold is the test part; the others are divided as if they were all.
std::vector<Part> by_fold(const SplitOptions& options, const std::vector<Group>& groups,
                          const std::vector<std::string>& strata, size_t rows) {
  const std::vector<int64_t> folds = folds_of(options, groups, strata);
  std::vector<Group> others;
  std::vector<size_t> tested;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (folds[i] == options.fold - 1)
      tested.insert(tested.end(), groups[i].rows.begin(), groups[i].rows.end());
    else
      others.push_back(groups[i]);
  }
  SplitOptions of_others = options;
  of_others.test = 0;
  std::vector<Part> parts = options.group.empty() ? by_share(of_others, others, rows)
                                                  : by_group(of_others, others, strata, rows);
  for (const size_t row : tested) parts[row] = Part::kTest;
  return parts;
}

void read_folds(Config& section, SplitOptions& options) {
  if (!section.has("folds")) return;
  options.folds = section.get("folds", options.folds);
  options.fold = section.get("fold", int64_t{1});
  if (options.folds < 2)
    throw section.error("folds",
                        fmt::format("\"folds\" is {}; it must be 2 or more", options.folds));
  if (options.fold < 1 || options.fold > options.folds)
    throw section.error("fold", fmt::format("\"fold\" is {}; it must be from 1 to {}", options.fold,
                                            options.folds));
  if (options.rule != "random")
    throw section.error("rule", "\"rule: mod10\" goes by row numbers and has no folds");
}

}  // namespace

SplitOptions SplitOptions::read(Config& section) {
  SplitOptions options;
  options.rule = section.choice("rule", options.rule, {"random", "mod10"});
  options.validation = section.get("validation", options.validation);
  options.test = section.get("test", options.test);
  for (const char* key : {"validation", "test"}) {
    const double value = key == std::string("test") ? options.test : options.validation;
    if (value < 0 || value >= 1)
      throw section.error(
          key,
          fmt::format("\"{}\" is {}; it is a share of the rows, from 0 to below 1", key, value));
  }
  if (options.validation + options.test >= 1) {
    throw section.error(
        "test",
        fmt::format("\"validation\" and \"test\" take {} of the rows; nothing is left to train on",
                    options.validation + options.test));
  }
  options.stratify = section.get("stratify", options.stratify);
  options.group = section.get("group", options.group);
  if (options.rule == "mod10" && !options.group.empty())
    throw section.error("group",
                        "\"rule: mod10\" goes by row numbers and keeps no groups together");
  options.seed = section.get("seed", options.seed);
  read_folds(section, options);
  return options;
}

std::vector<Part> assign_parts(const SplitOptions& options, const std::vector<std::string>& strata,
                               const std::vector<uint64_t>& keys) {
  if (options.rule == "mod10") return by_row_number(keys.size());
  const std::vector<Group> groups = groups_of(options, strata, keys);
  if (options.folds > 0) return by_fold(options, groups, strata, keys.size());
  return options.group.empty() ? by_share(options, groups, keys.size())
                               : by_group(options, groups, strata, keys.size());
}

}  // namespace hone
