// What forward and backward of attention share (see attention_simd.h), per instruction set: where
// things are, who sees whom, rotation. Include inside no namespace.
#if defined(HONE_MODELS_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HONE_MODELS_KERNELS_ATTENTION_INL_H_
#undef HONE_MODELS_KERNELS_ATTENTION_INL_H_
#else
#define HONE_MODELS_KERNELS_ATTENTION_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>

#include "models/kernels/attention_simd.h"
#include "models/kernels/block_product.h"
#include "models/kernels/pack-inl.h"
#include "models/kernels/philox-inl.h"
#include "models/kernels/scratch.h"
#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {

constexpr int64_t kQueries = 64;   // of a block
constexpr int64_t kKeys = 256;     // of a tile
constexpr int64_t kMaskHeads = 8;  // share one Philox call
constexpr float kLog2e = 1.44269504f;

inline int64_t padded_rows(int64_t n) {
  return (n + 7) / 8 * 8;
}  // left operands: any number of rows will do, few numbers are better

template <class T>
constexpr bool kIsBf16 = sizeof(T) == 2;

HWY_INLINE void store_weight(VF x, float* p) { store(x, p); }
HWY_INLINE void store_weight(VF x, Bf16* p) { store_upper(rounded_bf16(x), p); }

HWY_INLINE void store_four(hn::Vec<hn::CappedTag<float, 4>> x, float* p) {
  hn::StoreU(x, hn::CappedTag<float, 4>(), p);
}
HWY_INLINE void store_four(hn::Vec<hn::CappedTag<float, 4>> x, Bf16* p) {
  const hn::CappedTag<float, 4> d;
  const hn::RebindToUnsigned<decltype(d)> bits;
  const hn::Rebind<uint16_t, decltype(d)> half;
  const auto whole = hn::BitCast(bits, x),
             odd = hn::And(hn::ShiftRight<16>(whole), hn::Set(bits, 1)),
             rounded = hn::Add(whole, hn::Add(odd, hn::Set(bits, 0x7fff)));
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(rounded)), half, &p->bits);
}
HWY_INLINE void copy_values(const float* from, int64_t n, float* to) {
  for (int64_t c = 0; c < n; c += lanes()) store(load(from + c), to + c);
}
HWY_INLINE void copy_values(const Bf16* from, int64_t n, Bf16* to) {
  for (int64_t c = 0; c < n; c += lanes())
    hn::StoreU(hn::LoadU(U16(), &from[c].bits), U16(), &to[c].bits);
}

// ---- where things are ----

template <class In>
const In* head_rows(const HeadRows& rows, int64_t first, int64_t head) {
  return static_cast<const In*>(rows.data) + first * rows.row + head * rows.head;
}

struct Shape {
  int64_t q_begin, q_length, k_begin, k_length;
  int64_t width, repeats;  // width: dim padded; repeats: query heads per key/value head
  int64_t shift;           // position of the first query: the last one stands at the last key

  Shape(const AttentionJob& job, const AttentionUnit& unit)
      : q_begin(unit.q_begin),
        q_length(unit.q_length),
        k_begin(unit.k_begin),
        k_length(unit.k_length),
        width(padded(job.dim)),
        repeats(job.heads / job.kv_heads),
        shift(unit.k_length - unit.q_length) {}
  int64_t tile_rows(int64_t first) const { return padded(HWY_MIN(kKeys, k_length - first)); }
};

inline uint32_t mask_counter(int64_t head) {
  return uint32_t{1} << 31 | static_cast<uint32_t>(head / kMaskHeads) << 24;
}

template <class T>
void take_all(Scratch& scratch, int64_t count, T*& piece) {
  piece = scratch.take<T>(count);
}

// ---- who sees whom ----

struct Range {
  int64_t begin, end;
};

inline bool hides_keys(const AttentionJob& job) { return job.is_causal || job.window > 0; }

// Keys that at least one of the queries [first, end) sees.
HWY_INLINE Range visible_keys(const AttentionJob& job, const Shape& shape, int64_t first,
                              int64_t end) {
  Range keys{0, shape.k_length};
  if (job.is_causal) keys.end = HWY_MIN(keys.end, end + shape.shift);
  if (job.window > 0) {
    keys.begin = HWY_MAX(keys.begin, first + shape.shift - job.window);
    keys.end = HWY_MIN(keys.end, end + shape.shift + job.window);
  }
  return keys;
}
// The same from where operands of products may begin.
inline Range visible_tiles(const AttentionJob& job, const Shape& shape, int64_t first,
                           int64_t end) {
  const Range keys = visible_keys(job, shape, first, end);
  return {keys.begin / kLanes * kLanes, keys.end};
}

// Queries of [first, first + count) that see the key, counted from `first`.
HWY_INLINE Range visible_queries(const AttentionJob& job, const Shape& shape, int64_t key,
                                 int64_t first, int64_t count) {
  const int64_t same = key - shape.shift - first;  // the query at the key's position
  Range queries{0, count};
  if (job.is_causal) queries.begin = HWY_MAX(queries.begin, same);
  if (job.window > 0) {
    queries.begin = HWY_MAX(queries.begin, same - job.window);
    queries.end = HWY_MIN(queries.end, same + job.window + 1);
  }
  return queries;
}

// Lanes outside the range become zero.
HWY_INLINE VF only(VF x, Range kept) {
  const auto first = [](int64_t n) HWY_ATTR {
    return hn::FirstN(F(), static_cast<size_t>(HWY_MAX(0, HWY_MIN(n, lanes()))));
  };
  if (HWY_UNLIKELY(kept.end < lanes())) x = hn::IfThenElseZero(first(kept.end), x);
  if (HWY_UNLIKELY(kept.begin > 0)) x = hn::IfThenZeroElse(first(kept.begin), x);
  return x;
}

// ---- biases ----

template <class T>
T* at_or_null(T* p, int64_t offset) {
  return p == nullptr ? nullptr : p + offset;
}

// Scores [n] of a row (a query before keys, or a key before queries) become scores * scale +
// biases, to base 2.
inline void add_bias(const float* biases, float* scores, int64_t n, float scale) {
  const VF by = hn::Set(F(), scale * kLog2e), log2e = hn::Set(F(), kLog2e);
  for (int64_t c = 0; c < n; c += lanes())
    store(hn::MulAdd(load(scores + c), by, hn::Mul(load(biases + c), log2e)), scores + c);
}

// Scores [n] of a row, biases added, become cap * tanh(score / cap) to base 2.
inline void cap_scores(const AttentionJob& job, float* scores, int64_t n) {
  const F d;
  const float cap = job.soft_cap * kLog2e;
  const VF by = hn::Set(d, job.bias.exists() ? 1 / cap : job.scale / job.soft_cap),
           most = hn::Set(d, cap);
  for (int64_t c = 0; c < n; c += lanes())
    store(hn::Mul(most, hn::Tanh(d, hn::Mul(load(scores + c), by))), scores + c);
}

// What scores as add_bias and cap_scores leave them are multiplied with before the softmax to
// base 2.
inline float softmax_scale(const AttentionJob& job) {
  return job.bias.exists() || job.soft_cap > 0 ? 1 : job.scale * kLog2e;
}

// ---- positions ----
//
// Rows of one stream times a table give a value for each place; what row i and column c of the
// scores want stands at place p - i + c. So a matrix of places is a matrix of scores whose rows are
// one value less apart.

constexpr int64_t kKeysOfPositions = 64;  // at once, else most of their places would be in vain

inline int64_t fours(int64_t n) { return (n + 3) / 4 * 4; }

// Columns of places that `rows` rows by `n` columns of scores reach.
struct Reach {
  int64_t start;    // the first one's place: even, as rows of bf16 operands come in pairs
  int64_t columns;  // a multiple of 16, with room for blocks of 4 x 4
  int64_t first;    // the column of the first row's first one

  Reach(int64_t place, int64_t rows, int64_t n)
      : start((place - (rows - 1)) / 2 * 2),
        columns(padded(fours(rows) + fours(n))),
        first(place - start) {}
  int64_t row(int64_t i) const { return first + i * (columns - 1); }
};

// Values that any such matrix takes, with room for a vector's tail.
inline int64_t places_of_tile(int64_t keys) {
  return kQueries * padded(kQueries + keys) + 2 * kLanes;
}

inline bool has_positions(const AttentionJob& job) {
  return job.position_keys.exists() || job.position_queries.exists();
}

// The operand's column `place` of a head.
template <class T>
const T* place_columns(const PositionTable& table, int64_t head, int64_t width, int64_t place) {
  return static_cast<const T*>(table.operand) + head * width * table.size +
         place * (kIsBf16<T> ? 2 : 1);
}
template <class T>
const T* place_rows(const PositionTable& table, int64_t head, int64_t width, int64_t place) {
  return static_cast<const T*>(table.rows) + (head * table.size + place) * width;
}

// scores [rows, n] += places.
inline void add_places(const float* places, const Reach& reach, int64_t rows, int64_t n,
                       float* scores, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* row = places + reach.row(i);
    float* to = scores + i * stride;
    for (int64_t c = 0; c < n; c += lanes()) store(hn::Add(load(to + c), load(row + c)), to + c);
  }
}

// The columns of 4 x 4 values, rows `stride` apart.
template <class Take>
HWY_INLINE void four_columns(const float* p, int64_t stride, const Take& take) {
  const hn::CappedTag<float, 4> d;  // at least 4 lanes on every target
  const hn::Repartition<uint64_t, decltype(d)> wide;
  const auto r0 = hn::LoadU(d, p), r1 = hn::LoadU(d, p + stride), r2 = hn::LoadU(d, p + 2 * stride),
             r3 = hn::LoadU(d, p + 3 * stride);
  const auto a = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1)),
             b = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3));
  const auto e = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1)),
             f = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
  take(0, hn::BitCast(d, hn::InterleaveLower(wide, a, b)));
  take(1, hn::BitCast(d, hn::InterleaveUpper(wide, a, b)));
  take(2, hn::BitCast(d, hn::InterleaveLower(wide, e, f)));
  take(3, hn::BitCast(d, hn::InterleaveUpper(wide, e, f)));
}

// scores [n, rows] += places transposed; n and rows are rounded up to fours.
inline void add_places_transposed(const float* places, const Reach& reach, int64_t rows, int64_t n,
                                  float* scores, int64_t stride) {
  const hn::CappedTag<float, 4> d;
  for (int64_t c = 0; c < n; c += 4) {
    for (int64_t i = 0; i < rows; i += 4) {
      float* to = scores + c * stride + i;
      four_columns(places + reach.row(i) + c, reach.columns - 1,
                   [&](int64_t column, hn::Vec<hn::CappedTag<float, 4>> x) HWY_ATTR {
                     float* p = to + column * stride;
                     hn::StoreU(hn::Add(hn::LoadU(d, p), x), d, p);
                   });
    }
  }
}

// ---- rotation ----

// Rows (a, b, rest) at `position` and on become (a cos - b sin, b cos + a sin, rest), or back.
template <bool kIsBack, class T>
HWY_NOINLINE void rotate_rows(const RotaryTable& by, int64_t position, int64_t n, T* rows,
                              int64_t width) {
  for (int64_t i = 0; i < n; ++i) {
    T *left = rows + i * width, *right = left + by.pairs;
    const int64_t row = (position + i) * by.pairs;
    for (int64_t c = 0; c < by.pairs; c += lanes()) {
      const int64_t count = HWY_MIN(lanes(), by.pairs - c);
      const VF a = load_n(left + c, count), b = load_n(right + c, count),
               cosine = load_n(by.cosine + row + c, count);
      VF sine = load_n(by.sine + row + c, count);
      if constexpr (kIsBack) sine = hn::Neg(sine);
      store_n(hn::MulSub(a, cosine, hn::Mul(b, sine)), left + c, count);
      store_n(hn::MulAdd(b, cosine, hn::Mul(a, sine)), right + c, count);
    }
  }
}

// Queries or keys of a head at `position` and on, as [rows, width].
template <class In, class T>
void copy_rotated(const AttentionJob& job, const In* from, int64_t stride, int64_t position,
                  int64_t n, T* to, int64_t rows, int64_t width) {
  copy_rows(from, stride, n, job.dim, to, rows, width);
  if (job.rotary.pairs > 0) rotate_rows<false>(job.rotary, position, n, to, width);
}

}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HONE_MODELS_KERNELS_ATTENTION_INL_H_
