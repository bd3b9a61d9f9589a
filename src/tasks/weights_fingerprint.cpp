#include "tasks/weights_fingerprint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "base/random.h"
#include "data/fingerprint.h"

namespace hone {

uint64_t hash_of_values(const at::Tensor& weight) {
  const at::Tensor plain = weight.detach().cpu().contiguous();
  return hash_bytes({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
}

std::string weights_fingerprint(const WeightHashes& hashes) {
  uint64_t hash = hashes.size();
  for (const auto& [name, values] : hashes) hash = mix(mix(hash, hash_bytes(name)), values);
  return fmt::format("{:016x}", hash);
}

std::string weights_fingerprint(const StateDict& weights) {
  WeightHashes hashes;
  for (const auto& [name, tensor] : weights) hashes.emplace(name, hash_of_values(tensor));
  return weights_fingerprint(hashes);
}

}  // namespace hone
