// Event files that TensorBoard reads: scalars of training ("train/loss", "train/learning_rate", …)
// and evaluation ("eval/loss", "eval/<metric>"). A resumed run writes a further file, whose start
// mark makes TensorBoard drop what lies past its step.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tune/events.h"

namespace hone {

Listener tensorboard_log(const std::string& folder);

// For tests: CRC-32C (Castagnoli, RFC 3720) and the masked form that TFRecord uses.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace hone
