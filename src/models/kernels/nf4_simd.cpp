#include "models/kernels/nf4_simd.h"

#include <algorithm>
#include <cstring>

#include "models/kernels/nf4.h"
#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/nf4_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

// The place of the nearest quantile: how many of the middles between two are less than x. Of two
// that are equally near, the lower one.
HWY_INLINE hn::Vec<I> nearest_quantile(VF x) {
  hn::Vec<I> place = hn::Zero(I());
  for (size_t i = 0; i + 1 < kNf4Values.size(); ++i) {
    const VF middle = hn::Set(F(), (kNf4Values[i] + kNf4Values[i + 1]) / 2);
    place = hn::Sub(place, hn::BitCast(I(), hn::VecFromMask(F(), hn::Lt(middle, x))));
  }
  return place;
}

// bitsandbytes multiplies a whole block by the inverse of its scale, and divides what is left at
// the end.
HWY_INLINE VF over_scale(VF x, float scale, bool is_whole) {
  const VF one = hn::Set(F(), 1.0f);
  const VF y = is_whole ? hn::Mul(x, hn::Set(F(), 1.0f / scale)) : hn::Div(x, hn::Set(F(), scale));
  return hn::Min(hn::Max(y, hn::Neg(one)), one);
}

void round_nf4_block(const float* values, int64_t count, float* scale, uint8_t* packed) {
  constexpr float kLeastScale = 1e-38f;
  VF largest = hn::Zero(F());
  for_columns(count, [&](int64_t c, auto part)
                         HWY_ATTR { largest = hn::Max(largest, hn::Abs(load(values + c, part))); });
  const bool is_whole = count == kNf4Block;
  const float limit = maximum(largest), divisor = std::max(limit, kLeastScale);
  *scale = is_whole ? limit : divisor;
  HWY_ALIGN int32_t places[kNf4Block];  // those behind the end are of zeros
  for_columns(count, [&](int64_t c, auto part) HWY_ATTR {
    hn::StoreU(nearest_quantile(over_scale(load(values + c, part), divisor, is_whole)), I(),
               places + c);
  });
  for (int64_t i = 0; i < count; i += 2)
    *packed++ = static_cast<uint8_t>(places[i] << 4 | places[i + 1]);
}

void round_nf4_any(const float* values, const Nf4Blocks& blocks, float* scales, uint8_t* packed) {
  for (int64_t block = blocks.first; block < blocks.end; ++block) {
    const int64_t begin = block * kNf4Block;
    round_nf4_block(values + begin, std::min(kNf4Block, blocks.values - begin), scales + block,
                    packed + begin / 2);
  }
}

struct Nf4Pair {
  float first, second;  // what a byte stands for
};

template <class T>
void write_nf4_blocks_as(const uint8_t* packed, const float* scales, const Nf4Blocks& blocks,
                         const Nf4Pair* pairs, T* out) {
  HWY_ALIGN float quantiles[kNf4Block] = {};
  for (int64_t block = blocks.first; block < blocks.end; ++block) {
    const int64_t begin = block * kNf4Block, count = std::min(kNf4Block, blocks.values - begin);
    for (int64_t i = 0; i < (count + 1) / 2; ++i)
      std::memcpy(quantiles + 2 * i, pairs + packed[begin / 2 + i], sizeof(Nf4Pair));
    const VF scale = hn::Set(F(), scales[block]);
    for_columns(count, [&](int64_t c, auto part) HWY_ATTR {
      store(hn::Mul(load(quantiles + c), scale), out + begin + c, part);
    });
  }
}

void write_nf4_any(const uint8_t* packed, const float* scales, const Nf4Blocks& blocks, void* out,
                   bool is_bf16) {
  Nf4Pair pairs[256];
  for (size_t byte = 0; byte < 256; ++byte)
    pairs[byte] = {kNf4Values[byte >> 4], kNf4Values[byte & 15]};
  if (is_bf16)
    write_nf4_blocks_as(packed, scales, blocks, pairs, static_cast<Bf16*>(out));
  else
    write_nf4_blocks_as(packed, scales, blocks, pairs, static_cast<float*>(out));
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(round_nf4_any);
HWY_EXPORT(write_nf4_any);

void round_nf4_blocks(const float* values, const Nf4Blocks& blocks, float* scales,
                      uint8_t* packed) {
  HWY_DYNAMIC_DISPATCH(round_nf4_any)(values, blocks, scales, packed);
}

void write_nf4_blocks(const uint8_t* packed, const float* scales, const Nf4Blocks& blocks,
                      void* out, bool is_bf16) {
  HWY_DYNAMIC_DISPATCH(write_nf4_any)(packed, scales, blocks, out, is_bf16);
}

}  // namespace hone::kernels
#endif
