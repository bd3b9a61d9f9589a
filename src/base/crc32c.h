// CRC-32C (Castagnoli, RFC 3720), and the masked form of it that TensorFlow's files have.
#pragma once

#include <cstdint>
#include <string_view>

namespace hone {

uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace hone
