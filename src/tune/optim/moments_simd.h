// The inner loops of narrow moments over flat pieces of memory.
#pragma once

#include <cstdint>

namespace hone {

constexpr int64_t kMomentBlock = 256;  // values that share a scale

// What stochastic rounding draws from: a key, and the place of the first value.
struct MomentNoise {
  uint32_t key, first;
};

void widen_bf16(const uint16_t* from, int64_t count, float* to);
void narrow_to_bf16(const float* from, int64_t count, MomentNoise noise, uint16_t* to);

// Codes of 8 bits. A code is a sign and 7 bits, or, of roots, 8 bits: 0 is zero, and the others are
// levels in seven decades below one, each with twice as many as the one below it, evenly spaced:
//
//     level = 10^(d - 6) (0.1 + 0.9 f),  d in 0 .. 6, f in steps of 1 / 2^d (of roots: 1 / 2^(d +
//     1))
//
// which is dynamic tree quantization with fractions that begin at a decade's edge, so that levels
// join there. A block's scale puts its largest value on the topmost level.
struct MomentCodes {
  int64_t count = 0;
  bool is_root = false;  // values are at least 0, and their roots are kept, no smaller than a
                         // level: they are divided by
  uint8_t* codes = nullptr;
  float* scales = nullptr;  // of each kMomentBlock codes
};

void widen_codes(const MomentCodes& from, float* to);
void narrow_to_codes(const float* from, MomentNoise noise, const MomentCodes& to);
// What codes stand for before their scale: [256].
const float* moment_levels(bool is_root);

}  // namespace hone
