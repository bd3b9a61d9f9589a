// The random decisions of dropout: Philox 4x32-10 with counters laid out so that SIMD lanes, heads
// and columns each cost little.
//
// A call gives 128 bits = 8 halfwords; an element is dropped where its halfword is below round(p *
// 65536).
//   rows:      element (row key, column c) takes halfword (c % 128) / 16 of the call with
//              counter low = row key, counter high = site << 32 | (c / 128) * 16 + c % 16;
//   attention: element (query row key, head h, key position j) takes halfword h % 8 of the call
//   with
//              counter low = row key, counter high = site << 32 | 1 << 31 | (h / 8) << 24 | j.
// The Philox key is the seed. Halfword i is bits 16 * (i % 2) and up of output word i / 2.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "models/kernels/dropout_decisions.h"

namespace hone::kernels {

constexpr int64_t kMaxAttentionPositions = int64_t{1} << 24;
constexpr int64_t kMaxAttentionHeads = 8 * 128;

// Composed of ATen operations, on any device: the definition. 1 where kept, 0 where dropped; fp32.
at::Tensor row_keep_mask(const at::Tensor& keys, int64_t columns, double p, uint64_t seed,
                         uint32_t site);  // [rows, columns]
// Rows are the queries of one sequence; `keys` [L] their row keys; the result is [heads, L,
// positions].
at::Tensor attention_keep_mask(const at::Tensor& keys, int64_t heads, int64_t positions, double p,
                               uint64_t seed, uint32_t site);

// A GPU's own generator, anew for each batch and site.
void start_generator(at::Device device, uint64_t seed, uint64_t drawn, uint32_t site);

}  // namespace hone::kernels
