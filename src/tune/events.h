// What the loop tells; console, metrics.jsonl and TensorBoard listen. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tasks/report.h"

namespace hone {

// Beside the loss, by name: ("r_drop.divergence", 0.02).
using Numbers = std::vector<std::pair<std::string, double>>;

// What a pattern of train.freeze matched.
struct Frozen {
  std::string pattern;
  int64_t weights = 0, numbers = 0;
};

struct Started {
  int64_t step = 0, total_steps = 0;  // steps done already (a resumed run: not 0), and planned
  double epochs = 0;                  // planned
  int64_t samples = 0;
  int64_t parameters = 0, all_parameters = 0;  // trained, and with the frozen ones
  std::string precision;                       // "fp32" or "bf16"
  int64_t threads = 0;
  std::string device = "cpu";  // or "cuda:0"
  std::vector<Frozen> frozen;  // what train.freeze matched
  std::vector<std::string> regularisers;
  int64_t cached_layers = 0;  // whose outputs train.cache_frozen keeps
};
struct Stepped {
  int64_t step = 0, total_steps = 0;  // optimizer steps done, and planned
  double epoch = 0;
  double loss = 0, gradient_norm = 0;     // per target; before clipping
  double learning_rate = 0, seconds = 0;  // of this step
  int64_t tokens = 0, samples = 0;        // of this step
  double loss_z = 0, norm_z = 0;          // z-scores against the recent steps
  bool is_logged = false;                 // every logging_steps: to be written down
  double mean_loss = 0;  // over the steps since the last logged one, this one included
  Numbers numbers;       // of the regularisers, per target: such means too
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
using Event = std::variant<Started, Stepped, Evaluated, Saved, Warned>;
using Listener = std::function<void(const Event&)>;

}  // namespace hone
