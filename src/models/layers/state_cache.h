// What a network's lowest layers give of texts that they have seen before, where nothing trained
// and nothing drawn takes part in it: computed in the first epoch, read from disk in later ones. A
// text's states depend on no other text, to the last bit, so they are the same either way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/spill_file.h"
#include "models/packed.h"

namespace hone {

class StateCache {
 public:
  // On the disk of `folder`, up to so many bytes: once these are used, further texts are computed
  // each time.
  StateCache(const std::string& folder, int64_t most_bytes);

  // States [N, width] of the tokens: read, or `compute`d of the sequences that are not there.
  // REQUIRES: on the CPU; states of one type and width.
  at::Tensor of(const Packed& tokens, const std::function<at::Tensor(const Packed&)>& compute);

  int64_t computed() const { return computed_; }  // sequences, in all
  int64_t bytes() const { return static_cast<int64_t>(size_); }

 private:
  struct Place {
    size_t position, text_bytes, state_bytes;
  };

  bool read(const std::string& text, const at::Tensor& rows);
  void keep(const std::string& text, const at::Tensor& rows);

  SpillFile file_;
  const size_t most_;
  size_t size_ = 0;
  int64_t computed_ = 0;
  at::Tensor form_;  // [0, width] of the states' type; undefined before the first
  std::unordered_map<uint64_t, Place> places_;  // by hash of the text, which stands there too
};

}  // namespace hone
