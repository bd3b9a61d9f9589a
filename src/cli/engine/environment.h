// Versions and machine, for reports and `hone env`.
#pragma once

#include "base/json.h"

namespace hone {

Json environment_json();      // {"hone", "libtorch", "system", "cpu", "cores", "memory_gb", "bf16"}
int64_t peak_memory_bytes();  // of this process so far

}  // namespace hone
