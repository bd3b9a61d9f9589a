// Keys and values of sequences that grow token by token, so that a decoder computes each of them
// once (Pope et al. 2022, https://arxiv.org/abs/2211.05102).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/kernels/attention.h"
#include "models/packed.h"

namespace hone {

// Contiguous for each layer and sequence, with room to grow: where one outgrows its room, all get
// half as much again as they need. Sequences that join stand behind the others, in room that is
// kept for them from the second time on. Each forward pass brings new tokens of the sequences that
// are there, in their order (of some of them none), whose positions begin where the cached ones
// end; sequences behind those are new. Not thread-safe: one cache is one batch's. After a pass that
// threw it is of no use.
class KeyValueCache {
 public:
  // `grows` false: sequences come whole (an encoder's sources), and none has room for more.
  explicit KeyValueCache(int64_t layers, bool grows = true);

  int64_t sequences() const;               // 0 before the first forward pass
  int64_t length(int64_t sequence) const;  // tokens so far, that all layers have seen
  int64_t longest() const;                 // the most of them

  // What attention of `layer` reads: all keys and values so far, those of `tokens` appended to each
  // sequence. k and v [N, kv_heads, dim] in the type of the layer's products, k turned already
  // (kernels::rotate). The view shares the cache's memory until the next call. Throws c10::Error
  // where the tokens are not the next ones of these sequences, or k and v have a gradient.
  struct View {
    at::Tensor k, v;  // [rows, kv_heads, dim]
    kernels::Stretches of_k;
  };
  View append(int64_t layer, const at::Tensor& k, const at::Tensor& v, const Packed& tokens);
  // The same where no sequence has new tokens. REQUIRES: there are sequences.
  View all(int64_t layer) const;

  // Of this sequence the first `length` tokens alone stay. Throws c10::Error where it has fewer.
  void cut(int64_t sequence, int64_t length);

  // Sequences [0, sequences()) in this order from now on: those that are not named leave, one named
  // twice is copied (beams). While order stays and nothing is copied, no memory moves. One that
  // goes on in the place of another of the same beginning is copied from where the two part. Throws
  // c10::Error for an index out of range.
  void select(std::span<const int64_t> sequences);

  int64_t bytes() const;  // of memory held, room to grow included

 private:
  struct Layer {
    at::Tensor k, v;               // [rows, kv_heads, dim], or undefined
    std::vector<int64_t> rooms;    // [S + 1]: where each sequence's rows begin, where the last end
    std::vector<int64_t> lengths;  // [S]
  };
  // A sequence that goes on in the place of number `place`, whose first `same` tokens are its own.
  struct Move {
    int64_t from, place, same;
  };
  // Sequence s of `layer` becomes that which is now sequences[s], with this much room; `spare` rows
  // are left behind the last.
  static void lay_out(Layer& layer, std::span<const int64_t> sequences,
                      const std::vector<int64_t>& rooms, int64_t spare = 0);
  static void add_sequences(Layer& layer, int64_t sequences);
  int64_t room_for(int64_t tokens) const;
  void make_room(Layer& layer, const std::vector<int64_t>& lengths, const at::Tensor& k) const;
  static size_t first_without_room(const Layer& layer);
  bool fits(Layer& layer, const std::vector<int64_t>& lengths) const;
  void number_tokens();
  int64_t same_tokens(int64_t a, int64_t b) const;
  // Of sequences that go on in this order; nothing where there is no place for one of them.
  std::optional<std::vector<Move>> moves_of(std::span<const int64_t> sequences) const;
  static bool has_room(const Layer& layer, const std::vector<Move>& moves);
  static void move(Layer& layer, const std::vector<Move>& moves);
  void lay_out(Layer& layer, std::span<const int64_t> sequences) const;
  static View view(const Layer& layer);

  std::vector<Layer> layers_;
  // Of each sequence, the number that each of its tokens was given when it came: tokens of one
  // number have the same keys and values.
  std::vector<std::vector<int64_t>> numbers_;
  int64_t next_number_ = 0;
  bool grows_;
};

}  // namespace hone
