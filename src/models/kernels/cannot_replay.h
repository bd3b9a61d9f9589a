// Why a pass over a batch cannot be recorded and replayed with other values.
#pragma once

#include <stdexcept>

namespace hone::kernels {

// Thrown in a pass that is to be recorded (Packed::placed_seed), by an operation whose work depends
// on values of the batch that the host has.
struct CannotReplay : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace hone::kernels
