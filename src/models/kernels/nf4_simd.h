// The inner loops of weights in 4 bits.
#pragma once

#include <array>
#include <cstdint>

#include "models/kernels/written_weight.h"

namespace hone::kernels {

// The quantiles (QLoRA's appendix E), as bitsandbytes has them in fp32.
constexpr std::array<float, 16> kNf4Values = {-1.0F,
                                              -0.69619280099868774F,
                                              -0.52507305145263672F,
                                              -0.39491748809814453F,
                                              -0.28444138169288635F,
                                              -0.18477343022823334F,
                                              -0.091050036251544952F,
                                              0.0F,
                                              0.079580299556255341F,
                                              0.16093020141124725F,
                                              0.24611230194568634F,
                                              0.33791524171829224F,
                                              0.44070982933044434F,
                                              0.56261700391769409F,
                                              0.72295683622360229F,
                                              1.0F};

// Blocks [first, end) of a weight of so many values.
struct Nf4Blocks {
  int64_t first, end, values;
};

// Writes their scales and codes to the places that they have among all.
void round_nf4_blocks(const float* values, const Nf4Blocks& blocks, float* scales, uint8_t* packed);

// A weight in memory; a scale for each block.
struct Nf4Memory {
  const uint8_t* packed;
  const float* scales;
  int64_t columns;
};

// Writes the values of a box, row after row, fp32 or bf16.
void write_nf4_box(const Nf4Memory& weight, const WeightBox& box, void* out, bool is_bf16);

}  // namespace hone::kernels
