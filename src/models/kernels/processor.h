// What this processor can do, by libtorch's names ("avx512_bf16", "avx512_vnni", …).
#pragma once

#include <ATen/cpu/Utils.h>

#include <string>

namespace hone {

// False for what the processor lacks, and for a name that this libtorch does not list.
inline bool processor_has(const std::string& name) {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto found = capabilities.find(name);
  return found != capabilities.end() && found->second.isBool() && found->second.toBool();
}

}  // namespace hone
