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

// `count` values from `first` on, all of one block.
template <class T>
HWY_INLINE void write_nf4_values(const Nf4Memory& weight, int64_t first, int64_t count,
                                 const Nf4Pair* pairs, T* out) {
  HWY_ALIGN float quantiles[kNf4Block + 2];
  const int64_t shift = first % 2;  // of a byte's two, the second is the first wanted
  for (int64_t i = 0; i < (shift + count + 1) / 2; ++i)
    std::memcpy(quantiles + 2 * i, pairs + weight.packed[first / 2 + i], sizeof(Nf4Pair));
  const VF scale = hn::Set(F(), weight.scales[first / kNf4Block]);
  for_columns(count, [&](int64_t c, auto part) HWY_ATTR {
    store(hn::Mul(load(quantiles + shift + c, part), scale), out + c, part);
  });
}

template <class T>
void write_nf4_box_as(const Nf4Memory& weight, const WeightBox& box, const Nf4Pair* pairs, T* out) {
  for (int64_t row = box.row; row < box.row + box.rows; ++row) {
    int64_t value = row * weight.columns + box.column;
    const int64_t end = value + box.columns;
    while (value < end) {
      const int64_t count = std::min(kNf4Block - value % kNf4Block, end - value);
      write_nf4_values(weight, value, count, pairs, out);
      value += count, out += count;
    }
  }
}

void write_nf4_any(const Nf4Memory& weight, const WeightBox& box, void* out, bool is_bf16) {
  Nf4Pair pairs[256];
  for (size_t byte = 0; byte < 256; ++byte)
    pairs[byte] = {kNf4Values[byte >> 4], kNf4Values[byte & 15]};
  if (is_bf16)
    write_nf4_box_as(weight, box, pairs, static_cast<Bf16*>(out));
  else
    write_nf4_box_as(weight, box, pairs, static_cast<float*>(out));
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

void write_nf4_box(const Nf4Memory& weight, const WeightBox& box, void* out, bool is_bf16) {
  HWY_DYNAMIC_DISPATCH(write_nf4_any)(weight, box, out, is_bf16);
}

}  // namespace hone::kernels
#endif
