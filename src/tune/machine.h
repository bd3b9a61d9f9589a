// What this machine offers: cores that this process may use, and which precision it computes faster.
#pragma once

#include <cstdint>
#include <string>

#include "models/backbone.h"

namespace hone {

int64_t available_cores();   // affinity and a container's quota respected
bool has_bf16_arithmetic();  // AVX512-BF16 or AMX-BF16

// fp32 | bf16 | int8 | auto: the faster of fp32 and bf16 here, measured once.
Precision resolve_precision(const std::string& name);
const char* precision_name(Precision precision);

// Threads for tensor operations; 0 is all available cores. Returns the number in force.
int64_t use_threads(int64_t threads);

}  // namespace hone
