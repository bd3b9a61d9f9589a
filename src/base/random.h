// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3").
//
// A number is a pure function of (key, counter): no state to save, nothing depends on threads or
// order.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace hone {

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

// A well-mixed 64-bit value of two (splitmix64's finaliser): derives keys such as (seed, epoch) or
// (seed, step).
uint64_t mix(uint64_t a, uint64_t b);

// A stream of numbers for host-side work (shuffles, bootstrap). Copyable; two equal streams give
// equal numbers.
class RandomStream {
 public:
  explicit RandomStream(uint64_t key) : key_(key) {}
  uint64_t next();  // uniform over 64 bits
  uint64_t below(
      uint64_t bound);  // uniform in [0, bound), without modulo bias; REQUIRES: bound > 0
  double uniform();     // in [0, 1)
  double normal();      // mean 0, standard deviation 1

 private:
  uint64_t key_, counter_ = 0;
};

std::vector<int64_t> permutation(int64_t size, uint64_t key);  // Fisher-Yates

}  // namespace hone
