// Attention in tiles, with the softmax rescaled as tiles come (Milakov and Gimelshein 2018; Dao et
// al. 2022, "FlashAttention").
//
// A unit packs its keys and values once, then takes blocks of queries; a block takes tiles of keys,
// of those that its queries see. Rows and widths are padded with zeros to multiples of 16. Scores
// of a block and a tile are the largest thing kept.
//
// Forward works on [queries, keys]: rows of the softmax are contiguous.
#include <algorithm>

#include "models/kernels/attention_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/attention_forward_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

template <class T>
struct ForwardScratch {
  T *key_operand,
      *value_operand;  // per key/value head: [length padded, width] in all, tile after tile
  T *rows, *queries, *weights;  // copied rows of a tile; [kQueries, width]; [kQueries, kKeys]
  float *scores, *sums;         // [kQueries, kKeys], [kQueries, width]
  float *maximum, *total;       // [kQueries]
  T* key_rows;     // like key_operand, as they are: where there are positions of queries
  float* places;   // of a block, where there are positions
  uint8_t* masks;  // kMaskHeads planes of [kQueries, length padded] bits
  int64_t mask_stride, mask_plane, head_size;

  // Room for `keys` keys of each head at a time.
  ForwardScratch(const AttentionJob& job, const Shape& shape, int64_t kv_heads, int64_t keys) {
    const int64_t length = padded(keys), t = sizeof(T), tile = HWY_MIN(kKeys, length),
                  places_size = has_positions(job) ? places_of_tile(tile) : 0,
                  masks_size = kMaskHeads * kQueries * mask_capacity(length);
    head_size = length * shape.width;
    mask_stride = mask_offset(length);
    mask_plane = mask_stride * kQueries;
    const int64_t key_rows_size = job.position_queries.exists() ? kv_heads * head_size : 0;
    const int64_t bytes = 2 * kv_heads * head_size * t + (tile + kQueries) * shape.width * t +
                          kQueries * tile * (t + 4) + kQueries * (shape.width + 2) * 4 +
                          masks_size + key_rows_size * t + places_size * 4;
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
    take_all(scratch, key_rows_size, key_rows);
    take_all(scratch, places_size, places);
    if (key_rows_size == 0) key_rows = nullptr;
  }
};

// `key_rows`: of the head, or null.
template <class In, class T>
void pack_keys_and_values(const AttentionJob& job, const Shape& shape, int64_t kv_head,
                          T* key_operand, T* value_operand, T* key_rows, T* rows) {
  for (int64_t first = 0; first < shape.k_length; first += kKeys) {
    const int64_t n = HWY_MIN(kKeys, shape.k_length - first), count = padded(n),
                  offset = first * shape.width;
    T* keys = key_rows == nullptr ? rows : key_rows + offset;
    copy_rotated(job, head_rows<In>(job.k, shape.k_begin + first, kv_head), job.k.row, first, n,
                 keys, count, shape.width);
    transpose_pairs(keys, count, shape.width, key_operand + offset);
    const In* values = head_rows<In>(job.v, shape.k_begin + first, kv_head);
    if constexpr (kIsBf16<T>) {
      copy_rows(values, job.v.row, n, job.dim, rows, count, shape.width);
      pair_rows(rows, count, shape.width, value_operand + offset);
    } else {
      copy_rows(values, job.v.row, n, job.dim, value_operand + offset, count, shape.width);
    }
  }
}

constexpr float kLowest = -3.0e38f;

HWY_INLINE float row_maximum(const float* scores, int64_t n) {
  const F d;
  const VF lowest = hn::Set(d, kLowest);
  VF result = lowest;
  int64_t c = 0;
  for (; c + lanes() <= n; c += lanes()) result = hn::Max(result, load(scores + c));
  if (c < n)
    result = hn::Max(result, hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n - c)),
                                            load(scores + c), lowest));
  return maximum(result);
}

template <class T>
HWY_INLINE void clear(T* weights, int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; c += lanes()) store_weight(hn::Zero(F()), weights + c);
}

// weights = 2^(scores * scale - maximum) on those of `columns` that are seen, zero elsewhere;
// dropped ones are zero too but count in the sum. Without kHides all up to seen.end are.
template <bool kDrops, bool kHides, class T>
HWY_INLINE float exponentiate(const float* scores, T* weights, Range seen, int64_t columns,
                              VF scale, float maximum, const uint8_t* mask) {
  const F d;
  const VF shift = hn::Set(d, maximum);
  VF total = hn::Zero(d);
  int64_t c = kHides ? seen.begin / lanes() * lanes() : 0;
  if constexpr (kHides) clear(weights, 0, c);
  for (; c < seen.end; c += lanes()) {
    VF weight = exp2_below_one<kIsBf16<T>>(hn::MulSub(load(scores + c), scale, shift));
    if (HWY_UNLIKELY(c + lanes() > seen.end)) weight = first_n(weight, seen.end - c);
    if constexpr (kHides) weight = only(weight, {seen.begin - c, lanes()});
    total = hn::Add(total, weight);
    if constexpr (kDrops) weight = keep_where(weight, mask + mask_offset(c));
    store_weight(weight, weights + c);
  }
  clear(weights, c, columns);
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
  int64_t first, count;  // queries; or `count` rows, which are `queries` of each head
  Range keys;            // visible, from a multiple of 16
  int64_t queries = count;

  // Keys of one tile that the block looks at, as columns of the scores.
  struct Tile {
    int64_t begin, count;
    bool is_first;
  };

  // One tile's softmax; earlier sums are scaled down where a row's maximum rises.
  template <bool kDrops, bool kHides>
  void weigh(const Tile& tile, const uint8_t* mask) const {
    const float factor = softmax_scale(job);
    const VF scale = hn::Set(F(), factor);
    const int64_t columns = padded(tile.count);
    for (int64_t i = 0; i < count; ++i) {
      const Range seen = kHides ? columns_of(tile, i) : Range{0, tile.count};
      const float* scores = scratch.scores + i * columns;
      T* weights = scratch.weights + i * columns;
      if (kHides && seen.begin >= seen.end) {
        clear(weights, 0, columns);
        if (tile.is_first) scratch.maximum[i] = kLowest, scratch.total[i] = 0;
        continue;
      }
      const float here = row_maximum(scores + seen.begin, seen.end - seen.begin) * factor,
                  before = scratch.maximum[i], now = tile.is_first || here > before ? here : before;
      const float total =
          exponentiate<kDrops, kHides>(scores, weights, seen, columns, scale, now,
                                       kDrops ? mask + i * scratch.mask_stride : nullptr);
      if (tile.is_first) {
        scratch.total[i] = total;
      } else {
        const float shrink = exp2_of(before - now);
        scratch.total[i] = scratch.total[i] * shrink + total;
        if (now != before) scale_row(scratch.sums + i * shape.width, shape.width, shrink);
      }
      scratch.maximum[i] = now;
    }
  }

  void weigh(const Tile& tile, const uint8_t* mask) const {
    if (hides_keys(job)) {
      mask == nullptr ? weigh<false, true>(tile, nullptr) : weigh<true, true>(tile, mask);
    } else {
      mask == nullptr ? weigh<false, false>(tile, nullptr) : weigh<true, false>(tile, mask);
    }
  }

  // Columns of the tile that query i of the block sees; none where begin >= end.
  HWY_INLINE Range columns_of(const Tile& tile, int64_t i) const {
    const int64_t query = first + (i < queries ? i : i % queries);
    const Range seen = visible_keys(job, shape, query, query + 1);
    return {HWY_MAX(0, seen.begin - tile.begin), HWY_MIN(tile.count, seen.end - tile.begin)};
  }

  void add_biases(const Tile& tile, int64_t head) const {
    const int64_t place = head * job.bias.size + job.bias.zero + tile.begin - (shape.shift + first);
    for (int64_t i = 0; i < count; ++i)
      add_bias(job.bias.line + place - i, scratch.scores + i * padded(tile.count), tile.count,
               job.scale);
  }

  void cap(const Tile& tile) const { cap_scores(job, scratch.scores, count * padded(tile.count)); }

  // Queries times positions of keys.
  void add_position_keys(const Tile& tile, int64_t head) const {
    const PositionTable& table = job.position_keys;
    const Reach reach(table.zero + tile.begin - (shape.shift + first), count, tile.count);
    multiply(padded_rows(count), reach.columns, shape.width, scratch.queries, shape.width,
             place_columns<T>(table, head, shape.width, reach.start), table.size, scratch.places,
             reach.columns, false);
    add_places(scratch.places, reach, count, tile.count, scratch.scores, padded(tile.count));
  }
  // Keys times positions of queries.
  void add_position_queries(const Tile& tile, int64_t head, const T* key_rows) const {
    const PositionTable& table = job.position_queries;
    for (int64_t at = 0; at < tile.count; at += kKeysOfPositions) {
      const int64_t n = HWY_MIN(kKeysOfPositions, tile.count - at), key = tile.begin + at;
      const Reach reach(table.zero + shape.shift + first - key, n, count);
      multiply(padded_rows(n), reach.columns, shape.width, key_rows + key * shape.width,
               shape.width, place_columns<T>(table, head, shape.width, reach.start), table.size,
               scratch.places, reach.columns, false);
      add_places_transposed(scratch.places, reach, n, count, scratch.scores + at,
                            padded(tile.count));
    }
  }

  // `key_rows` and `mask`: of the head, or null.
  void attend(int64_t head, const T* key_operand, const T* value_operand, const T* key_rows,
              const uint8_t* mask) const {
    constexpr int64_t kStep = kIsBf16<T> ? 2 : 1;  // elements between keys of the operand
    const int64_t rows = padded_rows(count), width = shape.width;
    for (int64_t at = keys.begin / kKeys * kKeys; at < keys.end; at += kKeys) {
      const int64_t begin = HWY_MAX(at, keys.begin);
      const Tile tile{begin, HWY_MIN(at + kKeys, keys.end) - begin, begin == keys.begin};
      const int64_t columns = padded(tile.count);
      multiply(rows, columns, width, scratch.queries, width,
               key_operand + at * width + (begin - at) * kStep, shape.tile_rows(at), scratch.scores,
               columns, false);
      if (job.position_keys.exists()) add_position_keys(tile, head);
      if (job.position_queries.exists()) add_position_queries(tile, head, key_rows);
      if (job.bias.exists()) add_biases(tile, head);
      if (job.soft_cap > 0) cap(tile);
      weigh(tile, at_or_null(mask, mask_offset(begin)));
      multiply(rows, width, columns, scratch.weights, columns, value_operand + begin * width, width,
               scratch.sums, width, !tile.is_first);
    }
  }

  // Decisions of all heads of a mask group for this block, [count, keys].
  void fill_masks(int64_t head) const {
    for (int64_t i = 0; i < count; ++i) {
      masks_of_row(job.dropout, job.keys[shape.q_begin + first + i],
                   mask_counter(head) + static_cast<uint32_t>(keys.begin), keys.end - keys.begin,
                   scratch.masks + i * scratch.mask_stride + mask_offset(keys.begin),
                   scratch.mask_plane);
    }
  }

  template <class In>
  void write(int64_t head) const {
    In* out = static_cast<In*>(job.out) + ((shape.q_begin + first) * job.heads + head) * job.dim;
    for (int64_t i = 0; i < count; ++i) {
      const VF factor = hn::Set(F(), job.dropout.scale / scratch.total[i]);
      const float* sums = scratch.sums + i * shape.width;
      for (int64_t c = 0; c < job.dim; c += lanes()) {
        store_n(hn::Mul(load(sums + c), factor), out + i * job.heads * job.dim + c,
                HWY_MIN(lanes(), job.dim - c));
      }
    }
    if (job.log_sum_exp == nullptr) return;
    float* log_sum_exp = job.log_sum_exp + head * job.queries + shape.q_begin + first;
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
  const ForwardScratch<T> scratch(job, shape, unit.kv_end - unit.kv_begin, shape.k_length);
  for (int64_t i = 0; i < kQueries; ++i) scratch.maximum[i] = 0, scratch.total[i] = 1;
  for (int64_t h = unit.kv_begin; h < unit.kv_end; ++h) {
    const int64_t offset = (h - unit.kv_begin) * scratch.head_size;
    pack_keys_and_values<In>(job, shape, h, scratch.key_operand + offset,
                             scratch.value_operand + offset, at_or_null(scratch.key_rows, offset),
                             scratch.rows);
  }
  const bool drops = job.dropout.threshold > 0;
  for (int64_t first = 0; first < shape.q_length; first += kQueries) {
    const int64_t count = HWY_MIN(kQueries, shape.q_length - first);
    const ForwardBlock<T> block{job,   shape, scratch,
                                first, count, visible_tiles(job, shape, first, first + count)};
    for (int64_t head = head_begin; head < head_end; ++head) {
      if (drops && (head == head_begin || head % kMaskHeads == 0)) block.fill_masks(head);
      copy_rotated(job, head_rows<In>(job.q, shape.q_begin + first, head), job.q.row,
                   shape.shift + first, count, scratch.queries, padded_rows(count), shape.width);
      const int64_t offset = (head / repeats - unit.kv_begin) * scratch.head_size;
      block.attend(head, scratch.key_operand + offset, scratch.value_operand + offset,
                   at_or_null(scratch.key_rows, offset),
                   drops ? scratch.masks + head % kMaskHeads * scratch.mask_plane : nullptr);
      block.template write<In>(head);
    }
  }
}

// ---- few queries: a decoder's step ----
//
// All query heads of a key/value head are rows of one block, and keys are read tile by tile as they
// lie. The tiles, and so the sums, are those of a unit.

template <class In, class T>
class FewQueries {
 public:
  FewQueries(const AttentionJob& job, const AttentionPart& part)
      : job_(job),
        part_(part),
        shape_(job, part.unit),
        rows_(shape_.repeats * shape_.q_length),
        products_(kIsBf16<T> ? padded_rows(rows_) : rows_),
        scratch_(job, shape_, 1, HWY_MIN(kKeys, part.end - part.begin / kKeys * kKeys)) {}

  void run() const {
    pack_queries();
    const Range seen = visible_tiles(job_, shape_, 0, shape_.q_length),
                keys{HWY_MAX(seen.begin, part_.begin), HWY_MIN(seen.end, part_.end)};
    const ForwardBlock<T> block{job_, shape_, scratch_, 0, rows_, keys, shape_.q_length};
    for (int64_t at = keys.begin / kKeys * kKeys; at < keys.end; at += kKeys) {
      const int64_t begin = HWY_MAX(at, keys.begin);
      attend(block, {begin, HWY_MIN(at + kKeys, keys.end) - begin, begin == keys.begin});
    }
    copy_values(scratch_.sums, rows_ * shape_.width, part_.result);
    float* numbers = part_.result + rows_ * shape_.width;
    std::copy_n(scratch_.maximum, rows_, numbers);
    std::copy_n(scratch_.total, rows_, numbers + rows_);
  }

 private:
  void pack_queries() const {
    const int64_t width = shape_.width;
    for (int64_t r = 0; r < shape_.repeats; ++r) {
      const In* from =
          head_rows<In>(job_.q, shape_.q_begin, part_.unit.kv_begin * shape_.repeats + r);
      copy_rows(from, job_.q.row, shape_.q_length, job_.dim,
                scratch_.queries + r * shape_.q_length * width, shape_.q_length, width);
    }
    copy_rows(static_cast<const In*>(nullptr), 0, 0, job_.dim, scratch_.queries + rows_ * width,
              products_ - rows_, width);
  }

  void attend(const ForwardBlock<T>& block, const typename ForwardBlock<T>::Tile& tile) const {
    const int64_t columns = padded(tile.count), width = shape_.width,
                  first = shape_.k_begin + tile.begin, kv_head = part_.unit.kv_begin;
    copy_rows(head_rows<In>(job_.k, first, kv_head), job_.k.row, tile.count, job_.dim,
              scratch_.rows, columns, width);
    transpose_pairs(scratch_.rows, columns, width, scratch_.key_operand);
    multiply(products_, columns, width, scratch_.queries, width, scratch_.key_operand, columns,
             scratch_.scores, columns, false);
    if (job_.bias.exists()) block.add_biases(tile, kv_head);
    if (job_.soft_cap > 0) block.cap(tile);
    block.weigh(tile, nullptr);
    add_values(tile, head_rows<In>(job_.v, first, kv_head));
  }

  void add_values(const typename ForwardBlock<T>::Tile& tile, const In* values) const {
    const int64_t columns = padded(tile.count), width = shape_.width;
    if constexpr (!kIsBf16<In>) {
      if (job_.dim == width)
        return multiply(products_, width, tile.count, scratch_.weights, columns, values, job_.v.row,
                        scratch_.sums, width, !tile.is_first);
    }
    if constexpr (kIsBf16<T>) {
      copy_rows(values, job_.v.row, tile.count, job_.dim, scratch_.rows, columns, width);
      pair_rows(scratch_.rows, columns, width, scratch_.value_operand);
    } else {
      copy_rows(values, job_.v.row, tile.count, job_.dim, scratch_.value_operand, columns, width);
    }
    multiply(products_, width, columns, scratch_.weights, columns, scratch_.value_operand, width,
             scratch_.sums, width, !tile.is_first);
  }

  const AttentionJob& job_;
  const AttentionPart& part_;
  const Shape shape_;
  const int64_t rows_, products_;  // rows of the block, and of its products
  const ForwardScratch<T> scratch_;
};

void part_any(const AttentionJob& job, const AttentionPart& part) {
  if (job.multiplies_bf16) return FewQueries<Bf16, Bf16>(job, part).run();
  job.is_bf16 ? FewQueries<Bf16, float>(job, part).run()
              : FewQueries<float, float>(job, part).run();
}

// A row of all parts becomes that of the first: sums, maximum and total as one pass would have
// them.
void join_row(const AttentionPart* parts, int64_t count, int64_t rows, int64_t width, int64_t row) {
  const auto number = [&](int64_t part, int64_t which) -> float& {
    return parts[part].result[rows * width + which * rows + row];
  };
  float* sums = parts[0].result + row * width;
  for (int64_t part = 1; part < count; ++part) {
    const float before = number(0, 0), here = number(part, 0), now = here > before ? here : before,
                shrink = exp2_of(before - now), share = exp2_of(here - now);
    const VF old = hn::Set(F(), shrink), fresh = hn::Set(F(), share);
    const float* more = parts[part].result + row * width;
    for (int64_t c = 0; c < width; c += lanes())
      store(hn::MulAdd(load(more + c), fresh, hn::Mul(load(sums + c), old)), sums + c);
    number(0, 0) = now;
    number(0, 1) = number(0, 1) * shrink + number(part, 1) * share;
  }
}

template <class In>
void join(const AttentionJob& job, const AttentionPart* parts, int64_t count) {
  const Shape shape(job, parts[0].unit);
  const int64_t rows = shape.repeats * shape.q_length, width = shape.width;
  for (int64_t row = 0; row < rows; ++row) {
    join_row(parts, count, rows, width, row);
    const int64_t head = parts[0].unit.kv_begin * shape.repeats + row / shape.q_length,
                  query = shape.q_begin + row % shape.q_length;
    const float* sums = parts[0].result + row * width;
    const VF factor = hn::Set(F(), 1 / parts[0].result[rows * width + rows + row]);
    In* out = static_cast<In*>(job.out) + (query * job.heads + head) * job.dim;
    for (int64_t c = 0; c < job.dim; c += lanes())
      store_n(hn::Mul(load(sums + c), factor), out + c, HWY_MIN(lanes(), job.dim - c));
  }
}

void join_any(const AttentionJob& job, const AttentionPart* parts, int64_t count) {
  job.is_bf16 ? join<Bf16>(job, parts, count) : join<float>(job, parts, count);
}

void forward_any(const AttentionJob& job, const AttentionUnit& unit) {
  if (job.multiplies_bf16) return forward<Bf16, Bf16>(job, unit);
  job.is_bf16 ? forward<Bf16, float>(job, unit) : forward<float, float>(job, unit);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(forward_any);
HWY_EXPORT(part_any);
HWY_EXPORT(join_any);

void attention_forward(const AttentionJob& job, const AttentionUnit& unit) {
  HWY_DYNAMIC_DISPATCH(forward_any)(job, unit);
}
void attention_part(const AttentionJob& job, const AttentionPart& part) {
  HWY_DYNAMIC_DISPATCH(part_any)(job, part);
}
void attention_join(const AttentionJob& job, const AttentionPart* parts, int64_t count) {
  HWY_DYNAMIC_DISPATCH(join_any)(job, parts, count);
}

}  // namespace hone::kernels
#endif
