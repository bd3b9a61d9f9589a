#pragma once

#include <string>

#include "models/weights.h"

namespace hone {

std::string weights_fingerprint(const StateDict& weights);  // of names and values: 16 digits

}  // namespace hone
