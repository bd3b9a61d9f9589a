#include "models/layers/key_value_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

namespace hone {
namespace {

constexpr int64_t kLeastRoom = 32;  // tokens

int64_t new_tokens(const Packed& tokens, int64_t sequence) {
  const int32_t* ends = tokens.cu_seqlens.const_data_ptr<int32_t>() + sequence;
  return ends[1] - ends[0];
}

// Of a GPU's tokens positions are not asked for: that would wait for it.
void check_positions(const Packed& tokens, const std::vector<int64_t>& lengths) {
  if (!tokens.positions.is_cpu()) return;
  const at::Tensor plain = tokens.positions.contiguous();
  for (size_t s = 0; s < lengths.size(); ++s) {
    if (new_tokens(tokens, static_cast<int64_t>(s)) == 0) continue;
    const int64_t first =
        plain.const_data_ptr<int64_t>()[tokens.cu_seqlens.const_data_ptr<int32_t>()[s]];
    TORCH_CHECK(first == lengths[s], "[KeyValueCache] the new tokens of sequence ", s,
                " begin at position ", first, ", but ", lengths[s], " are cached");
  }
}

void check_new(const at::Tensor& k, const at::Tensor& v, const Packed& tokens, size_t sequences) {
  TORCH_CHECK(tokens.sequences() == static_cast<int64_t>(sequences),
              "[KeyValueCache] new tokens of ", tokens.sequences(), " sequences, but ", sequences,
              " are cached");
  TORCH_CHECK(k.dim() == 3 && k.sizes() == v.sizes() && k.size(0) == tokens.tokens() &&
                  k.scalar_type() == v.scalar_type(),
              "[KeyValueCache] expected k and v [", tokens.tokens(),
              ", kv_heads, dim] of one type, received ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK(!k.requires_grad() && !v.requires_grad(),
              "[KeyValueCache] keys and values that are kept have no gradient");
}

at::Tensor int32_of(const std::vector<int64_t>& values, int64_t less) {
  at::Tensor result = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::transform(values.begin(), values.end(), result.mutable_data_ptr<int32_t>(),
                 [&](int64_t value) { return static_cast<int32_t>(value - less); });
  return result;
}

// Rows that are whole pieces of the CPU's memory. A step copies a row of each sequence and layer:
// as tensor operations they would take longer than the products of a small model.
bool has_plain_rows(const at::Tensor& x) {
  return x.is_cpu() && x.stride(2) == 1 && x.stride(1) == x.size(2);
}

// `count` rows of `from` at `source` become those of `to` at `target`.
void copy_rows(const at::Tensor& from, int64_t source, const at::Tensor& to, int64_t target,
               int64_t count) {
  if (count == 0) return;
  if (!has_plain_rows(from) || !has_plain_rows(to)) {
    to.narrow(0, target, count).copy_(from.narrow(0, source, count));
    return;
  }
  const auto size = static_cast<int64_t>(from.element_size()), bytes = to.stride(0) * size;
  const auto* read = static_cast<const char*>(from.const_data_ptr());
  auto* write = static_cast<char*>(to.mutable_data_ptr());
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(write + (target + i) * bytes, read + (source + i) * from.stride(0) * size,
                static_cast<size_t>(bytes));
}

}  // namespace

KeyValueCache::KeyValueCache(int64_t layers, bool grows) : grows_(grows) {
  TORCH_CHECK(layers > 0, "[KeyValueCache] expected layers, received ", layers);
  layers_.resize(static_cast<size_t>(layers));
}

int64_t KeyValueCache::room_for(int64_t tokens) const {
  return grows_ ? std::max(kLeastRoom, tokens + tokens / 2) : tokens;
}

int64_t KeyValueCache::sequences() const {
  return static_cast<int64_t>(layers_.back().lengths.size());
}

int64_t KeyValueCache::length(int64_t sequence) const {
  TORCH_CHECK(sequence >= 0 && sequence < sequences(), "[KeyValueCache] sequence ", sequence,
              " of ", sequences());
  return layers_.back().lengths[static_cast<size_t>(sequence)];
}

int64_t KeyValueCache::longest() const {
  const std::vector<int64_t>& lengths = layers_.back().lengths;
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

void KeyValueCache::lay_out(Layer& layer, std::span<const int64_t> sequences,
                            const std::vector<int64_t>& rooms, int64_t spare) {
  Layer fresh;
  fresh.rooms = {0};
  for (const int64_t room : rooms) fresh.rooms.push_back(fresh.rooms.back() + room);
  const int64_t rows = fresh.rooms.back() + spare;
  TORCH_CHECK(rows <= std::numeric_limits<int32_t>::max(), "[KeyValueCache] ", rows,
              " tokens are too many");
  std::vector<int64_t> shape = layer.k.sizes().vec();
  shape[0] = rows;
  fresh.k = at::empty(shape, layer.k.options());
  fresh.v = at::empty(shape, layer.v.options());
  for (size_t s = 0; s < sequences.size(); ++s) {
    const auto from = static_cast<size_t>(sequences[s]);
    fresh.lengths.push_back(layer.lengths[from]);
    copy_rows(layer.k, layer.rooms[from], fresh.k, fresh.rooms[s], layer.lengths[from]);
    copy_rows(layer.v, layer.rooms[from], fresh.v, fresh.rooms[s], layer.lengths[from]);
  }
  layer = std::move(fresh);
}

// The first of the sequences at the end that have no room yet.
size_t KeyValueCache::first_without_room(const Layer& layer) {
  size_t first = layer.lengths.size();
  while (first > 0 && layer.rooms[first] == layer.rooms[first - 1]) --first;
  return first;
}

// Gives sequences that have no room yet some behind the others, where there is as much.
bool KeyValueCache::fits(Layer& layer, const std::vector<int64_t>& lengths) const {
  if (!layer.k.defined()) return false;
  const size_t known = first_without_room(layer);
  for (size_t s = 0; s < known; ++s) {
    if (lengths[s] > layer.rooms[s + 1] - layer.rooms[s]) return false;
  }
  std::vector<int64_t> rooms = layer.rooms;
  for (size_t s = known; s < lengths.size(); ++s) rooms[s + 1] = rooms[s] + room_for(lengths[s]);
  if (rooms.back() > layer.k.size(0)) return false;
  layer.rooms = std::move(rooms);
  return true;
}

void KeyValueCache::make_room(Layer& layer, const std::vector<int64_t>& lengths,
                              const at::Tensor& k) const {
  if (fits(layer, lengths)) return;
  const size_t known = first_without_room(layer);
  const bool do_join = known > 0 && known < lengths.size();  // more may follow
  if (!layer.k.defined()) {
    std::vector<int64_t> none = k.sizes().vec();
    none[0] = 0;
    layer.k = at::empty(none, k.options());
    layer.v = at::empty(none, k.options());
  }
  std::vector<int64_t> rooms, same(lengths.size());
  std::iota(same.begin(), same.end(), 0);
  for (const int64_t length : lengths) rooms.push_back(room_for(length));
  const int64_t all = std::accumulate(rooms.begin(), rooms.end(), int64_t{0});
  lay_out(layer, same, rooms, do_join ? all / 2 : 0);
}

// Sequences beyond those that are there begin, without room as yet.
void KeyValueCache::add_sequences(Layer& layer, int64_t sequences) {
  const auto count = std::max(layer.lengths.size(), static_cast<size_t>(sequences));
  layer.lengths.resize(count, 0);
  layer.rooms.resize(count + 1, layer.rooms.empty() ? 0 : layer.rooms.back());
}

KeyValueCache::View KeyValueCache::append(int64_t layer, const at::Tensor& k, const at::Tensor& v,
                                          const Packed& tokens) {
  TORCH_CHECK(layer >= 0 && layer < static_cast<int64_t>(layers_.size()), "[KeyValueCache] layer ",
              layer, " of ", layers_.size());
  Layer& of = layers_[static_cast<size_t>(layer)];
  add_sequences(of, tokens.sequences());
  check_new(k, v, tokens, of.lengths.size());
  check_positions(tokens, of.lengths);
  std::vector<int64_t> lengths = of.lengths;
  for (size_t s = 0; s < lengths.size(); ++s)
    lengths[s] += new_tokens(tokens, static_cast<int64_t>(s));
  make_room(of, lengths, k);
  const int32_t* begins = tokens.cu_seqlens.const_data_ptr<int32_t>();
  for (size_t s = 0; s < lengths.size(); ++s) {
    const int64_t to = of.rooms[s] + of.lengths[s], count = lengths[s] - of.lengths[s];
    copy_rows(k, begins[s], of.k, to, count);
    copy_rows(v, begins[s], of.v, to, count);
  }
  of.lengths = std::move(lengths);
  if (&of == &layers_.back()) number_tokens();
  return view(of);
}

// Those that are new.
void KeyValueCache::number_tokens() {
  const std::vector<int64_t>& lengths = layers_.back().lengths;
  numbers_.resize(lengths.size());
  for (size_t s = 0; s < lengths.size(); ++s) {
    while (static_cast<int64_t>(numbers_[s].size()) < lengths[s])
      numbers_[s].push_back(next_number_++);
  }
}

KeyValueCache::View KeyValueCache::all(int64_t layer) const {
  const Layer& of = layers_.at(static_cast<size_t>(layer));
  TORCH_CHECK(of.k.defined() && !of.lengths.empty(), "[KeyValueCache] layer ", layer,
              " has no sequences");
  return view(of);
}

KeyValueCache::View KeyValueCache::view(const Layer& layer) {
  const int64_t first = layer.rooms.front(), rows = layer.rooms.back() - first;
  const auto longest = std::max_element(layer.lengths.begin(), layer.lengths.end());
  return {layer.k.narrow(0, first, rows),
          layer.v.narrow(0, first, rows),
          {int32_of(layer.rooms, first), longest == layer.lengths.end() ? 0 : *longest,
           int32_of(layer.lengths, 0)}};
}

void KeyValueCache::cut(int64_t sequence, int64_t length) {
  TORCH_CHECK(length >= 0 && length <= this->length(sequence), "[KeyValueCache] sequence ",
              sequence, " is to keep ", length, " tokens, but has fewer");
  for (Layer& layer : layers_) {
    if (!layer.lengths.empty()) layer.lengths[static_cast<size_t>(sequence)] = length;
  }
  numbers_[static_cast<size_t>(sequence)].resize(static_cast<size_t>(length));
}

void KeyValueCache::select(std::span<const int64_t> sequences) {
  for (const int64_t sequence : sequences)
    TORCH_CHECK(sequence >= 0 && sequence < this->sequences(), "[KeyValueCache] sequence ",
                sequence, " of ", this->sequences(), " is to be kept");
  const std::optional<std::vector<Move>> moves = moves_of(sequences);
  for (Layer& layer : layers_) {
    if (layer.rooms.empty()) continue;  // nothing has come yet
    moves&& has_room(layer, *moves) ? move(layer, *moves) : lay_out(layer, sequences);
  }
  std::vector<std::vector<int64_t>> numbers;
  for (const int64_t sequence : sequences)
    numbers.push_back(numbers_[static_cast<size_t>(sequence)]);
  numbers_ = std::move(numbers);
}

int64_t KeyValueCache::same_tokens(int64_t a, int64_t b) const {
  const std::vector<int64_t>&one = numbers_[static_cast<size_t>(a)],
        &other = numbers_[static_cast<size_t>(b)];
  return std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin();
}

// Who keeps its order keeps its place; beams take those of their like, one after the other.
std::optional<std::vector<KeyValueCache::Move>> KeyValueCache::moves_of(
    std::span<const int64_t> sequences) const {
  const bool keeps_order = std::adjacent_find(sequences.begin(), sequences.end(),
                                              std::greater_equal<>()) == sequences.end();
  std::vector<Move> moves;
  int64_t place = 0;
  for (const int64_t from : sequences) {
    if (keeps_order) place = from;
    while (place < this->sequences() && place != from && same_tokens(place, from) == 0) ++place;
    if (place == this->sequences()) return std::nullopt;
    moves.push_back({from, place, same_tokens(place, from)});
    ++place;
  }
  return moves;
}

bool KeyValueCache::has_room(const Layer& layer, const std::vector<Move>& moves) {
  return std::all_of(moves.begin(), moves.end(), [&](const Move& move) {
    const auto place = static_cast<size_t>(move.place);
    return layer.lengths[static_cast<size_t>(move.from)] <=
           layer.rooms[place + 1] - layer.rooms[place];
  });
}

// What is copied is read before anything is written. Who leaves gives its room to the one before
// it.
void KeyValueCache::move(Layer& layer, const std::vector<Move>& moves) {
  const auto each_copy = [&](const auto& copy) {
    int64_t row = 0;
    for (const Move& move : moves) {
      const int64_t count = layer.lengths[static_cast<size_t>(move.from)] - move.same;
      if (move.from == move.place || count == 0) continue;
      copy(layer.rooms[static_cast<size_t>(move.from)] + move.same, row,
           layer.rooms[static_cast<size_t>(move.place)] + move.same, count);
      row += count;
    }
    return row;
  };
  const int64_t rows = each_copy([](int64_t, int64_t, int64_t, int64_t) {});
  if (rows > 0) {
    std::vector<int64_t> shape = layer.k.sizes().vec();
    shape[0] = rows;
    const at::Tensor held = at::empty(shape, layer.k.options());
    for (const at::Tensor& of : {layer.k, layer.v}) {
      each_copy([&](int64_t from, int64_t row, int64_t, int64_t count) {
        copy_rows(of, from, held, row, count);
      });
      each_copy([&](int64_t, int64_t row, int64_t to, int64_t count) {
        copy_rows(held, row, of, to, count);
      });
    }
  }
  std::vector<int64_t> rooms, lengths;
  for (const Move& move : moves) {
    rooms.push_back(layer.rooms[static_cast<size_t>(move.place)]);
    lengths.push_back(layer.lengths[static_cast<size_t>(move.from)]);
  }
  rooms.push_back(layer.rooms.back());
  layer.rooms = std::move(rooms), layer.lengths = std::move(lengths);
}

void KeyValueCache::lay_out(Layer& layer, std::span<const int64_t> sequences) const {
  std::vector<int64_t> rooms;
  for (const int64_t sequence : sequences)
    rooms.push_back(room_for(layer.lengths[static_cast<size_t>(sequence)]));
  lay_out(layer, sequences, rooms);
}

int64_t KeyValueCache::bytes() const {
  int64_t bytes = 0;
  for (const Layer& layer : layers_)
    if (layer.k.defined())
      bytes += static_cast<int64_t>(layer.k.storage().nbytes() + layer.v.storage().nbytes());
  return bytes;
}

}  // namespace hone
