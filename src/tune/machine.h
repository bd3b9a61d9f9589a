// What this machine offers: cores that this process may use, GPUs, and which precision it computes
// faster.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "models/precision.h"
#include "tune/gpu.h"

namespace hone {

int64_t available_cores();   // affinity and a container's quota respected
bool has_bf16_arithmetic();  // AVX512-BF16 or AMX-BF16

bool is_device_name(
    const std::string& name);  // auto | cpu | cuda | cuda:N, whether it is there or not
// The device of that name; auto: the first GPU, where there is one that this libtorch can use.
// Error(kUsage) where it is not there.
at::Device resolve_device(const std::string& name);

// fp32 | bf16 | int8 | auto: bf16 on a GPU that has it, else fp32; on the CPU the faster of fp32
// and bf16 here, measured once. Error(kUsage) for int8 on a GPU.
Precision resolve_precision(const std::string& name, at::Device device = at::kCPU);
// bf16 and auto on this GPU. Error(kUsage) for bf16 on one that is older than Ampere.
Precision precision_on(const Gpu& gpu, const std::string& name);
// Whether it has instructions for it. Without them bf16 is computed too, but slowly.
bool computes_in(Precision precision, at::Device device);

// Whether fp32 products of a GPU round their factors to TF32, 10 bits after the point, which its
// tensor cores multiply several times as fast. Error(kUsage) where it is asked for elsewhere.
void use_tf32(bool tf32, at::Device device);

// Threads for tensor operations; 0 is all available cores. Returns the number in force.
int64_t use_threads(int64_t threads);

}  // namespace hone
