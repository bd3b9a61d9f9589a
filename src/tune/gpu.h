// Names of the GPUs, asked of NVIDIA's driver: libtorch tells them only to programs that were
// compiled with CUDA's headers.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hone {

struct Gpu {
  std::string name;  // "NVIDIA H200"
  int64_t memory_bytes = 0;
  int capability = 0;  // compute capability, 90 of an H200

  bool has_bf16() const;    // products of bf16, from Ampere on
  std::string str() const;  // "NVIDIA H200, 139.8 GiB", and where it is so "no bf16"
};

// One of them; empty where it is not there or `device` is none.
std::optional<Gpu> gpu_of(at::Device device);

// In the order of cuda:0, cuda:1, …; those that CUDA_VISIBLE_DEVICES hides are left out, as
// libtorch leaves them out. Empty where there is no driver.
std::vector<Gpu> gpus();

}  // namespace hone
