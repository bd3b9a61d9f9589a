#include "run/sweep_space.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/random.h"

namespace hone {
namespace {

constexpr int64_t kUsualTrials = 10;
constexpr size_t kMostTrials = 10'000;

enum class Range { kList, kChoice, kInt, kUniform, kLogUniform };

// What a key may be: the values of a list, or numbers of a range.
struct Space {
  std::string key;
  Range range = Range::kList;
  std::vector<Config> values;
  double low = 0, high = 0;
  Where where;

  bool is_drawn() const { return range != Range::kList; }
};

// A key and what a trial sets it to.
using Settings = std::vector<std::pair<std::string, Config>>;

const std::vector<std::pair<std::string, Range>>& ranges() {
  static const std::vector<std::pair<std::string, Range>> all = {
      {"choice", Range::kChoice},
      {"int", Range::kInt},
      {"uniform", Range::kUniform},
      {"log_uniform", Range::kLogUniform}};
  return all;
}

std::vector<std::string> range_names() {
  std::vector<std::string> names;
  for (const auto& [name, range] : ranges()) names.push_back(name);
  return names;
}

void read_bounds(Config& section, const std::string& kind, Space& space) {
  const std::vector<Config> ends = section.items(kind);
  const auto is_number = [&](const Config& end) {
    const Json value = end.plain();
    return space.range == Range::kInt ? value.is_number_integer() : value.is_number();
  };
  if (ends.size() != 2 || !std::all_of(ends.begin(), ends.end(), is_number))
    throw section.error(kind, fmt::format("\"{}\" needs two {}numbers, the lowest and the highest: "
                                          "{{{}: [{}]}}",
                                          kind, space.range == Range::kInt ? "whole " : "", kind,
                                          space.range == Range::kInt ? "1, 4" : "1e-5, 1e-4"));
  space.low = ends[0].plain().get<double>();
  space.high = ends[1].plain().get<double>();
  if (!std::isfinite(space.low) || !std::isfinite(space.high) || space.low >= space.high)
    throw section.error(
        kind, fmt::format("the lowest, {}, is not below the highest, {}", space.low, space.high));
  if (space.range == Range::kLogUniform && space.low <= 0)
    throw section.error(kind, fmt::format("is even in the logarithm, and {} has none: begin above "
                                          "0, or take \"uniform\"",
                                          space.low));
}

// {log_uniform: [1e-5, 1e-4]}
void read_range(Config section, const Config& keys, Space& space) {
  const std::vector<std::string> said = section.keys();
  const auto known = range_names();
  if (said.size() != 1)
    throw keys.error(space.key, fmt::format("a range is one of {}: {{log_uniform: [1e-5, 1e-4]}}",
                                            fmt::join(known, ", ")));
  const auto found = std::find_if(ranges().begin(), ranges().end(),
                                  [&](const auto& one) { return one.first == said.front(); });
  if (found == ranges().end())
    throw section.error(said.front(),
                        fmt::format("\"{}\" is no range; there are {}{}", said.front(),
                                    fmt::join(known, ", "), did_you_mean(said.front(), known)));
  space.range = found->second;
  if (space.range == Range::kChoice)
    space.values = section.items(said.front());
  else
    read_bounds(section, said.front(), space);
}

void check_key(const Config& keys, const std::string& key) {
  const std::string section = key.substr(0, key.find('.'));
  if (section == "output")
    throw keys.error(key, "each trial writes into a folder of its own below output.dir");
  if (section == "sweep" || section == "seeds" || section == "folds")
    throw keys.error(key, fmt::format("\"{}\" is no key of one run", section));
}

Space read_space(Config& keys, const std::string& key) {
  check_key(keys, key);
  Space space{.key = key, .where = keys.where(key)};
  const std::vector<Config> items = keys.items(key);
  if (items.size() == 1 && !keys.is_list(key) && items.front().plain().is_object())
    read_range(keys.section(key), keys, space);
  else
    space.values = items;
  if (space.values.empty() && (space.range == Range::kList || space.range == Range::kChoice))
    throw keys.error(key, fmt::format("\"{}\" has no value to try: write a list, or a range as "
                                      "{{uniform: [0, 1]}}",
                                      key));
  return space;
}

// To four digits, so that a table can show what was tried; never out of its range.
double rounded(double value, const Space& space) {
  const std::string text = fmt::format("{:.4g}", value);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::clamp(value, space.low, space.high);
}

Config drawn(const Space& space, uint64_t seed, int64_t draw) {
  RandomStream random(mix(mix(seed, crc32c(space.key)), static_cast<uint64_t>(draw)));
  switch (space.range) {
    case Range::kList:
    case Range::kChoice:
      return space.values[random.below(space.values.size())];
    case Range::kInt: {
      const auto low = static_cast<int64_t>(space.low);
      const auto count = static_cast<uint64_t>(static_cast<int64_t>(space.high) - low + 1);
      return Config::of(low + static_cast<int64_t>(random.below(count)), space.where);
    }
    case Range::kUniform:
      return Config::of(rounded(space.low + random.uniform() * (space.high - space.low), space),
                        space.where);
    case Range::kLogUniform: {
      const double low = std::log(space.low), high = std::log(space.high);
      return Config::of(rounded(std::exp(low + random.uniform() * (high - low)), space),
                        space.where);
    }
  }
  return space.values.front();
}

// Every combination of the lists, the last key's values following each other.
std::vector<Settings> grid_of(const std::vector<Space>& spaces, const Config& section) {
  std::vector<Settings> grid = {{}};
  for (const Space& space : spaces) {
    if (space.is_drawn()) continue;
    std::vector<Settings> more;
    for (const Settings& settings : grid) {
      for (const Config& value : space.values) {
        more.push_back(settings);
        more.back().emplace_back(space.key, value);
      }
      if (more.size() > kMostTrials)
        throw section.error("keys", fmt::format("the lists have more than {} combinations; take "
                                                "ranges, of which \"trials\" says how many",
                                                kMostTrials));
    }
    grid = std::move(more);
  }
  return grid;
}

std::string text_of(const Settings& settings) {
  std::string text;
  for (const auto& [key, value] : settings) text += key + "=" + to_text(value.plain()) + "\n";
  return text;
}

// The same for `grid`, with as many draws of the ranges as are asked for, as far as there are that
// differ.
std::vector<Settings> with_draws(const Settings& grid, const std::vector<Space>& spaces,
                                 uint64_t seed, int64_t trials) {
  constexpr int64_t kTries = 20;  // for each: a range of few values has no more that differ
  std::vector<Settings> out;
  std::set<std::string> seen;
  for (int64_t draw = 0; draw < trials * kTries && std::ssize(out) < trials; ++draw) {
    Settings settings = grid;
    for (const Space& space : spaces) {
      if (space.is_drawn()) settings.emplace_back(space.key, drawn(space, seed, draw));
    }
    if (seen.insert(text_of(settings)).second) out.push_back(std::move(settings));
  }
  return out;
}

int64_t number_of_draws(Config& section, const std::vector<Space>& spaces) {
  const bool has_ranges =
      std::any_of(spaces.begin(), spaces.end(), [](const Space& s) { return s.is_drawn(); });
  if (!has_ranges && section.has("trials"))
    throw section.error("trials",
                        "says how often ranges are drawn, and there is none: of lists every "
                        "combination is tried");
  const int64_t trials = has_ranges ? section.get("trials", kUsualTrials) : 1;
  if (trials < 1 || trials > static_cast<int64_t>(kMostTrials))
    throw section.error(
        "trials", fmt::format("\"trials\" is {}; it must be from 1 to {}", trials, kMostTrials));
  return trials;
}

std::vector<Settings> all_settings(Config& section, const std::vector<Space>& spaces) {
  const auto seed = static_cast<uint64_t>(section.get("seed", int64_t{42}));
  const int64_t draws = number_of_draws(section, spaces);
  const std::vector<Settings> grid = grid_of(spaces, section);
  std::vector<Settings> all;
  for (const Settings& one : grid) {
    for (Settings& settings : with_draws(one, spaces, seed, draws))
      all.push_back(std::move(settings));
    if (all.size() > kMostTrials)
      throw section.error("keys", fmt::format("these are more than {} trials; the lists have {} "
                                              "combinations, each with {} draws",
                                              kMostTrials, grid.size(), draws));
  }
  if (all.size() < grid.size() * static_cast<size_t>(draws))
    log_info("{} trials: the ranges have no more values that differ", all.size());
  return all;
}

std::vector<SweepKey> keys_of(const std::vector<Space>& spaces) {
  std::vector<SweepKey> keys;
  for (const Space& space : spaces) keys.push_back({space.key, space.range == Range::kLogUniform});
  return keys;
}

std::optional<Halving> read_halving(Config& section) {
  if (!section.has("halving")) return std::nullopt;
  Config own = section.section("halving");
  Halving halving;
  halving.factor = own.get("factor", halving.factor);
  if (!std::isfinite(halving.factor) || halving.factor <= 1)
    throw own.error("factor", fmt::format("\"factor\" is {}; it must be more than 1: of so many "
                                          "trials one goes on",
                                          halving.factor));
  if (own.has("epochs") == own.has("steps"))
    throw own.error("epochs",
                    "say where trials are compared first: \"epochs: 1\", or \"steps: 200\"");
  halving.by_epochs = own.has("epochs");
  const char* key = halving.by_epochs ? "epochs" : "steps";
  halving.first = own.get(key, halving.first);
  if (!std::isfinite(halving.first) || halving.first <= 0)
    throw own.error(key, fmt::format("\"{}\" is {}; it must be more than 0", key, halving.first));
  return halving;
}

void refuse_unknown_keys(const Config& section, const char* name,
                         const std::vector<std::string>& known) {
  for (const std::string& key : section.keys()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw section.error(key, fmt::format("unknown key \"{}\"; {} has {}{}", key, name,
                                           fmt::join(known, ", "), did_you_mean(key, known)));
  }
}

// What a trial must have so that the sweep can judge it.
void check_trial(const Config& sweep, const RunConfig& config,
                 const std::optional<Halving>& halving) {
  if (!config.data.sources.contains("validation") || config.train.eval_strategy == "no")
    throw sweep.error("keys",
                      "a sweep goes by the evaluations of its trials: it needs validation data, "
                      "and an eval_strategy other than \"no\"");
  if (halving && !config.stages.empty())
    throw sweep.error("halving",
                      "trials that have stages are run to their end, one by one: leave "
                      "out \"halving\", or the stages");
}

void check_root(const Config& root) {
  if (!root.has("sweep"))
    throw root.error("sweep",
                     "\"sweep\" is missing: {keys: {train.learning_rate: [2e-5, 5e-5]}} "
                     "(docs/sweep.md)" +
                         root.misnamed("sweep"));
  for (const char* key : {"seeds", "folds"}) {
    if (root.has(key))
      throw root.error(key, fmt::format("a trial is one run: leave out \"{}\", and repeat the best "
                                        "configuration with it afterwards",
                                        key));
  }
}

std::vector<Space> read_spaces(Config& section) {
  if (section.is_list("keys"))
    throw section.error("keys", "must be a mapping: {train.learning_rate: [2e-5, 5e-5]}");
  Config keys = section.section("keys");
  std::vector<Space> spaces;
  for (const std::string& key : keys.keys()) spaces.push_back(read_space(keys, key));
  if (spaces.empty())
    throw section.error("keys", "names nothing to try: {train.learning_rate: [2e-5, 5e-5]}");
  return spaces;
}

Trial trial_of(const Config& plain, const Settings& settings, const Sweep& sweep, size_t number) {
  const std::string name = fmt::format("trial-{:03}", number);
  Config asked = plain.over(plain, {}, {});
  for (const auto& [key, value] : settings) asked.put(key, value);
  asked.override_with("output.dir=" + to_text(Json(sweep.output_dir + "/" + name)));
  Trial trial{name, {}, asked, RunConfig::read_whole(asked.over(asked, {}, {}), sweep.path)};
  for (const SweepKey& key : sweep.keys) {
    for (const auto& [set, value] : settings) {
      if (set == key.name) trial.values.push_back(value.plain());
    }
  }
  return trial;
}

}  // namespace

Sweep read_sweep(const std::string& path, const std::vector<std::string>& overrides) {
  const Config root = Config::load(path, overrides);
  check_root(root);
  const Config plain = root.over(root, {}, {"sweep"});
  Config section = root.over(root, {}, {}).section("sweep");
  refuse_unknown_keys(section, "a sweep", {"keys", "trials", "seed", "halving"});
  if (section.has("halving"))
    refuse_unknown_keys(section.section("halving"), "\"halving\"", {"factor", "epochs", "steps"});
  Config output = plain.over(plain, {}, {}).section("output");
  Sweep sweep{.path = path,
              .output_dir = output.require("dir"),
              .overwrite = output.get("overwrite", false)};
  const std::vector<Space> spaces = read_spaces(section);
  sweep.keys = keys_of(spaces);
  sweep.halving = read_halving(section);
  for (const Settings& settings : all_settings(section, spaces)) {
    sweep.trials.push_back(trial_of(plain, settings, sweep, sweep.trials.size() + 1));
    check_trial(section, sweep.trials.back().config, sweep.halving);
  }
  return sweep;
}

}  // namespace hone
