// What a layer is told beside its input: which rows of a batch it works on, and where in the
// network it stands. Dropout's decisions (and what an adapter draws) follow from both.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "models/kernels/dropout.h"
#include "models/kernels/rotary.h"
#include "models/layers/rotary.h"
#include "models/packed.h"

namespace hone {

class KeyValueCache;
class KeyValuePrefix;
struct Source;

// Where dropout happens: once after the embeddings, at several places of a block, of a head.
enum class DropoutPlace : uint32_t {
  kEmbeddings = 0,
  kFinalNorm = 1,  // of what the last block gives, normed
  kAttention = 0,  // its probabilities
  kAttentionOut = 1,
  kFeedForwardOut = 2,
  kFeedForwardInner = 3,  // between the two products
  kPositions = 4,         // of a table of relative positions
  kConvolution = 5,
  kCrossAttention = 4,  // its probabilities; no block has these two and the two before
  kCrossAttentionOut = 5,
  kAdapter = 6,  // of a layer's input; its name tells the layers of a block apart
  kLayer = 7,    // the block as a whole
  kHeadIn = 0,
  kHeadOut = 1,  // before the output layer
  kTokenHeadOut = 0,
};

class Rows {
 public:
  static constexpr int64_t kMostLayers = (int64_t{1} << 17) - 1;  // that have places of their own

  // All rows of `tokens`, at the embeddings. Outside of training nothing is dropped. `cache`: keys
  // and values of the tokens before these, or null.
  Rows(const Packed& tokens, bool is_training, KeyValueCache* cache = nullptr);

  // The same rows at another place. A block that several layers share is run at each of them.
  Rows at(int64_t layer) const;
  Rows at_head() const;
  // The same place with the rows `chosen` [R] int64 of all rows; with all where undefined.
  Rows choose(const at::Tensor& chosen) const;
  Rows all() const { return choose({}); }
  // The same place with `count` rows, from `first` on, of a table that all sequences share.
  Rows of_table(int64_t first, int64_t count) const;

  const Packed& tokens() const { return batch_->tokens; }
  const at::Tensor& chosen() const { return chosen_; }  // undefined: all
  KeyValueCache* cache() const { return batch_->cache; }
  // Keys and values before the first token of each sequence, of all places; null: none.
  const KeyValuePrefix* prefix() const { return batch_->prefix.get(); }
  void set_prefix(std::shared_ptr<const KeyValuePrefix> prefix) {
    batch_->prefix = std::move(prefix);
  }
  // What a decoder's blocks read of an encoder (models/layers/source.h); null: nothing.
  const Source* source() const { return batch_->source.get(); }
  void set_source(std::shared_ptr<const Source> source) { batch_->source = std::move(source); }
  bool is_training() const { return is_training_; }
  int64_t layer() const { return layer_; }  // -1: of no block
  int64_t size() const { return chosen_.defined() ? chosen_.size(0) : tokens().tokens(); }
  // These rows of x [N, …], which has a row for each token.
  at::Tensor of(const at::Tensor& x) const;

  // Unique to (network, place): no two places share decisions.
  kernels::DropoutOptions dropout(DropoutPlace place, double p) const;
  // Angles of positions, a row for each from 0 to the longest sequence's last; made once for each
  // options of a forward pass. REQUIRES: an even number of columns, as for `turned`; not for
  // angles that depend on a sequence's length.
  kernels::Rotary rotary(const RotaryOptions& options) const;
  // x [N, heads, dim], a row for each token, turned by the tokens' own positions, which may begin
  // anywhere. Where angles depend on a sequence's length, that ends with its last position here.
  at::Tensor turned(const at::Tensor& x, const RotaryOptions& options) const;

 private:
  struct Batch {  // what all places of a forward pass share
    Packed tokens;
    KeyValueCache* cache;
    std::map<RotaryOptions, kernels::Rotary> by_position, by_token;  // angles made so far
    std::shared_ptr<const KeyValuePrefix> prefix;
    std::shared_ptr<const Source> source;
  };

  kernels::Rotary angles_of_tokens(const RotaryOptions& options) const;

  std::shared_ptr<Batch> batch_;
  at::Tensor chosen_, keys_;  // keys_: of these rows
  uint32_t first_site_ = 0;
  int64_t layer_ = -1;
  bool is_training_;
};

}  // namespace hone
