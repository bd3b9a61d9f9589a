// One file in three parts: decided by the texts and the seed alone, so the order of the rows does
// not matter and a row added later moves few others.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>

#include "base/random.h"
#include "data/clean.h"

namespace hone {
namespace {

// Rows of equal text: they stay together, else a test text would be trained on.
struct Group {
  uint64_t order;  // of the seed and the text: groups are dealt out in this order
  std::string stratum;
  std::vector<size_t> rows;
};

std::vector<Group> groups_of(const SplitOptions& options, const std::vector<std::string>& strata,
                             const std::vector<uint64_t>& texts) {
  std::unordered_map<uint64_t, size_t> index;
  std::vector<Group> groups;
  for (size_t row = 0; row < texts.size(); ++row) {
    const std::string& stratum = row < strata.size() ? strata[row] : std::string();
    const auto [it, is_new] = index.emplace(texts[row], groups.size());
    if (is_new)
      groups.push_back({mix(static_cast<uint64_t>(options.seed), texts[row]), stratum, {}});
    Group& group = groups[it->second];
    group.stratum =
        std::min(group.stratum,
                 stratum);  // equal texts of several labels: one of these, whatever their order
    group.rows.push_back(row);
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.order < b.order; });
  return groups;
}

// Shares of `fraction` of each stratum, rounded so that they add up to the share of the whole
// (largest remainders first), none of more than its `room`: rows that no other part has taken.
std::vector<int64_t> quotas(const std::vector<int64_t>& sizes, double fraction,
                            const std::vector<int64_t>& room) {
  std::vector<int64_t> out(sizes.size());
  std::vector<double> remainders(sizes.size());
  int64_t open = std::llround(
      fraction * static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})));
  for (size_t i = 0; i < sizes.size(); ++i) {
    const double exact = fraction * static_cast<double>(sizes[i]);
    out[i] = std::min(static_cast<int64_t>(exact), room[i]);
    remainders[i] = exact - static_cast<double>(out[i]);
    open -= out[i];
  }
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Of equal remainders the larger stratum gives: the only row of a rare label stays in train.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return remainders[a] != remainders[b] ? remainders[a] > remainders[b] : sizes[a] > sizes[b];
  });
  for (bool gives = true;
       gives && open > 0;) {  // a second round where strata without room left some over
    gives = false;
    for (const size_t i : order) {
      if (open == 0 || out[i] >= room[i]) continue;
      ++out[i];
      --open;
      gives = true;
    }
  }
  return out;
}

std::vector<Part> by_row_number(size_t rows) {
  std::vector<Part> parts(rows, Part::kTrain);
  for (size_t row = 0; row < rows; ++row) {
    if (row % 10 == 0) parts[row] = Part::kTest;
    if (row % 10 == 1) parts[row] = Part::kValidation;
  }
  return parts;
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
  options.seed = section.get("seed", options.seed);
  return options;
}

std::vector<Part> assign_parts(const SplitOptions& options, const std::vector<std::string>& strata,
                               const std::vector<uint64_t>& texts) {
  if (options.rule == "mod10") return by_row_number(texts.size());
  const std::vector<Group> groups = groups_of(options, strata, texts);
  std::map<std::string, size_t> index;
  for (const Group& group : groups) index.emplace(group.stratum, 0);
  size_t next = 0;
  for (auto& [name, number] : index) number = next++;
  std::vector<int64_t> sizes(index.size());
  for (const Group& group : groups)
    sizes[index.at(group.stratum)] += static_cast<int64_t>(group.rows.size());

  std::vector<int64_t> test = quotas(sizes, options.test, sizes), room = sizes;
  for (size_t i = 0; i < room.size(); ++i) room[i] -= test[i];
  std::vector<int64_t> validation = quotas(sizes, options.validation, room);
  std::vector<Part> parts(texts.size(), Part::kTrain);
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

}  // namespace hone
