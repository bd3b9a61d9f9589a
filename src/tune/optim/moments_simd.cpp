#include "tune/optim/moments_simd.h"

#include <array>
#include <cmath>

#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tune/optim/moments_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

using MomentBytes = hn::Rebind<uint8_t, F>;

// 16 random bits of the places from `first` on (the finaliser of a 32-bit hash).
HWY_INLINE VU random_bits(const MomentNoise& noise, int64_t i) {
  const U u;
  const VU place = hn::Iota(u, noise.first + static_cast<uint32_t>(i));
  VU x = hn::Add(hn::Mul(place, hn::Set(u, 0x9E3779B1u)), hn::Set(u, noise.key));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<16>(x)), hn::Set(u, 0x7FEB352Du));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<15>(x)), hn::Set(u, 0x846CA68Bu));
  return hn::ShiftRight<16>(x);
}

void widen_bf16_any(const uint16_t* from, int64_t count, float* to) {
  const Bf16* values = reinterpret_cast<const Bf16*>(from);
  for_columns(count,
              [&](int64_t i, auto part) HWY_ATTR { store(load(values + i, part), to + i, part); });
}

void narrow_to_bf16_any(const float* from, int64_t count, MomentNoise noise, uint16_t* to) {
  const U u;
  Bf16* values = reinterpret_cast<Bf16*>(to);
  for_columns(count, [&](int64_t i, auto part) HWY_ATTR {
    const VU bits = hn::BitCast(u, load(from + i, part)),
             drawn = hn::Add(bits, random_bits(noise, i));
    // What is no number, or no larger one, stays.
    const VU size = hn::And(bits, hn::Set(u, 0x7FFFFFFFu));
    const auto is_finite =
        hn::RebindMask(u, hn::Lt(hn::BitCast(I(), size), hn::Set(I(), 0x7F7F0000)));
    const VU rounded = hn::And(hn::IfThenElse(is_finite, drawn, bits), hn::Set(u, 0xFFFF0000u));
    store(hn::BitCast(F(), rounded), values + i, part);
  });
}

// ---- codes ----

HWY_INLINE void store_bytes(hn::Vec<I> x, uint8_t* p, Whole) {
  hn::StoreU(hn::DemoteTo(MomentBytes(), x), MomentBytes(), p);
}
HWY_INLINE void store_bytes(hn::Vec<I> x, uint8_t* p, Part part) {
  HWY_ALIGN uint8_t buffer[kLanes];
  store_bytes(x, buffer, Whole());
  for (int64_t i = 0; i < part.n; ++i) p[i] = buffer[i];
}
HWY_INLINE hn::Vec<I> load_bytes(const uint8_t* p, Whole) {
  return hn::PromoteTo(I(), hn::LoadU(MomentBytes(), p));
}
HWY_INLINE hn::Vec<I> load_bytes(const uint8_t* p, Part part) {
  HWY_ALIGN uint8_t buffer[kLanes] = {};
  for (int64_t i = 0; i < part.n; ++i) buffer[i] = p[i];
  return load_bytes(buffer, Whole());
}

// Where y in [0, 1) stands among the levels of seven bits: a whole number on a level, in between a
// share of the way to the next.
HWY_INLINE VF position_of(VF y) {
  const F d;
  VF power = hn::Set(d, 1e6f), levels = hn::Set(d, 1.0f);
  const auto decade = [&](float from, float by, float count) HWY_ATTR {
    const auto is_in = hn::Ge(y, hn::Set(d, from));
    power = hn::IfThenElse(is_in, hn::Set(d, by), power);
    levels = hn::IfThenElse(is_in, hn::Set(d, count), levels);
  };
  decade(1e-6f, 1e5f, 2), decade(1e-5f, 1e4f, 4), decade(1e-4f, 1e3f, 8);
  decade(1e-3f, 1e2f, 16), decade(1e-2f, 1e1f, 32), decade(1e-1f, 1.0f, 64);
  const VF fraction = hn::Mul(hn::MulSub(y, power, hn::Set(d, 0.1f)), hn::Set(d, 1 / 0.9f));
  return hn::MulAdd(levels, hn::Max(hn::Zero(d), fraction), levels);
}

HWY_INLINE hn::Vec<I> code_of(VF y, VU bits, bool is_root) {
  const F d;
  const VF uniform = hn::Mul(hn::ConvertTo(d, hn::BitCast(I(), bits)), hn::Set(d, 0x1p-16f)),
           near_zero = hn::Mul(y, hn::Set(d, 1e7f));
  VF position = position_of(y);
  if (is_root) position = hn::MulSub(position, hn::Set(d, 2.0f), hn::Set(d, 1.0f));
  position = hn::IfThenElse(hn::Lt(y, hn::Set(d, 1e-7f)), near_zero, position);
  const VF top = hn::Set(d, is_root ? 254.0f : 127.0f);
  return hn::ConvertTo(I(), hn::Min(top, hn::Add(position, uniform)));  // rounds toward zero
}

template <class P>
HWY_INLINE VF value_of(const MomentCodes& of, const float* from, int64_t i, P part) {
  const VF x = load(from + i, part);
  return of.is_root ? hn::Sqrt(x) : x;
}

// A block's values; returns its scale.
float narrow_block(const float* from, int64_t count, MomentNoise noise, const MomentCodes& to) {
  const F d;
  VF largest = hn::Zero(d);
  for_columns(count, [&](int64_t i, auto part) HWY_ATTR {
    largest = hn::Max(largest, hn::Abs(value_of(to, from, i, part)));
  });
  const float most = maximum(largest),
              scale = most / moment_levels(to.is_root)[to.is_root ? 254 : 127];
  const VF by = hn::Set(d, scale > 1e-36f ? 1 / scale : 0.0f);
  const auto least = hn::Set(I(), to.is_root && scale > 1e-36f ? 1 : 0);
  for_columns(count, [&](int64_t i, auto part) HWY_ATTR {
    const VF x = value_of(to, from, i, part);
    auto code = hn::Max(least, code_of(hn::Mul(hn::Abs(x), by), random_bits(noise, i), to.is_root));
    if (!to.is_root)
      code =
          hn::Or(code, hn::ShiftLeft<7>(hn::BitCast(I(), hn::ShiftRight<31>(hn::BitCast(U(), x)))));
    store_bytes(code, to.codes + i, part);
  });
  return scale > 1e-36f ? scale : 0;
}

void narrow_to_codes_any(const float* from, MomentNoise noise, const MomentCodes& to) {
  for (int64_t i = 0; i < to.count; i += kMomentBlock) {
    MomentCodes block = to;
    block.codes += i;
    to.scales[i / kMomentBlock] =
        narrow_block(from + i, HWY_MIN(kMomentBlock, to.count - i),
                     {noise.key, noise.first + static_cast<uint32_t>(i)}, block);
  }
}

void widen_codes_any(const MomentCodes& from, float* to) {
  const float* levels = moment_levels(from.is_root);
  for (int64_t first = 0; first < from.count; first += kMomentBlock) {
    const VF scale = hn::Set(F(), from.scales[first / kMomentBlock]);
    for_columns(HWY_MIN(kMomentBlock, from.count - first), [&](int64_t i, auto part) HWY_ATTR {
      const auto code = load_bytes(from.codes + first + i, part);
      const VF x = hn::Mul(hn::GatherIndex(F(), levels, code), scale);
      store(from.is_root ? hn::Mul(x, x) : x, to + first + i, part);
    });
  }
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone {
namespace kernels {

HWY_EXPORT(widen_bf16_any);
HWY_EXPORT(narrow_to_bf16_any);
HWY_EXPORT(narrow_to_codes_any);
HWY_EXPORT(widen_codes_any);

namespace {

// Of codes with `bits` bits, from 1 on: decade d holds 2^d levels, or twice as many.
std::array<float, 256> levels_of(bool is_root) {
  std::array<float, 256> levels{};
  size_t code = 1;
  for (int decade = 0; decade < 7; ++decade) {
    const int count = (is_root ? 2 : 1) << decade;
    for (int i = 0; i < count; ++i)
      levels[code++] = static_cast<float>(std::pow(10.0, decade - 6) * (0.1 + 0.9 * i / count));
  }
  for (size_t i = 0; i < 128 && !is_root; ++i) levels[128 + i] = -levels[i];
  return levels;
}

void widen_halves(const uint16_t* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(widen_bf16_any)(from, count, to);
}
void narrow_to_halves(const float* from, int64_t count, MomentNoise noise, uint16_t* to) {
  HWY_DYNAMIC_DISPATCH(narrow_to_bf16_any)(from, count, noise, to);
}
void narrow_all(const float* from, MomentNoise noise, const MomentCodes& to) {
  HWY_DYNAMIC_DISPATCH(narrow_to_codes_any)(from, noise, to);
}
void widen_all(const MomentCodes& from, float* to) {
  HWY_DYNAMIC_DISPATCH(widen_codes_any)(from, to);
}

}  // namespace
}  // namespace kernels

const float* moment_levels(bool is_root) {
  static const std::array<float, 256> of_values = kernels::levels_of(false),
                                      of_roots = kernels::levels_of(true);
  return (is_root ? of_roots : of_values).data();
}

void widen_bf16(const uint16_t* from, int64_t count, float* to) {
  kernels::widen_halves(from, count, to);
}
void narrow_to_bf16(const float* from, int64_t count, MomentNoise noise, uint16_t* to) {
  kernels::narrow_to_halves(from, count, noise, to);
}
void widen_codes(const MomentCodes& from, float* to) { kernels::widen_all(from, to); }
void narrow_to_codes(const float* from, MomentNoise noise, const MomentCodes& to) {
  kernels::narrow_all(from, noise, to);
}

}  // namespace hone
#endif
