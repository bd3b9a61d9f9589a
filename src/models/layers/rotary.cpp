#include "models/layers/rotary.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "models/kernels/rotary.h"

namespace hone {
namespace {

// The base for a sequence of `length` tokens.
double dynamic_theta(const RotaryOptions& o, int64_t length) {
  const double stretched = o.factor * double(length) / o.trained - (o.factor - 1);
  return o.theta * std::pow(stretched, double(o.columns) / double(o.columns - 2));
}

// The column whose angle makes so many turns within the trained positions.
double column_of_turns(const RotaryOptions& o, double turns) {
  return double(o.columns) * std::log(o.trained / (turns * 2 * M_PI)) / (2 * std::log(o.theta));
}

at::Tensor yarn_frequencies(const RotaryOptions& o, const at::Tensor& plain) {
  double first = column_of_turns(o, o.fast), last = column_of_turns(o, o.slow);
  if (o.has_whole_bounds) first = std::floor(first), last = std::ceil(last);
  first = std::max(first, 0.0);
  last = std::min(last, double(o.columns - 1));
  if (first == last) last += 0.001;  // as the reference avoids a division by zero
  const at::Tensor divided =
      ((at::arange(o.columns / 2, at::kFloat) - first) / (last - first)).clamp(0, 1);
  return plain / o.factor * divided + plain * (1 - divided);
}

at::Tensor llama3_frequencies(const RotaryOptions& o, const at::Tensor& plain) {
  const at::Tensor turns = plain * (o.trained / (2 * M_PI));
  const at::Tensor kept = ((turns - o.slow) / (o.fast - o.slow)).clamp(0, 1);
  return plain / o.factor * (1 - kept) + plain * kept;
}

}  // namespace

int64_t angles_change_behind(const RotaryOptions& o) {
  const bool change = o.scaling == RotaryScaling::kDynamic || !o.long_divisors.empty();
  return change ? static_cast<int64_t>(o.trained) : 0;
}

bool depends_on_length(const RotaryOptions& o, int64_t length) {
  const int64_t border = angles_change_behind(o);
  return border > 0 && length > border;
}

at::Tensor frequencies_of(const RotaryOptions& o, int64_t length) {
  const bool is_long = depends_on_length(o, length);
  if (is_long && o.scaling == RotaryScaling::kDynamic)
    return kernels::rotary_frequencies(dynamic_theta(o, length), o.columns);
  const at::Tensor plain = kernels::rotary_frequencies(o.theta, o.columns);
  switch (o.scaling) {
    case RotaryScaling::kNone:
    case RotaryScaling::kDynamic:
      return plain;
    case RotaryScaling::kLinear:
      return plain / o.factor;
    case RotaryScaling::kYarn:
      return yarn_frequencies(o, plain);
    case RotaryScaling::kLlama3:
      return llama3_frequencies(o, plain);
    case RotaryScaling::kDivided:
      return plain / at::tensor(is_long ? o.long_divisors : o.divisors, at::kFloat);
  }
  TORCH_CHECK(false, "[rotary] unknown scaling ", static_cast<int>(o.scaling));
}

at::Tensor placed_frequencies(const RotaryOptions& options, at::Device device) {
  if (device.is_cpu()) return frequencies_of(options, 0);
  static std::mutex mutex;
  // Never destroyed: a GPU's memory is gone before global variables are.
  static auto* const placed = new std::map<std::pair<RotaryOptions, std::string>, at::Tensor>;
  const std::lock_guard lock(mutex);
  at::Tensor& found = (*placed)[{options, device.str()}];
  if (!found.defined()) found = frequencies_of(options, 0).to(device);
  return found;
}

}  // namespace hone
