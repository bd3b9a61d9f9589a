// What a network computes in. Its parameters stay fp32.
#pragma once

namespace hone {

enum class Precision {
  kFp32,
  kBf16,  // products and activations; norms, softmax and loss stay fp32
  kInt8   // matrix products of inference, see kernels/int8_product.h
};

}  // namespace hone
