// An optimizer's two moments in fewer bits than fp32: bf16, or 8 bits in blocks that have a scale
// each (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization",
// https://arxiv.org/abs/2110.02861).
//
// Rounding is stochastic: up or down with the probability that keeps the mean. A second moment
// moves by a thousandth of its way at a step, far less than these types tell apart, so that rounded
// to the nearest it would stand still. What decides is a function of (step, parameter, place).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "models/weights.h"

namespace hone {

enum class MomentType { kFp32, kBf16, kInt8 };

MomentType moment_type(const std::string& name);       // "fp32", "bf16", "int8"
int64_t moment_bytes(MomentType type, int64_t count);  // of both moments of `count` numbers

// Both moments of a parameter, bf16 or int8; zeros at first.
class NarrowMoments {
 public:
  NarrowMoments(MomentType type, at::IntArrayRef shape);

  // Values from `begin`, a multiple of the block, on. `key` is another in each step and of each
  // parameter.
  void read(int64_t begin, int64_t count, float* mean, float* square) const;
  void write(int64_t begin, int64_t count, uint32_t key, const float* mean, const float* square);

  // "exp_avg.<name>", "exp_avg_sq.<name>", of int8 also "exp_avg.scales.<name>" and so on; their
  // memory is shared. Error(kModel) where a saved one is missing or of another shape or type.
  void add_to(StateDict& state, const std::string& name) const;
  void load(const StateDict& state, const std::string& name);

 private:
  struct Stored {
    at::Tensor values;  // bf16, or codes uint8: of the second moment those of its root
    at::Tensor scales;  // [blocks] fp32, of int8
  };
  template <typename Visit>
  void for_each_tensor(const std::string& name, const Visit& visit) const;

  MomentType type_;
  Stored mean_, square_;
};

}  // namespace hone
