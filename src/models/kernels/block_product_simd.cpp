// fp32 block products in tiles of registers. A value is a chain of multiply-adds in the order of k,
// or several, whatever the sizes of block and tile: its bits depend on its row and its column
// alone.
#include "models/kernels/block_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/kernels/block_product_simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include "models/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hone::kernels::HWY_NAMESPACE {
namespace {

// Sums of a tile, the vectors of b in its columns and a value of a: 29 of AVX-512's 32 registers,
// 15 of 16 elsewhere.
constexpr int64_t kTileRows = 6;
constexpr int64_t kTileVectors = sizeof(VF) == 64 ? 4 : 2;

struct Operands {
  int64_t k;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool adds;
  int64_t chain;  // how much of k a chain takes
};

// c [kRows, kVectors * lanes()] (+)= a b of one chain, which begins with c's values, with zeros, or
// with zeros to be added to c at its end. Loops are unrolled, or the sums would not stay in
// registers.
enum class Begin { kWithValues, kWithZeros, kApart };

template <int64_t kRows, int64_t kVectors>
void multiply_chain(const Operands& of, const float* a, const float* b, float* c, int64_t count,
                    Begin begin) {
  const int64_t lda = of.lda, ldb = of.ldb, ldc = of.ldc;
  VF sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < kVectors; ++j)
      sums[i][j] = begin == Begin::kWithValues ? load(c + i * ldc + j * lanes()) : hn::Zero(F());
  }
  for (int64_t k = 0; k < count; ++k, ++a, b += ldb) {
    VF right[kVectors];
#pragma GCC unroll 8
    for (int64_t j = 0; j < kVectors; ++j) right[j] = load(b + j * lanes());
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      const VF left = hn::Set(F(), a[i * lda]);
#pragma GCC unroll 8
      for (int64_t j = 0; j < kVectors; ++j) sums[i][j] = hn::MulAdd(left, right[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < kVectors; ++j) {
      float* const place = c + i * ldc + j * lanes();
      store(begin == Begin::kApart ? hn::Add(load(place), sums[i][j]) : sums[i][j], place);
    }
  }
}

template <int64_t kRows, int64_t kVectors>
void multiply_tile(const Operands& of, int64_t row, int64_t column) {
  const float *a = of.a + row * of.lda, *b = of.b + column;
  float* c = of.c + row * of.ldc + column;
  multiply_chain<kRows, kVectors>(of, a, b, c, HWY_MIN(of.chain, of.k),
                                  of.adds ? Begin::kWithValues : Begin::kWithZeros);
  for (int64_t k = of.chain; k < of.k; k += of.chain)
    multiply_chain<kRows, kVectors>(of, a + k, b + k * of.ldb, c, HWY_MIN(of.chain, of.k - k),
                                    Begin::kApart);
}

// Numbers of rows and vectors become ones that the compiler knows.
template <int64_t kVectors, int64_t kRows = kTileRows>
void multiply_rows(const Operands& of, int64_t rows, int64_t row, int64_t column) {
  if (rows == kRows) return multiply_tile<kRows, kVectors>(of, row, column);
  if constexpr (kRows > 1) multiply_rows<kVectors, kRows - 1>(of, rows, row, column);
}
template <int64_t kVectors = kTileVectors>
void multiply_columns(const Operands& of, int64_t m, int64_t vectors, int64_t column) {
  if (vectors == kVectors) {
    const int64_t tiles = (m + kTileRows - 1) / kTileRows;  // of nearly equally many rows
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t row = m * tile / tiles;
      multiply_rows<kVectors>(of, m * (tile + 1) / tiles - row, row, column);
    }
  } else if constexpr (kVectors > 1) {
    multiply_columns<kVectors - 1>(of, m, vectors, column);
  }
}

void multiply_any(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float* c, int64_t ldc, bool adds, int64_t chain) {
  const Operands of{k, a, lda, b, ldb, c, ldc, adds, chain};
  for (int64_t column = 0; column < n; column += kTileVectors * lanes())
    multiply_columns(of, m, HWY_MIN(kTileVectors, (n - column) / lanes()), column);
}

}  // namespace
}  // namespace hone::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hone::kernels {

HWY_EXPORT(multiply_any);

void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
              int64_t ldb, float* c, int64_t ldc, bool adds) {
  HWY_DYNAMIC_DISPATCH(multiply_any)(m, n, k, a, lda, b, ldb, c, ldc, adds, /*chain=*/k);
}
void multiply_in_chains(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                        const float* b, int64_t ldb, float* c, int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(multiply_any)(m, n, k, a, lda, b, ldb, c, ldc, /*adds=*/false, kChain);
}

}  // namespace hone::kernels
#endif
