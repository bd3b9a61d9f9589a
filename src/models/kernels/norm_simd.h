// The inner loops of dropout + residual + norm, on rows begin .. end of row-major [rows, columns].
#pragma once

#include <cstdint>

#include "models/kernels/dropout_decisions.h"

namespace hone::kernels {

struct NormRows {
  int64_t columns = 0;
  bool is_bf16 = false;  // x, residual, out, grad, dx and dresidual; all else is fp32
  bool centred =
      true;  // LayerNorm; false: RMSNorm, which neither subtracts the mean nor adds a bias
  float eps = 0;
  const void* x = nullptr;
  const void* residual = nullptr;  // or null
  const float* weight = nullptr;
  const float* bias = nullptr;  // or null
  DropoutDecisions dropout;
  const int64_t* keys = nullptr;  // of rows, where dropout.threshold > 0
  void* out = nullptr;            // forward
  float* statistics = nullptr;    // [rows, 2]: mean and 1 / standard deviation; written by forward
                                  // (or null), read by backward
  const void* grad = nullptr;     // backward
  void* dx = nullptr;
  void* dresidual = nullptr;  // or null; may equal dx where nothing is dropped
};

void norm_forward(const NormRows& rows, int64_t begin, int64_t end);
// dweight and dbias [padded(columns)] are overwritten with the sums over these rows.
void norm_backward(const NormRows& rows, int64_t begin, int64_t end, float* dweight, float* dbias);

}  // namespace hone::kernels
