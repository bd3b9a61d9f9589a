// Versions and machine, for reports and `hone env`; what a program sets at its start.
#pragma once

#include <c10/core/Device.h>

#include "base/json.h"

namespace hone {

// {"hone", "libtorch", "system", "cpu", "cores", "memory_gb", "bf16", "device"}, and "gpus" where
// there are any.
Json environment_json(at::Device device);
int64_t peak_memory_bytes();  // of this process so far

// glibc gives large blocks back to the system when they are freed, and every layer of every batch
// then pays for zeroed pages again (a fifth of the time of an evaluation). The blocks that a step
// frees are just those that the next one asks for, so they are kept. For the start of a program.
void keep_freed_memory();

}  // namespace hone
