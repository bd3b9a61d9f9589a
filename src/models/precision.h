// What a network computes in. Its parameters stay fp32.
#pragma once

namespace hone {

enum class Precision {
  kFp32,
  kBf16,  // products and activations; norms, softmax and loss stay fp32
  kInt8   // matrix products of inference, see kernels/int8_product.h
};

inline const char* precision_name(Precision precision) {
  return precision == Precision::kFp32 ? "fp32" : precision == Precision::kBf16 ? "bf16" : "int8";
}

}  // namespace hone
