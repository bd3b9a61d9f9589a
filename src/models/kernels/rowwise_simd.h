// The inner loops of plain dropout and of bias + activation, on rows begin .. end of row-major
// [rows, columns].
#pragma once

#include <cstdint>

#include "models/kernels/activation.h"
#include "models/kernels/dropout_decisions.h"

namespace hone::kernels {

struct DropoutRows {
  int64_t columns = 0;
  bool is_bf16 = false;
  const void* x = nullptr;
  void* out = nullptr;
  DropoutDecisions dropout;
  const int64_t* keys = nullptr;  // of rows
};
void dropout_rows(const DropoutRows& rows, int64_t begin, int64_t end);

struct ActivationRows {
  int64_t columns = 0;
  bool is_bf16 = false;  // x, out, grad and dx
  Activation activation = Activation::kGelu;
  const void* x = nullptr;
  const float* bias = nullptr;  // or null
  void* out = nullptr;          // forward
  const void* grad = nullptr;   // backward
  void* dx = nullptr;
};
void activation_forward(const ActivationRows& rows, int64_t begin, int64_t end);
// dbias [padded(columns)] is overwritten with the sums over these rows.
void activation_backward(const ActivationRows& rows, int64_t begin, int64_t end, float* dbias);

// `count` values, in memory order.
struct GatedValues {
  bool is_bf16 = false;  // of all
  Activation activation = Activation::kSilu;
  const void *gate = nullptr, *up = nullptr;
  void* out = nullptr;         // forward
  const void* grad = nullptr;  // backward
  void *dgate = nullptr, *dup = nullptr;
};
void gated_forward(const GatedValues& values, int64_t begin, int64_t end);
void gated_backward(const GatedValues& values, int64_t begin, int64_t end);

}  // namespace hone::kernels
