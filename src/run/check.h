// What a run would read and what it would cost, without training.
#pragma once

#include <optional>

#include "run/baseline.h"
#include "run/prepare.h"
#include "tune/estimate.h"

namespace hone {

struct Checked {
  Prepared prepared;  // its data know audits and leaks
  Estimate cost;
  std::optional<LinearBaseline> baseline;  // where it was asked for
};

// Reads and encodes all data and runs a few steps for their speed. Writes nothing that stays.
Checked check(const RunConfig& config, bool with_baseline = false);

}  // namespace hone
