// Dropout decisions in SIMD (see random.h for what they are), per instruction set.
#if defined(HONE_MODELS_KERNELS_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HONE_MODELS_KERNELS_PHILOX_INL_H_
#undef HONE_MODELS_KERNELS_PHILOX_INL_H_
#else
#define HONE_MODELS_KERNELS_PHILOX_INL_H_
#endif

#include "models/kernels/dropout_decisions.h"
#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {

using W = hn::Repartition<uint64_t, U>;  // 32-bit words in 64-bit lanes; what the upper halves hold
                                         // does not matter
using VW = hn::Vec<W>;

struct PhiloxState {
  VW x0, x1, x2, x3;
};

HWY_INLINE PhiloxState philox_round(const PhiloxState& x, uint32_t key0, uint32_t key1) {
  const auto wide_product = [](VW a, uint32_t b) HWY_ATTR {
    return hn::MulEven(hn::BitCast(U(), a), hn::Set(U(), b));
  };
  const VW p0 = wide_product(x.x0, 0xD2511F53), p1 = wide_product(x.x2, 0xCD9E8D57);
  const VW k0 = hn::BitCast(W(), hn::Set(U(), key0)), k1 = hn::BitCast(W(), hn::Set(U(), key1));
  return {hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), x.x1), k0), p1,
          hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), x.x3), k1), p0};
}

// ---- masks: one bit per element, as Highway's LoadMaskBits wants them: the lanes of a vector
// begin a byte ----

HWY_INLINE int64_t mask_offset(int64_t elements) {
  return elements / lanes() * ((lanes() + 7) / 8);
}  // REQUIRES: whole vectors
constexpr int64_t mask_capacity(int64_t elements) {
  return padded(elements) / 4 + 8;
}  // enough on every target

// Halfword h of each call to plane h: bit set where it is at or above the threshold, so where the
// element is kept.
HWY_INLINE void store_masks(const PhiloxState& a, const PhiloxState& b, VU limit, uint8_t* out,
                            int64_t plane) {
  const auto store_pair = [&](VW low, VW high, uint8_t* even) HWY_ATTR {
    const VU words = hn::ConcatEven(U(), hn::BitCast(U(), high), hn::BitCast(U(), low));
    hn::StoreMaskBits(U(), hn::Gt(hn::ShiftLeft<16>(words), limit), even);
    hn::StoreMaskBits(U(), hn::Gt(words, limit), even + plane);
  };
  store_pair(a.x0, b.x0, out);
  store_pair(a.x1, b.x1, out + 2 * plane);
  store_pair(a.x2, b.x2, out + 4 * plane);
  store_pair(a.x3, b.x3, out + 6 * plane);
}

// halfword >= threshold is word > (threshold << 16) - 1. Certain dropout, 65536, becomes nearly
// certain; its scale is 0.
HWY_INLINE VU mask_limit(const DropoutDecisions& how) {
  return hn::Set(U(), (HWY_MIN(how.threshold, 65535u) << 16) - 1);  // REQUIRES: threshold > 0
}

HWY_INLINE void philox_masks(PhiloxState a, PhiloxState b, const DropoutDecisions& how, VU limit,
                             uint8_t* out, int64_t plane) {
  const uint32_t key0 = static_cast<uint32_t>(how.seed),
                 key1 = static_cast<uint32_t>(how.seed >> 32);
#pragma GCC unroll 10
  for (uint32_t round = 0; round < 10; ++round) {
    a = philox_round(a, key0 + round * 0x9E3779B9u, key1 + round * 0xBB67AE85u);
    b = philox_round(b, key0 + round * 0x9E3779B9u, key1 + round * 0xBB67AE85u);
  }
  store_masks(a, b, limit, out, plane);
}

// Masks of the counters (key, first .. first + count), whole vectors of them, to eight planes
// `plane` bytes apart.
HWY_INLINE void masks_of_row(const DropoutDecisions& how, int64_t key, uint32_t first,
                             int64_t count, uint8_t* out, int64_t plane) {
  const W w;
  const VU limit = mask_limit(how);
  const VW x0 = hn::Set(w, static_cast<uint64_t>(key)),
           x1 = hn::Set(w, static_cast<uint64_t>(key) >> 32), x3 = hn::Set(w, how.site);
  const VW half = hn::Set(w, hn::Lanes(w)), step = hn::Set(w, static_cast<uint64_t>(lanes()));
  VW low = hn::Iota(w, first);
  for (int64_t i = 0; i < count; i += lanes()) {
    philox_masks({x0, x1, low, x3}, {x0, x1, hn::Add(low, half), x3}, how, limit,
                 out + mask_offset(i), plane);
    low = hn::Add(low, step);
  }
}

// Masks of the counters (keys[i], counter), i < count. REQUIRES: keys readable up to padded(count).
HWY_INLINE void masks_of_column(const DropoutDecisions& how, const int64_t* keys, uint32_t counter,
                                int64_t count, uint8_t* out, int64_t plane) {
  const W w;
  const VU limit = mask_limit(how);
  const VW x2 = hn::Set(w, counter), x3 = hn::Set(w, how.site);
  const int64_t half = static_cast<int64_t>(hn::Lanes(w));
  for (int64_t i = 0; i < count; i += lanes()) {
    const VW low = hn::LoadU(w, reinterpret_cast<const uint64_t*>(keys + i)),
             high = hn::LoadU(w, reinterpret_cast<const uint64_t*>(keys + i + half));
    philox_masks({low, hn::ShiftRight<32>(low), x2, x3}, {high, hn::ShiftRight<32>(high), x2, x3},
                 how, limit, out + mask_offset(i), plane);
  }
}

// x where the mask has a bit, else 0.
HWY_INLINE VF keep_where(VF x, const uint8_t* mask) {
  return hn::IfThenElseZero(hn::LoadMaskBits(F(), mask), x);
}

// Masks of a whole row: column c is element c.
HWY_INLINE void mask_row(const DropoutDecisions& how, int64_t key, int64_t columns, uint8_t* out) {
  for (int64_t c = 0; c < columns; c += 128)
    masks_of_row(how, key, static_cast<uint32_t>(c / 8), 16, out + mask_offset(c), mask_offset(16));
}

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HONE_MODELS_KERNELS_PHILOX_INL_H_
