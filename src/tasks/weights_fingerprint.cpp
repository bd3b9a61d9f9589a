#include "tasks/weights_fingerprint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "base/random.h"
#include "data/fingerprint.h"

namespace hone {

std::string weights_fingerprint(const StateDict& weights) {
  uint64_t hash = weights.size();
  for (const auto& [name, tensor] : weights) {
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    hash = mix(mix(hash, hash_bytes(name)),
               hash_bytes({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()}));
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace hone
