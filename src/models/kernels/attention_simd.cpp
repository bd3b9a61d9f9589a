// Attention in tiles, with the softmax rescaled as tiles come (Milakov and Gimelshein 2018; Dao et
// al. 2022, "FlashAttention").
//
// A unit packs its keys and values once, then takes blocks of queries; a block takes tiles of keys.
// Rows and widths are padded with zeros to multiples of 16. Scores of a block and a tile are the
// largest thing kept.
//
// Forward works on [queries, keys]: rows of the softmax are contiguous. Backward works on [keys,
// queries]: then K and V are left operands as they are, P and dS come out in the layouts that their
// products want, and log-sum-exp and D are plain vectors.
#include "models/kernels/attention_simd.h"

#include "models/kernels/block_product.h"
#include "models/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/attention_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "models/kernels/pack-inl.h"
#include "models/kernels/philox-inl.h"
#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

constexpr int64_t kQueries = 64;   // of a block
constexpr int64_t kKeys = 256;     // of a tile
constexpr int64_t kMaskHeads = 8;  // share one Philox call
constexpr float kLog2e = 1.44269504f;

int64_t padded_rows(int64_t n) {
  return (n + 7) / 8 * 8;
}  // left operands: any number of rows will do, few numbers are better

template <class T>
constexpr bool kIsBf16 = sizeof(T) == 2;

// ---- where things are ----

template <class In>
const In* head_rows(const HeadRows& rows, int64_t first, int64_t head) {
  return static_cast<const In*>(rows.data) + first * rows.row + head * rows.head;
}

struct Shape {
  int64_t begin, length, width,
      repeats;  // width: dim padded; repeats: query heads per key/value head

  Shape(const AttentionJob& job, const AttentionUnit& unit)
      : begin(unit.begin),
        length(unit.length),
        width(padded(job.dim)),
        repeats(job.heads / job.kv_heads) {}
  int64_t tile_rows(int64_t first) const { return padded(HWY_MIN(kKeys, length - first)); }
};

// Keys that a block of queries ending before `end` looks at.
int64_t visible_keys(const AttentionJob& job, const Shape& shape, int64_t end) {
  return job.is_causal ? HWY_MIN(end, shape.length) : shape.length;
}

uint32_t mask_counter(int64_t head) {
  return uint32_t{1} << 31 | static_cast<uint32_t>(head / kMaskHeads) << 24;
}

template <class T>
void take_all(Scratch& scratch, int64_t count, T*& piece) {
  piece = scratch.take<T>(count);
}

// ---- forward ----

template <class T>
struct ForwardScratch {
  T *key_operand,
      *value_operand;  // per key/value head: [length padded, width] in all, tile after tile
  T *rows, *queries, *weights;  // copied rows of a tile; [kQueries, width]; [kQueries, kKeys]
  float *scores, *sums;         // [kQueries, kKeys], [kQueries, width]
  float *maximum, *total;       // [kQueries]
  uint8_t* masks;               // kMaskHeads planes of [kQueries, length padded] bits
  int64_t mask_stride, mask_plane, head_size;

  ForwardScratch(const Shape& shape, int64_t kv_heads) {
    const int64_t length = padded(shape.length), t = sizeof(T), tile = HWY_MIN(kKeys, length),
                  masks_size = kMaskHeads * kQueries * mask_capacity(length);
    head_size = length * shape.width;
    mask_stride = mask_offset(length);
    mask_plane = mask_stride * kQueries;
    const int64_t bytes = 2 * kv_heads * head_size * t + (tile + kQueries) * shape.width * t +
                          kQueries * tile * (t + 4) + kQueries * (shape.width + 2) * 4 + masks_size;
    Scratch scratch(static_cast<size_t>(bytes + 16 * 64));
    take_all(scratch, kv_heads * head_size, key_operand);
    take_all(scratch, kv_heads * head_size, value_operand);
    take_all(scratch, tile * shape.width, rows);
    take_all(scratch, kQueries * shape.width, queries);
    take_all(scratch, kQueries * tile, weights);
    take_all(scratch, kQueries * tile, scores);
    take_all(scratch, kQueries * shape.width, sums);
    take_all(scratch, kQueries, maximum);
    take_all(scratch, kQueries, total);
    take_all(scratch, masks_size, masks);
  }
};

template <class In, class T>
void pack_keys_and_values(const AttentionJob& job, const Shape& shape, int64_t kv_head,
                          T* key_operand, T* value_operand, T* rows) {
  for (int64_t first = 0; first < shape.length; first += kKeys) {
    const int64_t n = HWY_MIN(kKeys, shape.length - first), count = padded(n),
                  offset = first * shape.width;
    copy_rows(head_rows<In>(job.k, shape.begin + first, kv_head), job.k.row, n, job.dim, rows,
              count, shape.width);
    transpose_pairs(rows, count, shape.width, key_operand + offset);
    const In* values = head_rows<In>(job.v, shape.begin + first, kv_head);
    if constexpr (kIsBf16<T>) {
      copy_rows(values, job.v.row, n, job.dim, rows, count, shape.width);
      pair_rows(rows, count, shape.width, value_operand + offset);
    } else {
      copy_rows(values, job.v.row, n, job.dim, value_operand + offset, count, shape.width);
    }
  }
}

HWY_INLINE void store_weight(VF x, float* p) { store(x, p); }
HWY_INLINE void store_weight(VF x, Bf16* p) { store_upper(rounded_bf16(x), p); }

HWY_INLINE float row_maximum(const float* scores, int64_t n) {
  const F d;
  const VF lowest = hn::Set(d, -3.0e38f);
  VF result = lowest;
  int64_t c = 0;
  for (; c + lanes() <= n; c += lanes()) result = hn::Max(result, load(scores + c));
  if (c < n)
    result = hn::Max(result, hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n - c)),
                                            load(scores + c), lowest));
  return maximum(result);
}

// weights = 2^(scores * scale - maximum) on the first n of `columns`, zero beyond; dropped ones are
// zero too but count in the sum.
template <bool kDrops, class T>
HWY_INLINE float exponentiate(const float* scores, T* weights, int64_t n, int64_t columns, VF scale,
                              float maximum, const uint8_t* mask) {
  const F d;
  const VF shift = hn::Set(d, maximum);
  VF total = hn::Zero(d);
  int64_t c = 0;
  for (; c < n; c += lanes()) {
    VF weight = exp2_below_one<kIsBf16<T>>(hn::MulSub(load(scores + c), scale, shift));
    if (HWY_UNLIKELY(c + lanes() > n)) weight = first_n(weight, n - c);
    total = hn::Add(total, weight);
    if constexpr (kDrops) weight = keep_where(weight, mask + mask_offset(c));
    store_weight(weight, weights + c);
  }
  for (; c < columns; c += lanes()) store_weight(hn::Zero(d), weights + c);
  return sum(total);
}

HWY_INLINE void scale_row(float* row, int64_t width, float factor) {
  const VF by = hn::Set(F(), factor);
  for (int64_t c = 0; c < width; c += lanes()) store(hn::Mul(load(row + c), by), row + c);
}
float exp2_of(float x) { return hn::GetLane(exp2(hn::Set(F(), x))); }

template <class T>
struct ForwardBlock {
  const AttentionJob& job;
  const Shape& shape;
  const ForwardScratch<T>& scratch;
  int64_t first, count;  // queries
  int64_t keys;          // visible

  // One tile's softmax; earlier sums are scaled down where a row's maximum rises.
  template <bool kDrops>
  void weigh(int64_t tile, int64_t valid, int64_t columns, const uint8_t* mask) const {
    const float factor = job.scale * kLog2e;
    const VF scale = hn::Set(F(), factor);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = job.is_causal ? HWY_MIN(valid, first + i + 1 - tile) : valid;
      const float* scores = scratch.scores + i * columns;
      T* weights = scratch.weights + i * columns;
      if (n <= 0) {
        for (int64_t c = 0; c < columns; c += lanes()) store_weight(hn::Zero(F()), weights + c);
        continue;
      }
      const float here = row_maximum(scores, n) * factor, before = scratch.maximum[i],
                  now = tile == 0 || here > before ? here : before;
      const float total = exponentiate<kDrops>(scores, weights, n, columns, scale, now,
                                               kDrops ? mask + i * scratch.mask_stride : nullptr);
      if (tile == 0) {
        scratch.total[i] = total;
      } else {
        const float shrink = exp2_of(before - now);
        scratch.total[i] = scratch.total[i] * shrink + total;
        if (now != before) scale_row(scratch.sums + i * shape.width, shape.width, shrink);
      }
      scratch.maximum[i] = now;
    }
  }

  // `mask`: of the head, or null.
  void attend(const T* key_operand, const T* value_operand, const uint8_t* mask) const {
    const int64_t rows = padded_rows(count), width = shape.width;
    for (int64_t tile = 0; tile < keys; tile += kKeys) {
      const int64_t valid = HWY_MIN(kKeys, keys - tile), columns = padded(valid);
      multiply(rows, columns, width, scratch.queries, width, key_operand + tile * width,
               shape.tile_rows(tile), scratch.scores, columns, false);
      mask == nullptr ? weigh<false>(tile, valid, columns, nullptr)
                      : weigh<true>(tile, valid, columns, mask + mask_offset(tile));
      multiply(rows, width, columns, scratch.weights, columns, value_operand + tile * width, width,
               scratch.sums, width, tile > 0);
    }
  }

  template <class In>
  void write(int64_t head) const {
    In* out = static_cast<In*>(job.out) + ((shape.begin + first) * job.heads + head) * job.dim;
    for (int64_t i = 0; i < count; ++i) {
      const VF factor = hn::Set(F(), job.dropout.scale / scratch.total[i]);
      const float* sums = scratch.sums + i * shape.width;
      for (int64_t c = 0; c < job.dim; c += lanes()) {
        store_n(hn::Mul(load(sums + c), factor), out + i * job.heads * job.dim + c,
                HWY_MIN(lanes(), job.dim - c));
      }
    }
    if (job.log_sum_exp == nullptr) return;
    float* log_sum_exp = job.log_sum_exp + head * job.tokens + shape.begin + first;
    for (int64_t i = 0; i < count; i += lanes()) {
      const VF value = hn::Add(load(scratch.maximum + i), hn::Log2(F(), load(scratch.total + i)));
      store_n(value, log_sum_exp + i, HWY_MIN(lanes(), count - i));
    }
  }
};

template <class In, class T>
void forward(const AttentionJob& job, const AttentionUnit& unit) {
  const Shape shape(job, unit);
  const int64_t repeats = shape.repeats, head_begin = unit.kv_begin * repeats,
                head_end = unit.kv_end * repeats;
  const ForwardScratch<T> scratch(shape, unit.kv_end - unit.kv_begin);
  for (int64_t i = 0; i < kQueries; ++i) scratch.maximum[i] = 0, scratch.total[i] = 1;
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h) {
    const int64_t offset = (h - unit.kv_begin) * scratch.head_size;
    pack_keys_and_values<In>(job, shape, h, scratch.key_operand + offset,
                             scratch.value_operand + offset, scratch.rows);
  }
  const bool drops = job.dropout.threshold > 0;
  for (int64_t first = 0; first < shape.length; first += kQueries) {
    const int64_t count = HWY_MIN(kQueries, shape.length - first);
    const ForwardBlock<T> block{job,   shape, scratch,
                                first, count, visible_keys(job, shape, first + count)};
    for (int64_t head = head_begin; head < head_end; ++head) {
      if (drops && (head == head_begin || head % kMaskHeads == 0)) {
        for (int64_t i = 0; i < count; ++i) {
          masks_of_row(job.dropout, job.keys[shape.begin + first + i], mask_counter(head),
                       block.keys, scratch.masks + i * scratch.mask_stride, scratch.mask_plane);
        }
      }
      copy_rows(head_rows<In>(job.q, shape.begin + first, head), job.q.row, count, job.dim,
                scratch.queries, padded_rows(count), shape.width);
      const int64_t offset = (head / repeats - unit.kv_begin) * scratch.head_size;
      block.attend(scratch.key_operand + offset, scratch.value_operand + offset,
                   drops ? scratch.masks + head % kMaskHeads * scratch.mask_plane : nullptr);
      block.template write<In>(head);
    }
  }
}

// ---- backward ----

template <class T>
struct BackwardScratch {
  T *keys, *values, *keys_transposed;  // per key/value head: [length padded, width] in all
  float *dk, *dv;                      // the same
  T *rows, *work;                      // of a block or tile
  T *query_pairs, *query_transposed, *grad_pairs, *grad_transposed;  // of a block
  float *scores, *products;             // [kKeys, kQueries]: scores, and gradients of the weights
  T *weights, *dscores, *dscore_pairs;  // bf16 only: the same, rounded
  float *dq, *dq_rows;                  // [width, kQueries] and transposed
  float *log_sum_exp, *shift;           // [kQueries]; shift: D = sum(dO O), without dropout's scale
  int64_t* keys_of_rows;                // [kQueries]
  uint8_t* masks;                       // kMaskHeads planes of [length padded, kQueries] bits
  int64_t mask_plane, head_size;

  BackwardScratch(const Shape& shape, int64_t kv_heads) {
    const int64_t length = padded(shape.length), t = sizeof(T), tile = HWY_MIN(kKeys, length),
                  largest = HWY_MAX(tile, kQueries) * shape.width;
    const int64_t masks_size = kMaskHeads * length * mask_capacity(kQueries);
    mask_plane = length * mask_offset(kQueries);
    head_size = length * shape.width;
    const int64_t bytes = kv_heads * head_size * (3 * t + 8) + 2 * largest * t +
                          4 * kQueries * shape.width * t + tile * kQueries * (8 + 3 * t) +
                          2 * kQueries * shape.width * 4 + kQueries * 16 + masks_size;
    Scratch scratch(static_cast<size_t>(bytes + 32 * 64));
    for (T** piece : {&keys, &values, &keys_transposed})
      take_all(scratch, kv_heads * head_size, *piece);
    for (float** piece : {&dk, &dv}) take_all(scratch, kv_heads * head_size, *piece);
    for (T** piece : {&rows, &work}) take_all(scratch, largest, *piece);
    for (T** piece : {&query_pairs, &query_transposed, &grad_pairs, &grad_transposed})
      take_all(scratch, kQueries * shape.width, *piece);
    for (float** piece : {&scores, &products}) take_all(scratch, tile * kQueries, *piece);
    for (T** piece : {&weights, &dscores, &dscore_pairs})
      take_all(scratch, tile * kQueries, *piece);
    for (float** piece : {&dq, &dq_rows}) take_all(scratch, kQueries * shape.width, *piece);
    for (float** piece : {&log_sum_exp, &shift}) take_all(scratch, kQueries, *piece);
    take_all(scratch, kQueries, keys_of_rows);
    take_all(scratch, masks_size, masks);
    if constexpr (!kIsBf16<T>) {  // in place
      weights = scores;
      dscores = products;
      dscore_pairs = products;
    }
  }
};

template <class In, class T>
struct BackwardBlock {
  const AttentionJob& job;
  const Shape& shape;
  const BackwardScratch<T>& scratch;
  int64_t first, count, columns;  // queries, and padded
  int64_t keys;                   // visible

  // Queries and gradients of a head as operands, and the two numbers per row.
  void pack(int64_t head) const {
    const int64_t width = shape.width, row = job.heads * job.dim, start = shape.begin + first;
    T* query_rows = kIsBf16<T> ? scratch.rows : scratch.query_pairs;
    copy_rows(head_rows<In>(job.q, start, head), job.q.row, count, job.dim, query_rows, columns,
              width);
    pair_rows(query_rows, columns, width, scratch.query_pairs);
    transpose_pairs(query_rows, columns, width, scratch.query_transposed);
    const In* grad = static_cast<const In*>(job.grad) + start * row + head * job.dim;
    T* grad_rows = kIsBf16<T> ? scratch.rows : scratch.grad_pairs;
    copy_rows(grad, row, count, job.dim, grad_rows, columns, width);
    pair_rows(grad_rows, columns, width, scratch.grad_pairs);
    transpose_pairs(grad_rows, columns, width, scratch.grad_transposed);
    const In* out = static_cast<const In*>(job.out) + start * row + head * job.dim;
    const float* log_sum_exp = job.log_sum_exp + head * job.tokens + start;
    for (int64_t i = 0; i < columns; ++i) {
      const bool exists = i < count;
      scratch.log_sum_exp[i] = exists ? log_sum_exp[i] : 0;
      scratch.shift[i] = exists ? dot(grad + i * row, out + i * row) / job.dropout.scale : 0;
    }
  }

  float dot(const In* a, const In* b) const {
    VF total = hn::Zero(F());
    for (int64_t c = 0; c < job.dim; c += lanes()) {
      const int64_t n = HWY_MIN(lanes(), job.dim - c);
      total = hn::MulAdd(load_n(a + c, n), load_n(b + c, n), total);
    }
    return sum(total);
  }

  struct Pair {
    VF weight, dscore;  // the weight as used (dropped: 0); the gradient without scales
  };

  // Key j of a tile starting at `tile`, queries c and on: P = 2^(S - lse), dS = P (keep dP - D).
  template <bool kDrops, bool kIsCausal>
  HWY_INLINE Pair differentiate(int64_t tile, int64_t j, int64_t c, VF scale,
                                const uint8_t* mask) const {
    const int64_t at = j * columns + c;
    VF weight = exp2_below_one<kIsBf16<T>>(
        hn::MulSub(load(scratch.scores + at), scale, load(scratch.log_sum_exp + c)));
    if constexpr (kIsCausal) {
      const int64_t queries_before = tile + j - first - c;  // lanes that come before the key
      if (queries_before > 0)
        weight = hn::IfThenZeroElse(
            hn::FirstN(F(), static_cast<size_t>(HWY_MIN(queries_before, lanes()))), weight);
    }
    VF product = load(scratch.products + at), kept = weight;
    if constexpr (kDrops) {
      const auto keep = hn::LoadMaskBits(F(), mask + mask_offset((tile + j) * columns + c));
      product = hn::IfThenElseZero(keep, product);
      kept = hn::IfThenElseZero(keep, weight);
    }
    return {kept, hn::Mul(weight, hn::Sub(product, load(scratch.shift + c)))};
  }

  template <bool kDrops, bool kIsCausal>
  void differentiate_tile(int64_t tile, int64_t valid, int64_t rows, const uint8_t* mask) const {
    const VF scale = hn::Set(F(), job.scale * kLog2e);
    const Pair none{hn::Zero(F()), hn::Zero(F())};
    int64_t j = 0;
    for (; j + 2 <= valid; j += 2) {
      for (int64_t c = 0; c < columns; c += lanes()) {
        store_pair(differentiate<kDrops, kIsCausal>(tile, j, c, scale, mask),
                   differentiate<kDrops, kIsCausal>(tile, j + 1, c, scale, mask), j, c);
      }
    }
    for (; j < rows; j += 2) {
      for (int64_t c = 0; c < columns; c += lanes()) {
        store_pair(j < valid ? differentiate<kDrops, kIsCausal>(tile, j, c, scale, mask) : none,
                   none, j, c);
      }
    }
  }

  void differentiate_tile(int64_t tile, int64_t valid, int64_t rows, const uint8_t* mask) const {
    if (mask != nullptr) {
      job.is_causal ? differentiate_tile<true, true>(tile, valid, rows, mask)
                    : differentiate_tile<true, false>(tile, valid, rows, mask);
    } else {
      job.is_causal ? differentiate_tile<false, true>(tile, valid, rows, mask)
                    : differentiate_tile<false, false>(tile, valid, rows, mask);
    }
  }

  HWY_INLINE void store_pair(const Pair& even, const Pair& odd, int64_t j, int64_t c) const {
    const int64_t at = j * columns + c;
    store_weight(even.weight, scratch.weights + at);
    store_weight(odd.weight, scratch.weights + at + columns);
    if constexpr (kIsBf16<T>) {
      const VU low = hn::ShiftRight<16>(rounded_bf16(even.dscore)), high = rounded_bf16(odd.dscore);
      hn::StoreU(hn::TruncateTo(U16(), low), U16(), &scratch.dscores[at].bits);
      hn::StoreU(hn::TruncateTo(U16(), hn::ShiftRight<16>(high)), U16(),
                 &scratch.dscores[at + columns].bits);
      const VU both = hn::Or(low, hn::And(high, hn::Set(U(), 0xffff0000u)));
      hn::StoreU(both, U(),
                 reinterpret_cast<uint32_t*>(scratch.dscore_pairs) + j / 2 * columns + c);
    } else {
      store(even.dscore, scratch.dscores + at);
      store(odd.dscore, scratch.dscores + at + columns);
    }
  }

  // `offset` of the key/value head in the unit's arrays; `mask` of the head, or null. `adds`: dk
  // and dv already hold something.
  void attend(int64_t offset, const uint8_t* mask, bool adds) const {
    const int64_t width = shape.width;
    for (int64_t tile = 0; tile < keys; tile += kKeys) {
      const int64_t valid = HWY_MIN(kKeys, keys - tile), rows = padded(valid),
                    at = offset + tile * width;
      multiply(padded_rows(valid), columns, width, scratch.keys + at, width,
               scratch.query_transposed, columns, scratch.scores, columns, false);
      multiply(padded_rows(valid), columns, width, scratch.values + at, width,
               scratch.grad_transposed, columns, scratch.products, columns, false);
      differentiate_tile(tile, valid, rows, mask);
      multiply(padded_rows(valid), width, columns, scratch.weights, columns, scratch.grad_pairs,
               width, scratch.dv + at, width, adds);
      multiply(padded_rows(valid), width, columns, scratch.dscores, columns, scratch.query_pairs,
               width, scratch.dk + at, width, adds);
      multiply(width, columns, rows, scratch.keys_transposed + at, shape.tile_rows(tile),
               scratch.dscore_pairs, columns, scratch.dq, columns, tile > 0);
    }
  }

  void write_dq(int64_t head) const {
    transpose(scratch.dq, shape.width, columns, scratch.dq_rows);
    write_rows(scratch.dq_rows, count, job.scale * job.dropout.scale,
               static_cast<In*>(job.dq) + (shape.begin + first) * job.dq_row + head * job.dim,
               job.dq_row);
  }

  void write_rows(const float* from, int64_t n, float factor, In* to, int64_t stride) const {
    const VF by = hn::Set(F(), factor);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < job.dim; c += lanes()) {
        store_n(hn::Mul(load(from + i * shape.width + c), by), to + i * stride + c,
                HWY_MIN(lanes(), job.dim - c));
      }
    }
  }

  // Decisions of all heads of a mask group for this block, [keys, columns].
  void fill_masks(int64_t head) const {
    for (int64_t i = 0; i < columns; ++i)
      scratch.keys_of_rows[i] = job.keys[shape.begin + first + HWY_MIN(i, count - 1)];
    for (int64_t j = 0; j < keys; ++j) {
      masks_of_column(job.dropout, scratch.keys_of_rows,
                      mask_counter(head) + static_cast<uint32_t>(j), columns,
                      scratch.masks + mask_offset(j * columns), scratch.mask_plane);
    }
  }
};

template <class In, class T>
void pack_for_backward(const AttentionJob& job, const Shape& shape,
                       const BackwardScratch<T>& scratch, int64_t kv_head, int64_t offset) {
  for (int64_t first = 0; first < shape.length; first += kKeys) {
    const int64_t n = HWY_MIN(kKeys, shape.length - first), rows = padded(n),
                  at = offset + first * shape.width;
    copy_rows(head_rows<In>(job.k, shape.begin + first, kv_head), job.k.row, n, job.dim,
              scratch.keys + at, rows, shape.width);
    copy_rows(head_rows<In>(job.v, shape.begin + first, kv_head), job.v.row, n, job.dim,
              scratch.values + at, rows, shape.width);
    transpose_plain(scratch.keys + at, rows, shape.width, scratch.keys_transposed + at,
                    scratch.work);
  }
}

template <class In, class T>
void backward(const AttentionJob& job, const AttentionUnit& unit) {
  const Shape shape(job, unit);
  const int64_t repeats = shape.repeats, head_begin = unit.kv_begin * repeats,
                head_end = unit.kv_end * repeats;
  const BackwardScratch<T> scratch(shape, unit.kv_end - unit.kv_begin);
  const auto offset_of = [&](int64_t kv_head) {
    return (kv_head - unit.kv_begin) * scratch.head_size;
  };
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h)
    pack_for_backward<In, T>(job, shape, scratch, h, offset_of(h));
  if (job.is_causal) {  // a block then reaches only some of the rows, so the first one adds as well
    for (int64_t i = 0; i < offset_of(unit.kv_end); i += lanes())
      store(hn::Zero(F()), scratch.dk + i), store(hn::Zero(F()), scratch.dv + i);
  }
  const bool drops = job.dropout.threshold > 0;
  BackwardBlock<In, T> block{job, shape, scratch, 0, 0, 0, 0};
  for (int64_t first = 0; first < shape.length; first += kQueries) {
    block.first = first;
    block.count = HWY_MIN(kQueries, shape.length - first);
    block.columns = padded(block.count);
    block.keys = visible_keys(job, shape, first + block.count);
    for (int64_t head = head_begin; head < head_end; ++head) {
      if (drops && (head == head_begin || head % kMaskHeads == 0)) block.fill_masks(head);
      block.pack(head);
      const uint8_t* mask =
          drops ? scratch.masks + head % kMaskHeads * scratch.mask_plane : nullptr;
      block.attend(offset_of(head / repeats), mask,
                   job.is_causal || first > 0 || head % repeats > 0);
      block.write_dq(head);
    }
  }
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h) {
    const int64_t stride = job.dkv_row, at = shape.begin * stride + h * job.dim;
    block.write_rows(scratch.dk + offset_of(h), shape.length, job.scale * job.dropout.scale,
                     static_cast<In*>(job.dk) + at, stride);
    block.write_rows(scratch.dv + offset_of(h), shape.length, job.dropout.scale,
                     static_cast<In*>(job.dv) + at, stride);
  }
}

void forward_any(const AttentionJob& job, const AttentionUnit& unit) {
  if (job.multiplies_bf16) return forward<Bf16, Bf16>(job, unit);
  job.is_bf16 ? forward<Bf16, float>(job, unit) : forward<float, float>(job, unit);
}
void backward_any(const AttentionJob& job, const AttentionUnit& unit) {
  if (job.multiplies_bf16) return backward<Bf16, Bf16>(job, unit);
  job.is_bf16 ? backward<Bf16, float>(job, unit) : backward<float, float>(job, unit);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(forward_any);
HWY_EXPORT(backward_any);

void attention_forward(const AttentionJob& job, const AttentionUnit& unit) {
  HWY_DYNAMIC_DISPATCH(forward_any)(job, unit);
}
void attention_backward(const AttentionJob& job, const AttentionUnit& unit) {
  HWY_DYNAMIC_DISPATCH(backward_any)(job, unit);
}

}  // namespace hone::kernels
#endif
