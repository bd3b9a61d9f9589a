// What a sweep tries: the section `sweep` of a configuration, as the configurations of its trials.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/run_config.h"

namespace hone {

// A key that the sweep sets.
struct SweepKey {
  std::string name;     // "train.learning_rate"
  bool is_log = false;  // its range is even in the logarithm
};

struct Trial {
  std::string name;          // of its folder: "trial-003"
  std::vector<Json> values;  // by key
  Config asked;              // its configuration, of which nothing was read
  RunConfig config;
};

// Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943) in rungs that
// wait for all of their trials: at `first`, and at each `factor` times the place before, the best
// share 1 / `factor` of the trials goes on. A place is an epoch, or a step.
struct Halving {
  double factor = 3;
  double first = 1;
  bool by_epochs = true;
};

struct Sweep {
  std::string path;  // of the file
  std::string output_dir;
  bool overwrite = false;
  std::vector<SweepKey> keys;
  std::vector<Trial> trials;
  std::optional<Halving> halving;
};

// Every combination of the lists, each with `trials` draws of the ranges. A draw of a key is a
// function of (sweep.seed, the key, the number of the draw), so that more keys or trials move no
// other; one that gives the values of a trial before it is drawn again. Error(kUsage) at its place
// for a value that no run could have.
Sweep read_sweep(const std::string& path, const std::vector<std::string>& overrides);

}  // namespace hone
