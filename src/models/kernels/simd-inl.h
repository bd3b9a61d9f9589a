// Loads, stores and elementary functions on fp32 vectors, per instruction set (see simd.h). Include
// inside no namespace.
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

// The bits of bf16(x) in the upper half of each lane, rounded to nearest even; the lower half is
// rubbish. A NaN whose payload is all ones may be lost; rounded_bf16_or_nan keeps every NaN.
HWY_INLINE VU rounding_of(VU bits) {
  return hn::Add(hn::And(hn::ShiftRight<16>(bits), hn::Set(U(), 1)), hn::Set(U(), 0x7fff));
}
HWY_INLINE VU rounded_bf16(VF x) {
  const VU bits = hn::BitCast(U(), x);
  return hn::Add(bits, rounding_of(bits));
}
HWY_INLINE VU rounded_bf16_or_nan(VF x) {
  const VU bits = hn::BitCast(U(), x);
  return hn::IfThenElse(hn::RebindMask(U(), hn::Eq(x, x)), hn::Add(bits, rounding_of(bits)), bits);
}

HWY_INLINE void store(VF x, float* p) { hn::StoreU(x, F(), p); }
HWY_INLINE void store_upper(VU rounded, Bf16* p) {
  hn::StoreU(hn::TruncateTo(U16(), hn::ShiftRight<16>(rounded)), U16(), &p->bits);
}
HWY_INLINE void store(VF x, Bf16* p) { store_upper(rounded_bf16_or_nan(x), p); }

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

// ---- loops over a row ----

// How many lanes count: all, known when compiling, or the first few.
struct Whole {};
struct Part {
  int64_t n;
};

// body(column, Whole()) for whole vectors, then body(column, Part) for what is left.
template <class Body>
HWY_INLINE void for_columns(int64_t columns, const Body& body) {
  int64_t c = 0;
  for (; c + lanes() <= columns; c += lanes()) body(c, Whole());
  if (HWY_UNLIKELY(c < columns)) body(c, Part{columns - c});
}

template <class T>
HWY_INLINE VF load(const T* p, Whole) {
  return load(p);
}
template <class T>
HWY_INLINE VF load(const T* p, Part part) {
  return load_first(p, part.n);
}
template <class T>
HWY_INLINE void store(VF x, T* p, Whole) {
  store(x, p);
}
template <class T>
HWY_INLINE void store(VF x, T* p, Part part) {
  store_first(x, p, part.n);
}
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
HWY_INLINE VF first_of(VF x, Whole) { return x; }
HWY_INLINE VF first_of(VF x, Part part) {
  return hn::IfThenElseZero(hn::FirstN(F(), static_cast<size_t>(part.n)), x);
}
HWY_INLINE VF first_n(VF x, int64_t n) { return first_of(x, Part{n}); }

HWY_INLINE float sum(VF x) { return hn::GetLane(hn::SumOfLanes(F(), x)); }
HWY_INLINE float maximum(VF x) { return hn::GetLane(hn::MaxOfLanes(F(), x)); }

// ---- elementary functions ----

// 2^f on |f| <= 1/2 by minimax polynomials (relative error 2^-28.9; kFast: 2^-13.3, ample before
// rounding to bf16).
template <bool kFast>
HWY_INLINE VF exp2_of_fraction(VF f) {
  const F d;
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
  return hn::MulAdd(p, f, hn::Set(d, 1.0f));
}

HWY_INLINE VF times_power_of_two(VF x, hn::Vec<I> n) {
  return hn::BitCast(F(), hn::Add(hn::BitCast(I(), x), hn::ShiftLeft<23>(n)));
}

// The nearest whole number, as it is and in the low bits of what the other is: of 1.5 * 2^23 with
// it added. Half the instructions of NearestInt, which also minds overflow. REQUIRES: |x| < 2^22.
struct Rounded {
  VF whole;
  hn::Vec<I> bits;

  explicit HWY_INLINE Rounded(VF x) {
    const VF magic = hn::Set(F(), 12582912.0f), shifted = hn::Add(x, magic);
    whole = hn::Sub(shifted, magic);
    bits = hn::BitCast(I(), shifted);
  }
};

// A NaN's low bits are no whole number's; of bf16 they are zeros, and it stays by itself.
HWY_INLINE VF unless_nan(VF x, VF value) { return hn::IfThenElse(hn::Eq(x, x), value, x); }

// 2^x for x in [-126, 127], or NaN.
template <bool kFast>
HWY_INLINE VF exp2_in_range(VF x) {
  const Rounded n(x);
  const VF power = times_power_of_two(exp2_of_fraction<kFast>(hn::Sub(x, n.whole)), n.bits);
  return kFast ? power : unless_nan(x, power);
}

// 2^x, x clamped to [-126, 127]. The order of operands keeps NaN on x86.
template <bool kFast = false>
HWY_INLINE VF exp2(VF x) {
  return exp2_in_range<kFast>(hn::Min(hn::Set(F(), 127.0f), hn::Max(hn::Set(F(), -126.0f), x)));
}
template <bool kFast = false>
HWY_INLINE VF exp2_below_one(VF x) {  // REQUIRES: x < 127, or NaN
  return exp2_in_range<kFast>(hn::Max(hn::Set(F(), -126.0f), x));
}

// e^x; the exact form carries the rounding error of x log2(e) along.
template <bool kFast = false>
HWY_INLINE VF exp(VF x) {
  const F d;
  const VF log2e = hn::Set(d, 1.44269502f);
  if constexpr (kFast) return exp2<true>(hn::Mul(x, log2e));
  x = hn::Min(hn::Set(d, 88.0f), hn::Max(hn::Set(d, -87.0f), x));
  const VF product = hn::Mul(x, log2e),
           rest = hn::MulAdd(x, hn::Set(d, 1.92596299e-08f), hn::MulSub(x, log2e, product));
  const Rounded n(product);
  const VF fraction = hn::Add(hn::Sub(product, n.whole), rest);
  return unless_nan(x, times_power_of_two(exp2_of_fraction<false>(fraction), n.bits));
}

struct NormalDistribution {
  VF cumulative, exponential;  // Phi(x) and exp(-x^2 / 2)
};

// Phi(-|x|) = exp(-x^2 / 2) times a polynomial in t = 1 / (1 + p |x|): the form of Abramowitz and
// Stegun 7.1.26, fitted anew for a small *relative* error in the tail as well (2^-26).
HWY_INLINE NormalDistribution normal_distribution(VF x) {
  const F d;
  const VF exponential = exp2_below_one(hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f * 1.44269504f)));
  const VF t =
      hn::Div(hn::Set(d, 1.0f), hn::MulAdd(hn::Abs(x), hn::Set(d, 0.21f), hn::Set(d, 1.0f)));
  VF p = hn::MulAdd(hn::Set(d, -7.241552892e-02f), t, hn::Set(d, 2.873387907e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, -3.381759143e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, 3.587376769e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, -1.006302357e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.278738015e-01f));
  p = hn::MulAdd(p, t, hn::Set(d, 6.837543551e-02f));
  p = hn::MulAdd(p, t, hn::Set(d, 8.519232799e-02f));
  p = hn::MulAdd(p, t, hn::Set(d, 8.370364086e-02f));
  const VF tail = hn::Mul(hn::Mul(p, t), exponential);
  const VF cumulative =
      hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
  return {cumulative, exponential};
}

// Phi(x) = 1 / (1 + 2^-u(x)) with the odd function u, a polynomial here: relative error below 2^-11
// for |x| < 4, where bf16 has 2^-9. `slope` is u'(x) ln 2: Phi' = slope Phi (1 - Phi).
struct FastNormalDistribution {
  VF exponential, cumulative, square;

  explicit HWY_INLINE FastNormalDistribution(VF x) {
    const F d;
    square = hn::Min(hn::Set(d, 20.25f), hn::Mul(x, x));
    VF p = hn::MulAdd(hn::Set(d, 5.838547066e-08f), square, hn::Set(d, -3.653429279e-06f));
    p = hn::MulAdd(p, square, hn::Set(d, 7.064391801e-05f));
    p = hn::MulAdd(p, square, hn::Set(d, 5.841442220e-04f));
    p = hn::MulAdd(p, square, hn::Set(d, -1.059873675e-01f));
    p = hn::MulAdd(p, square, hn::Set(d, -2.301437092e+00f));
    exponential = exp2<true>(hn::Mul(p, x));  // 2^-u
    cumulative = hn::ApproximateReciprocal(hn::Add(exponential, hn::Set(d, 1.0f)));
  }
  HWY_INLINE VF slope() const {
    const F d;
    constexpr float kLn2 = 0.693147181f;
    VF p = hn::MulAdd(hn::Set(d, -11 * kLn2 * 5.838547066e-08f), square,
                      hn::Set(d, 9 * kLn2 * 3.653429279e-06f));
    p = hn::MulAdd(p, square, hn::Set(d, -7 * kLn2 * 7.064391801e-05f));
    p = hn::MulAdd(p, square, hn::Set(d, -5 * kLn2 * 5.841442220e-04f));
    p = hn::MulAdd(p, square, hn::Set(d, 3 * kLn2 * 1.059873675e-01f));
    return hn::MulAdd(p, square, hn::Set(d, kLn2 * 2.301437092e+00f));
  }
};

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HONE_MODELS_KERNELS_SIMD_INL_H_
