// The inner loops of softmax cross-entropy, on rows begin .. end of logits [rows, classes].
#pragma once

#include <cstdint>

namespace hone::kernels {

struct CrossEntropyRows {
  int64_t classes = 0;
  bool is_bf16 = false;  // logits and dlogits
  const void* logits = nullptr;
  const int64_t* targets = nullptr;  // of rows
  int64_t ignore_index = -100;
  float smoothing = 0;
  float* losses = nullptr;       // of rows; forward
  float* log_sum_exp = nullptr;  // of rows, natural; written by forward, read by backward
  float grad = 0;                // of the sum of losses; backward
  void* dlogits = nullptr;
};

void cross_entropy_forward(const CrossEntropyRows& rows, int64_t begin, int64_t end);
void cross_entropy_backward(const CrossEntropyRows& rows, int64_t begin, int64_t end);

// Values from `begin` to `end` of an array of fp32 or bf16, and of their gradient.
struct CappedValues {
  bool is_bf16 = false;
  float cap = 1;
  void* values = nullptr;
  void* gradient = nullptr;  // of the capped values, then of what they were before
};

void cap_forward(const CappedValues& of, int64_t begin, int64_t end);   // x -> cap * tanh(x / cap)
void cap_backward(const CappedValues& of, int64_t begin, int64_t end);  // REQUIRES: capped values

}  // namespace hone::kernels
