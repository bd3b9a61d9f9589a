// What this machine offers: cores that this process may use, and whether bf16 is computed by the CPU itself.
#pragma once

#include <cstdint>
#include <string>

#include "models/backbone.h"

namespace hone {

int64_t available_cores();   // affinity and a container's quota respected
bool has_bf16_arithmetic();  // AVX512-BF16 or AMX-BF16

Precision resolve_precision(const std::string& name);  // auto | fp32 | bf16
const char* precision_name(Precision precision);

// Threads for tensor operations; 0 is all available cores. Returns the number in force.
int64_t use_threads(int64_t threads);

}  // namespace hone
