// Attention's gradients in tiles, scores computed anew (Dao et al. 2022, "FlashAttention"); see
// attention_forward_simd.cpp.
//
// Backward works on [keys, queries]: then K and V are left operands as they are, P and dS come out
// in the layouts that their products want, and log-sum-exp and D are plain vectors.
#include "models/kernels/attention_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/attention_backward_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

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
  T *query_rows, *query_plain;   // where there are positions: of a block, and transposed as it is
  float *places, *dq_positions;  // likewise: of a tile; their part of dq [kQueries, width]
  T *dplaces, *dplace_pairs;     // their gradients
  uint8_t* masks;                // kMaskHeads planes of [length padded, kQueries] bits
  int64_t mask_plane, head_size;

  BackwardScratch(const AttentionJob& job, const Shape& shape, int64_t kv_heads) {
    const int64_t length = padded(shape.k_length), t = sizeof(T), tile = HWY_MIN(kKeys, length),
                  largest = HWY_MAX(tile, kQueries) * shape.width;
    const int64_t masks_size = kMaskHeads * length * mask_capacity(kQueries);
    const int64_t places_size = has_positions(job) ? places_of_tile(tile) : 0,
                  block = has_positions(job) ? kQueries * shape.width : 0;
    mask_plane = length * mask_offset(kQueries);
    head_size = length * shape.width;
    const int64_t bytes = kv_heads * head_size * (3 * t + 8) + 2 * largest * t +
                          4 * kQueries * shape.width * t + tile * kQueries * (8 + 3 * t) +
                          2 * kQueries * shape.width * 4 + kQueries * 16 + masks_size +
                          block * (2 * t + 4) + places_size * (4 + 2 * t);
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
    for (T** piece : {&query_rows, &query_plain}) take_all(scratch, block, *piece);
    take_all(scratch, block, dq_positions);
    take_all(scratch, places_size, places);
    for (T** piece : {&dplaces, &dplace_pairs}) take_all(scratch, places_size, *piece);
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
  int64_t sequence, slot;
  int64_t first, count, columns;  // queries, and padded
  Range keys;                     // visible, from a multiple of 16

  // Queries and gradients of a head as operands, and the two numbers per row.
  void pack(int64_t head) const {
    const int64_t width = shape.width, row = job.heads * job.dim, start = shape.q_begin + first;
    T* query_rows = kIsBf16<T> ? scratch.rows : scratch.query_pairs;
    copy_rotated(job, head_rows<In>(job.q, start, head), job.q.row, shape.shift + first, count,
                 query_rows, columns, width);
    pair_rows(query_rows, columns, width, scratch.query_pairs);
    transpose_pairs(query_rows, columns, width, scratch.query_transposed);
    if (job.position_keys.exists()) {
      copy_rows(query_rows, width, columns, width, scratch.query_rows, columns, width);
      transpose_plain(query_rows, columns, width, scratch.query_plain, scratch.work);
    }
    const In* grad = static_cast<const In*>(job.grad) + start * row + head * job.dim;
    T* grad_rows = kIsBf16<T> ? scratch.rows : scratch.grad_pairs;
    copy_rows(grad, row, count, job.dim, grad_rows, columns, width);
    pair_rows(grad_rows, columns, width, scratch.grad_pairs);
    transpose_pairs(grad_rows, columns, width, scratch.grad_transposed);
    const In* out = static_cast<const In*>(job.out) + start * row + head * job.dim;
    const float* log_sum_exp = job.log_sum_exp + head * job.queries + start;
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

  // Key j of a tile, queries c and on: P = 2^(S - lse), dS = P (keep dP - D), times 1 - (S / cap)²
  // where scores are capped.
  template <bool kDrops, bool kHides>
  HWY_INLINE Pair differentiate(int64_t j, int64_t c, Range seeing, VF scale,
                                const uint8_t* mask) const {
    const int64_t at = j * columns + c;
    const VF score = load(scratch.scores + at);
    VF weight = exp2_below_one<kIsBf16<T>>(hn::MulSub(score, scale, load(scratch.log_sum_exp + c)));
    if constexpr (kHides) weight = only(weight, {seeing.begin - c, seeing.end - c});
    VF product = load(scratch.products + at), kept = weight;
    if constexpr (kDrops) {
      const auto keep = hn::LoadMaskBits(F(), mask + mask_offset(at));
      product = hn::IfThenElseZero(keep, product);
      kept = hn::IfThenElseZero(keep, weight);
    }
    VF dscore = hn::Mul(weight, hn::Sub(product, load(scratch.shift + c)));
    if (job.soft_cap > 0) {
      const VF share = hn::Mul(score, hn::Set(F(), 1 / (job.soft_cap * kLog2e)));
      dscore = hn::Mul(dscore, hn::NegMulAdd(share, share, hn::Set(F(), 1.0f)));
    }
    return {kept, dscore};
  }

  template <bool kDrops, bool kHides>
  void differentiate_tile(int64_t tile, int64_t valid, int64_t rows, const uint8_t* mask) const {
    const VF scale = hn::Set(F(), softmax_scale(job));
    const Pair none{hn::Zero(F()), hn::Zero(F())};
    int64_t j = 0;
    for (; j + 2 <= valid; j += 2) {
      const Range even = seeing<kHides>(tile + j), odd = seeing<kHides>(tile + j + 1);
      for (int64_t c = 0; c < columns; c += lanes()) {
        store_pair<kHides>(differentiate<kDrops, kHides>(j, c, even, scale, mask),
                           differentiate<kDrops, kHides>(j + 1, c, odd, scale, mask), j, c);
      }
    }
    for (; j < rows; j += 2) {
      const Range even = seeing<kHides>(tile + j);
      for (int64_t c = 0; c < columns; c += lanes()) {
        store_pair<kHides>(
            j < valid ? differentiate<kDrops, kHides>(j, c, even, scale, mask) : none, none, j, c);
      }
    }
  }

  template <bool kHides>
  HWY_INLINE Range seeing(int64_t key) const {
    return kHides ? visible_queries(job, shape, key, first, count) : Range{0, columns};
  }

  void differentiate_tile(int64_t tile, int64_t valid, int64_t rows, const uint8_t* mask) const {
    // Of padded columns, at least.
    const bool hides = hides_keys(job) || job.bias.exists() || has_positions(job);
    if (mask != nullptr) {
      hides ? differentiate_tile<true, true>(tile, valid, rows, mask)
            : differentiate_tile<true, false>(tile, valid, rows, mask);
    } else {
      hides ? differentiate_tile<false, true>(tile, valid, rows, mask)
            : differentiate_tile<false, false>(tile, valid, rows, mask);
    }
  }

  template <bool kMayHaveMore>
  HWY_INLINE void store_pair(const Pair& even, const Pair& odd, int64_t j, int64_t c) const {
    const int64_t at = j * columns + c;
    // Gradients of biases and of position keys read them unrounded.
    if (kMayHaveMore && kIsBf16<T> && (job.bias.exists() || job.position_keys.exists()))
      store(even.dscore, scratch.products + at), store(odd.dscore, scratch.products + at + columns);
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

  // Of key `key` of the sequence, against the block's queries.
  int64_t place(int64_t key) const { return job.bias.zero + shape.shift + first - key; }

  void add_biases(int64_t tile, int64_t valid, int64_t head) const {
    for (int64_t j = 0; j < valid; ++j)
      add_bias(job.bias.line + head * job.bias.size + place(tile + j), scratch.scores + j * columns,
               count, job.scale);
  }

  void add_bias_gradients(int64_t tile, int64_t valid, int64_t head) const {
    const DistanceBias& bias = job.bias;
    if (bias.dline == nullptr) return;
    for (int64_t j = 0; j < valid; ++j) {
      const float* gradient = scratch.products + j * columns;
      float* line = bias.dline + (sequence * job.heads + head) * bias.size + place(tile + j);
      for (int64_t c = 0; c < count; c += lanes())
        store(hn::Add(load(line + c), load(gradient + c)), line + c);
    }
  }

  // ---- positions; what forward does, the other way round ----

  Reach key_reach(int64_t begin, int64_t valid) const {
    return Reach(job.position_keys.zero + begin - (shape.shift + first), count, valid);
  }
  Reach query_reach(int64_t key, int64_t n) const {
    return Reach(job.position_queries.zero + shape.shift + first - key, n, count);
  }

  void add_position_keys(int64_t begin, int64_t valid, int64_t head) const {
    const PositionTable& table = job.position_keys;
    const Reach reach = key_reach(begin, valid);
    multiply(padded_rows(count), reach.columns, shape.width, scratch.query_rows, shape.width,
             place_columns<T>(table, head, shape.width, reach.start), table.size, scratch.places,
             reach.columns, false);
    add_places_transposed(scratch.places, reach, count, valid, scratch.scores, columns);
  }
  // `keys`: rows of the tile.
  void add_position_queries(int64_t begin, int64_t valid, int64_t head, const T* keys) const {
    const PositionTable& table = job.position_queries;
    for (int64_t at = 0; at < valid; at += kKeysOfPositions) {
      const int64_t n = HWY_MIN(kKeysOfPositions, valid - at);
      const Reach reach = query_reach(begin + at, n);
      multiply(padded_rows(n), reach.columns, shape.width, keys + at * shape.width, shape.width,
               place_columns<T>(table, head, shape.width, reach.start), table.size, scratch.places,
               reach.columns, false);
      add_places(scratch.places, reach, n, count, scratch.scores + at * columns, columns);
    }
  }

  // Zeros for `rows` rows of places.
  void clear_places(const Reach& reach, int64_t rows) const {
    for (int64_t i = 0; i < rows * reach.columns + 2 * kLanes; i += lanes())
      store_weight(hn::Zero(F()), scratch.dplaces + i);
  }
  float* position_gradient(const PositionTable& table, int64_t head, const Reach& reach) const {
    return table.gradient + (slot * job.heads + head) * shape.width * table.size + reach.start;
  }

  // dq and, where it is wanted, the gradient of the table.
  void add_position_key_gradients(int64_t begin, int64_t valid, int64_t head) const {
    const PositionTable& table = job.position_keys;
    const int64_t width = shape.width;
    const Reach reach = key_reach(begin, valid);
    clear_places(reach, columns);
    set_places_transposed(scratch.products, columns, reach, valid, scratch.dplaces);
    multiply(padded_rows(count), width, reach.columns, scratch.dplaces, reach.columns,
             place_rows<T>(table, head, width, reach.start), width, scratch.dq_positions, width,
             begin > keys.begin);
    if (table.gradient == nullptr) return;
    const T* pairs = pair_rows(scratch.dplaces, columns, reach.columns, scratch.dplace_pairs);
    multiply(width, reach.columns, columns, scratch.query_plain, columns, pairs, reach.columns,
             position_gradient(table, head, reach), table.size, true);
  }
  // Places [queries, keys] out of the gradients of scores, [keys, queries].
  void set_places_transposed(const float* dscores, int64_t stride, const Reach& reach, int64_t n,
                             T* places) const {
    for (int64_t i = 0; i < count; i += 4) {
      for (int64_t j = 0; j < n; j += 4) {
        T* to = places + reach.row(i) + j;
        four_columns(dscores + j * stride + i, stride,
                     [&](int64_t query, hn::Vec<hn::CappedTag<float, 4>> x)
                         HWY_ATTR { store_four(x, to + query * (reach.columns - 1)); });
      }
    }
  }

  // dk and, where it is wanted, the gradient of the table. `tile` is where the tile of `begin`
  // starts, `dk` and `transposed` (keys, rows `stride` apart) where `begin` stands.
  void add_position_query_gradients(int64_t begin, int64_t valid, int64_t head, float* dk,
                                    const T* transposed, int64_t stride) const {
    const PositionTable& table = job.position_queries;
    const int64_t width = shape.width;
    for (int64_t at = 0; at < valid; at += kKeysOfPositions) {
      const int64_t n = HWY_MIN(kKeysOfPositions, valid - at), rows = padded(n);
      const Reach reach = query_reach(begin + at, n);
      clear_places(reach, rows);
      for (int64_t j = 0; j < n; ++j)
        copy_values(scratch.dscores + (at + j) * columns, columns, scratch.dplaces + reach.row(j));
      multiply(padded_rows(n), width, reach.columns, scratch.dplaces, reach.columns,
               place_rows<T>(table, head, width, reach.start), width, dk + at * width, width, true);
      if (table.gradient == nullptr) continue;
      const T* pairs = pair_rows(scratch.dplaces, rows, reach.columns, scratch.dplace_pairs);
      multiply(width, reach.columns, rows, transposed + at, stride, pairs, reach.columns,
               position_gradient(table, head, reach), table.size, true);
    }
  }

  // `offset` of the key/value head in the unit's arrays; `mask` of the head, or null. `adds`: dk
  // and dv already hold something.
  void attend(int64_t head, int64_t offset, const uint8_t* mask, bool adds) const {
    const int64_t width = shape.width;
    for (int64_t tile = keys.begin / kKeys * kKeys; tile < keys.end; tile += kKeys) {
      const int64_t begin = HWY_MAX(tile, keys.begin),
                    valid = HWY_MIN(tile + kKeys, keys.end) - begin, rows = padded(valid),
                    at = offset + begin * width;
      multiply(padded_rows(valid), columns, width, scratch.keys + at, width,
               scratch.query_transposed, columns, scratch.scores, columns, false);
      multiply(padded_rows(valid), columns, width, scratch.values + at, width,
               scratch.grad_transposed, columns, scratch.products, columns, false);
      if (job.position_keys.exists()) add_position_keys(begin, valid, head);
      if (job.position_queries.exists())
        add_position_queries(begin, valid, head, scratch.keys + at);
      if (job.bias.exists()) add_biases(begin, valid, head);
      if (job.soft_cap > 0) cap_scores(job, scratch.scores, valid * columns);
      differentiate_tile(begin, valid, rows, at_or_null(mask, mask_offset(begin * columns)));
      if (job.bias.exists()) add_bias_gradients(begin, valid, head);
      multiply(padded_rows(valid), width, columns, scratch.weights, columns, scratch.grad_pairs,
               width, scratch.dv + at, width, adds);
      multiply(padded_rows(valid), width, columns, scratch.dscores, columns, scratch.query_pairs,
               width, scratch.dk + at, width, adds);
      const T* transposed = scratch.keys_transposed + offset + tile * width + (begin - tile);
      multiply(width, columns, rows, transposed, shape.tile_rows(tile), scratch.dscore_pairs,
               columns, scratch.dq, columns, begin > keys.begin);
      if (job.position_keys.exists()) add_position_key_gradients(begin, valid, head);
      if (job.position_queries.exists())
        add_position_query_gradients(begin, valid, head, scratch.dk + at, transposed,
                                     shape.tile_rows(tile));
    }
  }

  void write_dq(int64_t head) const {
    transpose(scratch.dq, shape.width, columns, scratch.dq_rows);
    for (int64_t c = 0; job.position_keys.exists() && c < count * shape.width; c += lanes())
      store(hn::Add(load(scratch.dq_rows + c), load(scratch.dq_positions + c)),
            scratch.dq_rows + c);
    if (job.rotary.pairs > 0)
      rotate_rows<true>(job.rotary, shape.shift + first, count, scratch.dq_rows, shape.width);
    write_rows(scratch.dq_rows, count, job.scale * job.dropout.scale,
               static_cast<In*>(job.dq) + (shape.q_begin + first) * job.dq_row + head * job.dim,
               job.dq_row);
  }

  void write_dkv(int64_t kv_head, int64_t offset) const {
    const int64_t stride = job.dkv_row, at = shape.k_begin * stride + kv_head * job.dim;
    if (job.rotary.pairs > 0)
      rotate_rows<true>(job.rotary, 0, shape.k_length, scratch.dk + offset, shape.width);
    write_rows(scratch.dk + offset, shape.k_length, job.scale * job.dropout.scale,
               static_cast<In*>(job.dk) + at, stride);
    write_rows(scratch.dv + offset, shape.k_length, job.dropout.scale,
               static_cast<In*>(job.dv) + at, stride);
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
      scratch.keys_of_rows[i] = job.keys[shape.q_begin + first + HWY_MIN(i, count - 1)];
    for (int64_t j = keys.begin; j < keys.end; ++j) {
      masks_of_column(job.dropout, scratch.keys_of_rows,
                      mask_counter(head) + static_cast<uint32_t>(j), columns,
                      scratch.masks + mask_offset(j * columns), scratch.mask_plane);
    }
  }
};

template <class In, class T>
void pack_for_backward(const AttentionJob& job, const Shape& shape,
                       const BackwardScratch<T>& scratch, int64_t kv_head, int64_t offset) {
  for (int64_t first = 0; first < shape.k_length; first += kKeys) {
    const int64_t n = HWY_MIN(kKeys, shape.k_length - first), rows = padded(n),
                  at = offset + first * shape.width;
    copy_rotated(job, head_rows<In>(job.k, shape.k_begin + first, kv_head), job.k.row, first, n,
                 scratch.keys + at, rows, shape.width);
    copy_rows(head_rows<In>(job.v, shape.k_begin + first, kv_head), job.v.row, n, job.dim,
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
  const BackwardScratch<T> scratch(job, shape, unit.kv_end - unit.kv_begin);
  const auto offset_of = [&](int64_t kv_head) {
    return (kv_head - unit.kv_begin) * scratch.head_size;
  };
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h)
    pack_for_backward<In, T>(job, shape, scratch, h, offset_of(h));
  // A block may then reach only some of the rows, or there is none: the first one adds as well.
  const bool is_partial = hides_keys(job) || shape.q_length == 0;
  if (is_partial) {
    for (int64_t i = 0; i < offset_of(unit.kv_end); i += lanes())
      store(hn::Zero(F()), scratch.dk + i), store(hn::Zero(F()), scratch.dv + i);
  }
  const bool drops = job.dropout.threshold > 0;
  BackwardBlock<In, T> block{job, shape, scratch, unit.sequence, unit.slot, 0, 0, 0, {0, 0}};
  for (int64_t first = 0; first < shape.q_length; first += kQueries) {
    block.first = first;
    block.count = HWY_MIN(kQueries, shape.q_length - first);
    block.columns = padded(block.count);
    block.keys = visible_tiles(job, shape, first, first + block.count);
    for (int64_t head = head_begin; head < head_end; ++head) {
      if (drops && (head == head_begin || head % kMaskHeads == 0)) block.fill_masks(head);
      block.pack(head);
      const uint8_t* mask =
          drops ? scratch.masks + head % kMaskHeads * scratch.mask_plane : nullptr;
      block.attend(head, offset_of(head / repeats), mask,
                   is_partial || first > 0 || head % repeats > 0);
      block.write_dq(head);
    }
  }
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h) block.write_dkv(h, offset_of(h));
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

HWY_EXPORT(backward_any);

void attention_backward(const AttentionJob& job, const AttentionUnit& unit) {
  HWY_DYNAMIC_DISPATCH(backward_any)(job, unit);
}

}  // namespace hone::kernels
#endif
