#include "base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace hone {

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  std::array<uint32_t, 4> x = {
      static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
      static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * x[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;  // Weyl steps of the golden ratio and of sqrt(3) - 1
    k1 += 0xBB67AE85;
  }
  return x;
}

namespace {

uint64_t finalise(uint64_t z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
  return z ^ z >> 31;
}

}  // namespace

uint64_t mix(uint64_t a, uint64_t b) {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
  return finalise(finalise(a + kGolden) + kGolden + b);
}

uint64_t RandomStream::next() {
  const std::array<uint32_t, 4> block = philox(key_, counter_ / 2, 0);
  const size_t half = counter_++ % 2 * 2;
  return uint64_t{block[half + 1]} << 32 | block[half];
}

// Lemire 2019, "Fast random integer generation in an interval".
uint64_t RandomStream::below(uint64_t bound) {
  unsigned __int128 product = static_cast<unsigned __int128>(next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;  // 2^64 mod bound
    while (static_cast<uint64_t>(product) < threshold)
      product = static_cast<unsigned __int128>(next()) * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

double RandomStream::normal() {  // Box and Muller
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::vector<int64_t> permutation(int64_t size, uint64_t key) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  RandomStream random(key);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace hone
