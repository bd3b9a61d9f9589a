#include "models/kernels/random.h"

#include <ATen/ATen.h>

#include <mutex>
#include <vector>

#include "base/random.h"

namespace hone::kernels {
namespace {

constexpr int64_t kLow32 = 0xffffffff;

int64_t signed_word(uint32_t word) { return static_cast<int64_t>(word); }

// Unsigned 32-bit words held in int64 tensors. The product wraps to the same 64 bits that unsigned
// arithmetic gives.
struct Words {
  at::Tensor x0, x1, x2, x3;
};

at::Tensor high_word(const at::Tensor& product) {
  return product.bitwise_right_shift(32).bitwise_and(kLow32);
}
at::Tensor low_word(const at::Tensor& product) { return product.bitwise_and(kLow32); }

Words philox_words(Words x, uint64_t key) {
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const at::Tensor a = x.x0 * signed_word(0xD2511F53), b = x.x2 * signed_word(0xCD9E8D57);
    x = {high_word(b).bitwise_xor(x.x1).bitwise_xor(signed_word(key0)), low_word(b),
         high_word(a).bitwise_xor(x.x3).bitwise_xor(signed_word(key1)), low_word(a)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return x;
}

// Halfwords [8, rows, counters] of the calls with counters (keys, site << 32 | low).
at::Tensor halfwords(const at::Tensor& keys, const at::Tensor& low, uint64_t seed, uint32_t site) {
  const at::Tensor rows = keys.to(at::kLong).unsqueeze(1).expand({keys.size(0), low.size(0)});
  const at::Tensor columns = low.unsqueeze(0).expand_as(rows);
  const Words words = philox_words(
      {low_word(rows), high_word(rows), columns, at::full_like(rows, signed_word(site))}, seed);
  std::vector<at::Tensor> halves;
  for (const at::Tensor& word : {words.x0, words.x1, words.x2, words.x3}) {
    halves.push_back(word.bitwise_and(0xffff));
    halves.push_back(word.bitwise_right_shift(16));
  }
  return at::stack(halves);
}

}  // namespace

at::Tensor row_keep_mask(const at::Tensor& keys, int64_t columns, double p, uint64_t seed,
                         uint32_t site) {
  const int64_t groups = (columns + 127) / 128;
  const at::Tensor low = at::arange(groups * 16, keys.options().dtype(at::kLong));
  const at::Tensor halves = halfwords(keys, low, seed, site);  // [8, rows, groups * 16]
  const at::Tensor by_column = halves.view({8, keys.size(0), groups, 16})
                                   .permute({1, 2, 0, 3})
                                   .reshape({keys.size(0), groups * 128});
  return by_column.slice(1, 0, columns).ge(signed_word(dropout_threshold(p))).to(at::kFloat);
}

at::Tensor attention_keep_mask(const at::Tensor& keys, int64_t heads, int64_t positions, double p,
                               uint64_t seed, uint32_t site) {
  std::vector<at::Tensor> groups;
  for (int64_t group = 0; group < (heads + 7) / 8; ++group) {
    const at::Tensor low = at::arange(positions, keys.options().dtype(at::kLong)) +
                           ((int64_t{1} << 31) | (group << 24));
    groups.push_back(halfwords(keys, low, seed, site));  // [8, L, positions]
  }
  return at::cat(groups).slice(0, 0, heads).ge(signed_word(dropout_threshold(p))).to(at::kFloat);
}

void start_generator(at::Device device, uint64_t seed, uint64_t drawn, uint32_t site) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  generator.set_current_seed(mix(drawn == 0 ? seed : mix(seed, drawn), site));
}

}  // namespace hone::kernels
