// What the loop tells; console, metrics.jsonl, TensorBoard and the report listen. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "tasks/report.h"

namespace hone {

struct Stepped {
  int64_t step, total_steps;   // optimizer steps done, and planned
  double epoch, loss, gradient_norm, learning_rate, seconds;
  int64_t tokens, samples;     // of this step
  double loss_z = 0, norm_z = 0;  // z-scores against the recent steps
};
struct Evaluated {
  int64_t step;
  double epoch, loss, seconds;
  Report report;
  bool is_best;
};
struct Saved {
  int64_t step;
  std::string path;
  bool is_best;
};
struct Warned {
  int64_t step;
  std::string message;
};
using Event = std::variant<Stepped, Evaluated, Saved, Warned>;
using Listener = std::function<void(const Event&)>;

}  // namespace hone
