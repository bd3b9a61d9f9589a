// Versions and machine, for reports and `hone env`.
#pragma once

#include <c10/core/Device.h>

#include "base/json.h"

namespace hone {

// {"hone", "libtorch", "system", "cpu", "cores", "memory_gb", "bf16", "device"}, and "gpus" where
// there are any.
Json environment_json(at::Device device);
int64_t peak_memory_bytes();  // of this process so far

}  // namespace hone
