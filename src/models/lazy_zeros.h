// Zeros that take no memory before they are touched.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace hone {

// kWhole: soon written as a whole, as weights are by a checkpoint, which then writes them once, in
// large pages where the system has them. kSparse: few rows will ever be touched, as of an embedding
// table's gradient and moments; only their pages become memory.
enum class Touched { kWhole, kSparse };

// fp32 zeros. A large tensor is memory that the system clears page by page when it is first
// touched.
at::Tensor lazy_zeros(at::IntArrayRef shape, Touched touched = Touched::kWhole);

}  // namespace hone
