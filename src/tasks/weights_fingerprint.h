#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "models/weights.h"

namespace hone {

using WeightHashes = std::map<std::string, uint64_t>;  // of the values, by name

uint64_t hash_of_values(const at::Tensor& weight);
std::string weights_fingerprint(const WeightHashes& hashes);  // of names and values: 16 digits
std::string weights_fingerprint(const StateDict& weights);    // likewise

}  // namespace hone
