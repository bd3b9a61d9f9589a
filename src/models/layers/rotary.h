// The angles of rotary positions that a model was trained with, plain or scaled to longer sequences
// (kernels/rotary.h turns by them). As Transformers' modeling_rope_utils.py computes them, in fp32.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <compare>
#include <cstdint>
#include <vector>

namespace hone {

enum class RotaryScaling {
  kNone,
  kLinear,   // positions are divided by the factor (Chen et al. 2023,
             // https://arxiv.org/abs/2306.15595)
  kDynamic,  // a larger base for each sequence that is longer than the trained ones, by its own
             // length (NTK-aware)
  kYarn,     // slow angles are divided, fast ones stay (Peng et al. 2023,
             // https://arxiv.org/abs/2309.00071)
  kLlama3,   // likewise, with another ramp between
  kDivided,  // each angle by a number of its own, another one in each sequence that is longer than
             // the trained ones (LongRoPE, Ding et al. 2024, https://arxiv.org/abs/2402.13753)
};

struct RotaryOptions {
  double theta = 0;     // base of the angles; 0: no rotary positions
  int64_t columns = 0;  // of a head that are turned, from its first one on
  RotaryScaling scaling = RotaryScaling::kNone;
  double factor = 1;
  double trained = 0;  // positions before scaling; dynamic, YaRN, Llama 3 and LongRoPE read it
  // Turns within the trained positions below which an angle is slow, from which on it is fast.
  double slow = 1, fast = 32;              // YaRN, Llama 3
  bool has_whole_bounds = true;            // YaRN: the ramp begins and ends at whole columns
  double amplitude = 1;                    // of cosine and sine
  std::vector<double> divisors = {};       // kDivided: of each angle
  std::vector<double> long_divisors = {};  // of those of longer sequences; empty: the same

  auto operator<=>(const RotaryOptions&) const = default;
};

// [columns / 2] fp32: what the angles grow by from one position to the next, in a sequence of
// `length` tokens (which those read whose angles change with it).
at::Tensor frequencies_of(const RotaryOptions& options, int64_t length);
// Those of every sequence up to the trained length on `device`, copied there once: a copy from
// memory that is not pinned waits for the device.
at::Tensor placed_frequencies(const RotaryOptions& options, at::Device device);
// Whether the angles of a sequence of `length` tokens differ from those of shorter ones.
bool depends_on_length(const RotaryOptions& options, int64_t length);
// The longest sequence whose angles are those of every shorter one; 0: the angles never change.
int64_t angles_change_behind(const RotaryOptions& options);

}  // namespace hone
