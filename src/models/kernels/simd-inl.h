// Loads, stores and elementary functions on fp32 vectors, per instruction set (see simd.h). Include inside no namespace.
#if defined(HONE_MODELS_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HONE_MODELS_KERNELS_SIMD_INL_H_
#undef HONE_MODELS_KERNELS_SIMD_INL_H_
#else
#define HONE_MODELS_KERNELS_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include "models/kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using U = hn::Rebind<uint32_t, F>;
using I = hn::Rebind<int32_t, F>;
using U16 = hn::Rebind<uint16_t, F>;
using U8 = hn::Rebind<uint8_t, F>;
using VF = hn::Vec<F>;
using VU = hn::Vec<U>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(F())); }

// ---- memory: fp32 or bf16, whole vectors ----

HWY_INLINE VF load(const float* p) { return hn::LoadU(F(), p); }
HWY_INLINE VF load(const Bf16* p) {
  const VU wide = hn::PromoteTo(U(), hn::LoadU(U16(), &p->bits));
  return hn::BitCast(F(), hn::ShiftLeft<16>(wide));
}

// The bits of bf16(x) in the upper half of each lane, rounded to nearest even; the lower half is rubbish. NaN may become infinite.
HWY_INLINE VU rounded_bf16(VF x) {
  const VU bits = hn::BitCast(U(), x);
  const VU odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(U(), 1));
  return hn::Add(hn::Add(bits, hn::Set(U(), 0x7fff)), odd);
}
HWY_INLINE VU rounded_bf16_or_nan(VF x) {
  return hn::IfThenElse(hn::RebindMask(U(), hn::IsNaN(x)), hn::Set(U(), 0x7fc00000), rounded_bf16(x));
}

HWY_INLINE void store(VF x, float* p) { hn::StoreU(x, F(), p); }
HWY_INLINE void store(VF x, Bf16* p) {
  hn::StoreU(hn::TruncateTo(U16(), hn::ShiftRight<16>(rounded_bf16_or_nan(x))), U16(), &p->bits);
}

// ---- the first n < lanes() values; the rest read as zero ----

template <class T>
HWY_NOINLINE VF load_first(const T* p, int64_t n) {
  HWY_ALIGN T buffer[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
}
template <class T>
HWY_NOINLINE void store_first(VF x, T* p, int64_t n) {
  HWY_ALIGN T buffer[kLanes];
  store(x, buffer);
  for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}

// ---- loops over a row: body(column, count) gets whole vectors, then at most one tail ----

template <class T>
HWY_INLINE VF load_n(const T* p, int64_t n) {
  return HWY_LIKELY(n == lanes()) ? load(p) : load_first(p, n);
}
template <class T>
HWY_INLINE void store_n(VF x, T* p, int64_t n) {
  if (HWY_LIKELY(n == lanes())) {
    store(x, p);
  } else {
    store_first(x, p, n);
  }
}
HWY_INLINE VF first_n(VF x, int64_t n) { return hn::IfThenElseZero(hn::FirstN(F(), static_cast<size_t>(n)), x); }

HWY_INLINE float sum(VF x) { return hn::GetLane(hn::SumOfLanes(F(), x)); }
HWY_INLINE float maximum(VF x) { return hn::GetLane(hn::MaxOfLanes(F(), x)); }

// ---- elementary functions ----

// 2^x for x in [-126, 127], clamped outside. Minimax polynomials of 2^f on |f| <= 1/2 (relative error 2^-28.9; kFast: 2^-13.3, ample
// before rounding to bf16), multiplied by 2^n in the exponent bits. `rest` is a small correction added to x.
template <bool kFast = false>
HWY_INLINE VF exp2(VF x, VF rest) {
  const F d;
  x = hn::Min(hn::Set(d, 127.0f), hn::Max(hn::Set(d, -126.0f), x));  // in this order NaN stays NaN on x86
  const auto n = hn::NearestInt(x);
  const VF f = hn::Add(hn::Sub(x, hn::ConvertTo(d, n)), rest);
  VF p;
  if constexpr (kFast) {
    p = hn::MulAdd(hn::Set(d, 5.500893185e-02f), f, hn::Set(d, 2.422109787e-01f));
    p = hn::MulAdd(p, f, hn::Set(d, 6.932829292e-01f));
  } else {
    p = hn::MulAdd(hn::Set(d, 1.535336224e-04f), f, hn::Set(d, 1.339887474e-03f));
    p = hn::MulAdd(p, f, hn::Set(d, 9.618437359e-03f));
    p = hn::MulAdd(p, f, hn::Set(d, 5.550332470e-02f));
    p = hn::MulAdd(p, f, hn::Set(d, 2.402264791e-01f));
    p = hn::MulAdd(p, f, hn::Set(d, 6.931472029e-01f));
  }
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(I(), p), hn::ShiftLeft<23>(n)));
}

template <bool kFast = false>
HWY_INLINE VF exp2(VF x) {
  return exp2<kFast>(x, hn::Zero(F()));
}

template <bool kFast = false>
HWY_INLINE VF exp(VF x) {
  const F d;
  const VF log2e = hn::Set(d, 1.44269502f);
  if constexpr (kFast) return exp2<true>(hn::Mul(x, log2e));
  x = hn::Min(hn::Set(d, 88.0f), hn::Max(hn::Set(d, -87.0f), x));
  const VF product = hn::Mul(x, log2e);
  return exp2(product, hn::MulAdd(x, hn::Set(d, 1.92596299e-08f), hn::MulSub(x, log2e, product)));
}

struct NormalDistribution {
  VF cumulative, exponential;  // Phi(x) and exp(-x^2 / 2)
};

// Phi(-|x|) = exp(-x^2 / 2) times a polynomial in t = 1 / (1 + p |x|): the form of Abramowitz and Stegun 7.1.26, fitted anew for a small
// *relative* error in the tail as well (2^-26; kFast: 2^-13).
template <bool kFast = false>
HWY_INLINE NormalDistribution normal_distribution(VF x) {
  const F d;
  const VF exponential = exp2<kFast>(hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f * 1.44269504f)));
  const VF t = hn::Div(hn::Set(d, 1.0f), hn::MulAdd(hn::Abs(x), hn::Set(d, kFast ? 0.37f : 0.21f), hn::Set(d, 1.0f)));
  VF p;
  if constexpr (kFast) {
    p = hn::MulAdd(hn::Set(d, -9.115324985e-02f), t, hn::Set(d, 2.117899764e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, 7.463526749e-02f));
    p = hn::MulAdd(p, t, hn::Set(d, 1.578740426e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, 1.468635057e-01f));
  } else {
    p = hn::MulAdd(hn::Set(d, -7.241552892e-02f), t, hn::Set(d, 2.873387907e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, -3.381759143e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, 3.587376769e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, -1.006302357e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, 1.278738015e-01f));
    p = hn::MulAdd(p, t, hn::Set(d, 6.837543551e-02f));
    p = hn::MulAdd(p, t, hn::Set(d, 8.519232799e-02f));
    p = hn::MulAdd(p, t, hn::Set(d, 8.370364086e-02f));
  }
  const VF tail = hn::Mul(hn::Mul(p, t), exponential);
  const VF cumulative = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
  return {cumulative, exponential};
}

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HONE_MODELS_KERNELS_SIMD_INL_H_
