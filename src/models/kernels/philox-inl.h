// Dropout decisions in SIMD (see random.h for what they are), per instruction set. Eight decisions of one Philox call make one byte.
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

using W = hn::Repartition<uint64_t, U>;  // 32-bit words in 64-bit lanes; what the upper halves hold does not matter
using VW = hn::Vec<W>;

struct PhiloxState {
  VW x0, x1, x2, x3;
};

HWY_INLINE PhiloxState philox_round(const PhiloxState& x, uint32_t key0, uint32_t key1) {
  const auto wide_product = [](VW a, uint32_t b) HWY_ATTR { return hn::MulEven(hn::BitCast(U(), a), hn::Set(U(), b)); };
  const VW p0 = wide_product(x.x0, 0xD2511F53), p1 = wide_product(x.x2, 0xCD9E8D57);
  const VW k0 = hn::BitCast(W(), hn::Set(U(), key0)), k1 = hn::BitCast(W(), hn::Set(U(), key1));
  return {hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), x.x1), k0), p1, hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), x.x3), k1), p0};
}

// One bit per halfword at or above the threshold; `a` and `b` are the calls of the lower and upper lanes of the result.
HWY_INLINE VU keep_bits(const PhiloxState& a, const PhiloxState& b, uint32_t threshold) {
  using H = hn::Repartition<uint16_t, U>;
  const H h;
  const auto limit = hn::Set(h, static_cast<uint16_t>(threshold - 1));  // kept: halfword > threshold - 1; REQUIRES: threshold > 0
  auto bits = hn::Zero(h);
  const auto add = [&](VW low, VW high, uint32_t even_bit, uint32_t odd_bit) HWY_ATTR {
    const auto words = hn::ConcatEven(U(), hn::BitCast(U(), high), hn::BitCast(U(), low));
    const auto kept = hn::VecFromMask(h, hn::Gt(hn::BitCast(h, words), limit));
    bits = hn::Or(bits, hn::And(kept, hn::BitCast(h, hn::Set(U(), even_bit | odd_bit << 16))));
  };
  add(a.x0, b.x0, 1, 2);
  add(a.x1, b.x1, 4, 8);
  add(a.x2, b.x2, 16, 32);
  add(a.x3, b.x3, 64, 128);
  const VU pairs = hn::BitCast(U(), bits);
  return hn::Or(pairs, hn::ShiftRight<16>(pairs));
}

HWY_INLINE void store_bytes(VU bits, uint8_t* out) { hn::StoreU(hn::TruncateTo(U8(), bits), U8(), out); }

HWY_INLINE VU philox_keep_bits(PhiloxState a, PhiloxState b, const DropoutDecisions& how) {
  for (int round = 0; round < 10; ++round) {
    const uint32_t key0 = static_cast<uint32_t>(how.seed) + static_cast<uint32_t>(round) * 0x9E3779B9u;
    const uint32_t key1 = static_cast<uint32_t>(how.seed >> 32) + static_cast<uint32_t>(round) * 0xBB67AE85u;
    a = philox_round(a, key0, key1);
    b = philox_round(b, key0, key1);
  }
  return keep_bits(a, b, how.threshold);
}

// Bytes of the counters (key, first .. first + count); writes up to padded(count) bytes.
HWY_INLINE void keep_bytes_of_row(const DropoutDecisions& how, int64_t key, uint32_t first, int64_t count, uint8_t* out) {
  const W w;
  const VW x0 = hn::Set(w, static_cast<uint64_t>(key)), x1 = hn::Set(w, static_cast<uint64_t>(key) >> 32), x3 = hn::Set(w, how.site);
  const uint64_t half = hn::Lanes(w);
  for (int64_t i = 0; i < count; i += lanes()) {
    const VW low = hn::Iota(w, first + static_cast<uint64_t>(i)), high = hn::Iota(w, first + static_cast<uint64_t>(i) + half);
    store_bytes(philox_keep_bits({x0, x1, low, x3}, {x0, x1, high, x3}, how), out + i);
  }
}

// Bytes of the counters (keys[i], counter), i < count. REQUIRES: keys readable up to padded(count).
HWY_INLINE void keep_bytes_of_column(const DropoutDecisions& how, const int64_t* keys, uint32_t counter, int64_t count, uint8_t* out) {
  const W w;
  const VW x2 = hn::Set(w, counter), x3 = hn::Set(w, how.site);
  const int64_t half = static_cast<int64_t>(hn::Lanes(w));
  for (int64_t i = 0; i < count; i += lanes()) {
    const VW low = hn::LoadU(w, reinterpret_cast<const uint64_t*>(keys + i)), high = hn::LoadU(w, reinterpret_cast<const uint64_t*>(keys + i + half));
    store_bytes(philox_keep_bits({low, hn::ShiftRight<32>(low), x2, x3}, {high, hn::ShiftRight<32>(high), x2, x3}, how), out + i);
  }
}

// x where bit `bit` of the lane's byte is set, else 0.
HWY_INLINE VF keep_where(VF x, const uint8_t* bytes, VU bit) {
  const VU wide = hn::PromoteTo(U(), hn::LoadU(U8(), bytes));
  return hn::IfThenElseZero(hn::RebindMask(F(), hn::TestBit(wide, bit)), x);
}

// Bytes of a whole row of `columns` columns: column c is bit (c % 128) / 16 of byte (c / 128) * 16 + c % 16.
HWY_INLINE void keep_row(const DropoutDecisions& how, int64_t key, int64_t columns, uint8_t* out) {
  keep_bytes_of_row(how, key, 0, (columns + 127) / 128 * 16, out);
}
HWY_INLINE VF keep_column(VF x, const uint8_t* row, int64_t column) {
  return keep_where(x, row + column / 128 * 16 + column % 16, hn::Set(U(), 1u << (column % 128 / 16)));
}

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HONE_MODELS_KERNELS_PHILOX_INL_H_
