// The parameters of one place's dropout decisions as SIMD code takes them.
#pragma once

#include <cmath>
#include <cstdint>

namespace hone::kernels {

struct DropoutDecisions {
  uint64_t seed = 0;
  uint32_t site = 0;
  uint32_t threshold = 0;  // dropped below it; 0: nothing is dropped
  float scale = 1;         // of what is kept
};

inline uint32_t dropout_threshold(double p) {
  return static_cast<uint32_t>(std::lround(p * 65536));
}
inline float dropout_scale(double p) { return p < 1 ? static_cast<float>(1 / (1 - p)) : 0; }

inline DropoutDecisions dropout_decisions(double p, uint64_t seed, uint32_t site) {
  return {.seed = seed, .site = site, .threshold = dropout_threshold(p), .scale = dropout_scale(p)};
}

}  // namespace hone::kernels
