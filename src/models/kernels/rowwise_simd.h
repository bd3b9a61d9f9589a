// The inner loops of plain dropout, of bias + activation and of gated activations, on rows
// begin .. end of row-major [rows, columns].
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

struct GatedRows {
  int64_t columns = 0;   // of out and grad; x and dx have twice as many
  bool is_bf16 = false;  // of all
  Activation activation = Activation::kSilu;
  const void* x = nullptr;     // gate, then what it is multiplied with
  void* out = nullptr;         // forward
  const void* grad = nullptr;  // backward, or null
  void* dx = nullptr;
};
void gated_rows(const GatedRows& rows, int64_t begin, int64_t end);

}  // namespace hone::kernels
