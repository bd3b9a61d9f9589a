// Weights in 4 bits, "NormalFloat" (QLoRA: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314,
// section 3): blocks of 64 values, each divided by its largest absolute value and rounded to the
// nearest of 16 quantiles of a normal distribution. With double quantisation those scales, less
// their mean, are kept in 8 bits, in blocks of 256 of their own. Codes, scales and the values that
// they stand for are those of bitsandbytes on the CPU, to the last bit.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "models/kernels/written_weight.h"

namespace hone::kernels {

struct Nf4 {
  int64_t rows = 0, columns = 0;
  // uint8 [(rows * columns + 1) / 2], row after row: the first value of a byte in its upper half
  at::Tensor packed = {};
  at::Tensor scales = {};  // fp32 [blocks]; undefined with double quantisation, which has instead:
  at::Tensor scale_codes = {};   // uint8 [blocks]
  at::Tensor scale_scales = {};  // fp32 [(blocks + 255) / 256]
  float scale_mean = 0;          // of all scales

  int64_t bytes() const;
};

constexpr int64_t kNf4Block = 64;
constexpr int64_t kNf4ScaleBlock = 256;

// Rounds a weight [rows, columns] fp32 on the CPU, all of whose values are finite.
Nf4 to_nf4(const at::Tensor& weight, bool double_quant);
// Writes its values to `out` [rows, columns], contiguous, fp32 or bf16 (rounded once).
void write_nf4(const Nf4& weight, const at::Tensor& out);

// Weights of equal columns, one below the other, for a product. Blocks do not go on from one to the
// next.
class Nf4Weight : public WrittenWeight {
 public:
  explicit Nf4Weight(const std::vector<Nf4>& parts);
  void write(const WeightBox& box, void* out, bool is_bf16) const override;

 private:
  struct Part {
    Nf4 weight;
    at::Tensor scales;  // fp32 [blocks]
    int64_t row;        // its first one among all
  };
  std::vector<Part> parts_;
};

// The 256 values of a scale's code, ascending: bitsandbytes' signed dynamic map ("8-Bit
// Approximations for Parallelism in Deep Learning", https://arxiv.org/abs/1511.04561). fp32 [256]
at::Tensor scale_code_values();

}  // namespace hone::kernels
