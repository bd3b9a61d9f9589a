#include "models/kernels/block_product.h"

#include <ATen/Context.h>
#include <ATen/cpu/Utils.h>
#include <ATen/native/CPUBlas.h>

#include <exception>
#include <vector>

// oneDNN's block products keep one compiled kernel per shape and thread, so callers round sizes up
// to a few shapes. The fp32 ones are in block_product_simd.cpp.
namespace hone::kernels {

void multiply(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b,
              int64_t ldb, float* c, int64_t ldc, bool adds) {
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, adds,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c,
                              /*is_vnni=*/true);
}

void multiply(int64_t m, int64_t n, int64_t k, const uint8_t* a, int64_t lda, const int8_t* b,
              int64_t ldb, int32_t* c, int64_t ldc, bool adds) {
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, adds, a, b, c, /*is_vnni=*/true);
}

namespace {

// AMX processors have avx512_bf16 as well. Without either, oneDNN would emulate, slower than fp32.
bool has_bf16_instructions() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto found = capabilities.find("avx512_bf16");
  return found != capabilities.end() && found->second.isBool() && found->second.toBool();
}

// oneDNN may be told to leave the processor's instructions alone (ONEDNN_MAX_CPU_ISA), which shows
// in that it makes no kernel.
template <class A, class B, class C>
bool makes_kernels() {
  constexpr int64_t kSize = 32;
  const std::vector<A> a(kSize * kSize);
  const std::vector<B> b(kSize * kSize);
  std::vector<C> c(kSize * kSize);
  try {
    multiply(kSize, kSize, kSize, a.data(), kSize, b.data(), kSize, c.data(), kSize, false);
    release_multiplier();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

bool can_multiply_bf16() {
  static const bool can = has_bf16_instructions() && makes_kernels<Bf16, Bf16, float>();
  return can && at::globalContext().userEnabledMkldnn();
}

bool can_multiply_int8() {
  static const bool can = makes_kernels<uint8_t, int8_t, int32_t>();
  return can && at::globalContext().userEnabledMkldnn();
}

void release_multiplier() { at::native::cpublas::brgemm_release(); }

}  // namespace hone::kernels
