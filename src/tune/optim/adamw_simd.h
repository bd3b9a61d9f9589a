// The inner loops of AdamW over flat slices of memory.
#pragma once

#include <cstdint>

namespace hone {

// One step's numbers, folded. t counts steps from 1.
struct AdamWStep {
  float gradient_scale = 1;
  float decay = 1;  // 1 - lr * weight decay
  float one_minus_beta1 = 0, beta1 = 0;
  float one_minus_beta2 = 0, beta2 = 0;
  float step_size = 0;     // lr / (1 - beta1^t)
  float inverse_root = 1;  // 1 / sqrt(1 - beta2^t)
  float eps = 0;
};

struct AdamWSlice {
  int64_t count = 0;
  float* value = nullptr;
  const float* gradient = nullptr;  // null: zero
  float *exp_avg = nullptr, *exp_avg_sq = nullptr;
  uint16_t* shadow = nullptr;  // bf16 bits, or null
};

void adamw_update(const AdamWStep& step, const AdamWSlice& slice);

// `count` steps without gradient. Once the moments' tail no longer reaches a value's last bit the
// rest is applied in closed form; `log_decay[i]` is the natural logarithm of the product of decay
// over the steps before i (count + 1 numbers).
void adamw_replay(const AdamWStep* steps, const double* log_decay, int64_t count,
                  const AdamWSlice& slice);

void scale_values(float factor, const AdamWSlice& slice);  // value *= factor, shadow too

double sum_of_squares(const float* values, int64_t count);

}  // namespace hone
