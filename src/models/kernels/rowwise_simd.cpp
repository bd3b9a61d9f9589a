#include "models/kernels/rowwise_simd.h"

#include "models/kernels/scratch.h"
#include "models/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/rowwise_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/philox-inl.h"
#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

// ---- dropout ----

template <class T>
void dropout_typed(const DropoutRows& rows, int64_t begin, int64_t end) {
  const int64_t columns = rows.columns, size = mask_capacity((columns + 127) / 128 * 128);
  uint8_t* mask = Scratch(static_cast<size_t>(size)).take<uint8_t>(size);
  const VF scale = hn::Set(F(), rows.dropout.scale);
  for (int64_t row = begin; row < end; ++row) {
    mask_row(rows.dropout, rows.keys[row], columns, mask);
    const T* x = static_cast<const T*>(rows.x) + row * columns;
    T* out = static_cast<T*>(rows.out) + row * columns;
    for_columns(columns, [&](int64_t c, auto part) HWY_ATTR {
      store(hn::Mul(keep_where(load(x + c, part), mask + mask_offset(c)), scale), out + c, part);
    });
  }
}

void dropout_any(const DropoutRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? dropout_typed<Bf16>(rows, begin, end) : dropout_typed<float>(rows, begin, end);
}

// ---- activations: value, and value times nothing else but the derivative; kFast where the result
// is rounded to bf16 ----

struct Sigmoid {
  VF value, derivative;
};
// With e = exp(-x): 1 / (1 + e) and its derivative s (1 - s) = s (s e), which keeps its digits
// where s is near 1.
template <bool kFast>
HWY_INLINE Sigmoid sigmoid(VF x) {
  const VF e = exp<kFast>(hn::Neg(x)),
           s = hn::Div(hn::Set(F(), 1.0f), hn::Add(hn::Set(F(), 1.0f), e));
  return {s, hn::Mul(s, hn::Mul(s, e))};
}
// 1 - 2 / (e^2x + 1) loses its digits near 0, where the odd series takes over (x^9 and on are below
// 2^-24 there).
template <bool kFast>
HWY_INLINE VF hyperbolic_tangent(VF x) {
  const F d;
  const VF far = hn::NegMulAdd(
      hn::Set(d, 2.0f), sigmoid<kFast>(hn::Mul(hn::Set(d, -2.0f), x)).value, hn::Set(d, 1.0f));
  const VF s = hn::Mul(x, x);
  VF series = hn::MulAdd(s, hn::Set(d, 2.1869488e-02f), hn::Set(d, -5.3968254e-02f));
  series = hn::MulAdd(series, s, hn::Set(d, 1.3333333e-01f));
  series = hn::MulAdd(series, s, hn::Set(d, -3.3333333e-01f));
  const VF near = hn::MulAdd(hn::Mul(series, s), x, x);
  return hn::IfThenElse(hn::Lt(hn::Abs(x), hn::Set(d, 0.25f)), near, far);
}

template <bool kFast>
struct Gelu {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, normal_distribution(x).cumulative); }
  static HWY_INLINE VF derivative(VF x) {
    const NormalDistribution normal = normal_distribution(x);
    return hn::MulAdd(hn::Mul(x, hn::Set(F(), 0.398942280f)), normal.exponential,
                      normal.cumulative);
  }
};
template <>
struct Gelu<true> {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, FastNormalDistribution(x).cumulative); }
  static HWY_INLINE VF derivative(VF x) {  // Phi + x Phi', with 1 - Phi = Phi 2^-u
    const FastNormalDistribution normal(x);
    const VF product =
        hn::Mul(hn::Mul(x, normal.slope()), hn::Mul(normal.cumulative, normal.exponential));
    return hn::MulAdd(product, normal.cumulative, normal.cumulative);
  }
};
template <bool kFast>
struct GeluTanh {  // x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): the same as x (1 + tanh
                   // u) / 2
  static HWY_INLINE Sigmoid gate(VF x, VF square) {
    const VF factor = hn::MulAdd(square, hn::Set(F(), 2 * 0.797884561f * 0.044715f),
                                 hn::Set(F(), 2 * 0.797884561f));
    return sigmoid<kFast>(hn::Mul(x, factor));
  }
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, gate(x, hn::Mul(x, x)).value); }
  static HWY_INLINE VF derivative(VF x) {
    const VF square = hn::Mul(x, x);
    const Sigmoid g = gate(x, square);
    const VF slope = hn::MulAdd(square, hn::Set(F(), 6 * 0.797884561f * 0.044715f),
                                hn::Set(F(), 2 * 0.797884561f));
    return hn::MulAdd(hn::Mul(x, slope), g.derivative, g.value);
  }
};
template <bool kFast>
struct Relu {
  static HWY_INLINE VF value(VF x) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(F())), x);
  }  // keeps NaN
  static HWY_INLINE VF derivative(VF x) {
    return hn::IfThenElseZero(hn::Gt(x, hn::Zero(F())), hn::Set(F(), 1.0f));
  }
};
template <bool kFast>
struct Silu {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, sigmoid<kFast>(x).value); }
  static HWY_INLINE VF derivative(VF x) {
    const Sigmoid g = sigmoid<kFast>(x);
    return hn::MulAdd(x, g.derivative, g.value);
  }
};
template <bool kFast>
struct Tanh {
  static HWY_INLINE VF value(VF x) { return hyperbolic_tangent<kFast>(x); }
  static HWY_INLINE VF derivative(VF x) {
    const VF y = hyperbolic_tangent<kFast>(x);
    return hn::NegMulAdd(y, y, hn::Set(F(), 1.0f));
  }
};

template <class T, class P>
HWY_INLINE VF load_sum(const T* x, const float* bias, int64_t c, P part) {
  const VF value = load(x + c, part);
  return bias == nullptr ? value : hn::Add(value, load(bias + c, part));
}

template <class Function, class T>
void forward(const ActivationRows& rows, int64_t begin, int64_t end) {
  const float* bias = rows.bias;
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(rows.x) + row * rows.columns;
    T* out = static_cast<T*>(rows.out) + row * rows.columns;
    for_columns(rows.columns, [&](int64_t c, auto part) HWY_ATTR {
      store(Function::value(load_sum(x, bias, c, part)), out + c, part);
    });
  }
}

template <class Function, class T>
void backward(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias) {
  const float* bias = rows.bias;
  for (int64_t c = 0; c < padded(rows.columns); ++c) dbias[c] = 0;
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(rows.x) + row * rows.columns;
    const T* grad = static_cast<const T*>(rows.grad) + row * rows.columns;
    T* dx = static_cast<T*>(rows.dx) + row * rows.columns;
    for_columns(rows.columns, [&](int64_t c, auto part) HWY_ATTR {
      const VF gradient =
          hn::Mul(load(grad + c, part),
                  Function::derivative(load_sum(x, bias, c, part)));  // zero beyond the row
      store(gradient, dx + c, part);
      store(hn::Add(gradient, load(dbias + c)), dbias + c);
    });
  }
}

template <class Function, class T>
void run(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias) {
  dbias == nullptr ? forward<Function, T>(rows, begin, end)
                   : backward<Function, T>(rows, begin, end, dbias);
}

template <class T, bool kFast>
void activation_typed(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias) {
  switch (rows.activation) {
    case Activation::kGelu:
      return run<Gelu<kFast>, T>(rows, begin, end, dbias);
    case Activation::kGeluTanh:
      return run<GeluTanh<kFast>, T>(rows, begin, end, dbias);
    case Activation::kRelu:
      return run<Relu<kFast>, T>(rows, begin, end, dbias);
    case Activation::kSilu:
      return run<Silu<kFast>, T>(rows, begin, end, dbias);
    case Activation::kTanh:
      return run<Tanh<kFast>, T>(rows, begin, end, dbias);
  }
}

void activation_any(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias) {
  rows.is_bf16 ? activation_typed<Bf16, true>(rows, begin, end, dbias)
               : activation_typed<float, false>(rows, begin, end, dbias);
}

// ---- gated activations ----

template <class Function, class T>
void gated_row(const T* gate, T* out, int64_t columns) {
  const T* up = gate + columns;
  for_columns(columns, [&](int64_t i, auto part) HWY_ATTR {
    store(hn::Mul(Function::value(load(gate + i, part)), load(up + i, part)), out + i, part);
  });
}

template <class Function, class T>
void gated_row_backward(const T* gate, const T* grad, T* dgate, int64_t columns) {
  const T* up = gate + columns;
  T* dup = dgate + columns;
  for_columns(columns, [&](int64_t i, auto part) HWY_ATTR {
    const VF x = load(gate + i, part), g = load(grad + i, part);
    store(hn::Mul(hn::Mul(g, load(up + i, part)), Function::derivative(x)), dgate + i, part);
    store(hn::Mul(g, Function::value(x)), dup + i, part);
  });
}

template <class Function, class T>
void gated(const GatedRows& rows, int64_t begin, int64_t end) {
  const int64_t columns = rows.columns;
  for (int64_t row = begin; row < end; ++row) {
    const T* gate = static_cast<const T*>(rows.x) + 2 * row * columns;
    if (rows.grad == nullptr) {
      gated_row<Function>(gate, static_cast<T*>(rows.out) + row * columns, columns);
    } else {
      gated_row_backward<Function>(gate, static_cast<const T*>(rows.grad) + row * columns,
                                   static_cast<T*>(rows.dx) + 2 * row * columns, columns);
    }
  }
}

template <class T, bool kFast>
void gated_typed(const GatedRows& rows, int64_t begin, int64_t end) {
  switch (rows.activation) {
    case Activation::kGelu:
      return gated<Gelu<kFast>, T>(rows, begin, end);
    case Activation::kGeluTanh:
      return gated<GeluTanh<kFast>, T>(rows, begin, end);
    case Activation::kRelu:
      return gated<Relu<kFast>, T>(rows, begin, end);
    case Activation::kSilu:
      return gated<Silu<kFast>, T>(rows, begin, end);
    case Activation::kTanh:
      return gated<Tanh<kFast>, T>(rows, begin, end);
  }
}

void gated_any(const GatedRows& rows, int64_t begin, int64_t end) {
  rows.is_bf16 ? gated_typed<Bf16, true>(rows, begin, end)
               : gated_typed<float, false>(rows, begin, end);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(dropout_any);
HWY_EXPORT(activation_any);
HWY_EXPORT(gated_any);

void dropout_rows(const DropoutRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(dropout_any)(rows, begin, end);
}
void activation_forward(const ActivationRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(activation_any)(rows, begin, end, nullptr);
}
void activation_backward(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias) {
  HWY_DYNAMIC_DISPATCH(activation_any)(rows, begin, end, dbias);
}
void gated_rows(const GatedRows& rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(gated_any)(rows, begin, end);
}

}  // namespace hone::kernels
#endif
