#include "data/tokenizer/byte_fallback.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace hone {

std::array<int32_t, 256> find_byte_ids(const Vocabulary& vocabulary) {
  std::array<int32_t, 256> out{};
  for (size_t byte = 0; byte < out.size(); ++byte)
    out[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
  return out;
}

void warn_of_missing_bytes(const std::array<int32_t, 256>& ids, const Where& where) {
  const auto missing = std::count(ids.begin(), ids.end(), Vocabulary::kNone);
  if (missing == 0) return;
  const auto first = std::find(ids.begin(), ids.end(), Vocabulary::kNone) - ids.begin();
  log_warn(
      "{}: \"byte_fallback\" is on, but {} of the 256 bytes have no piece (the first is "
      "<0x{:02X}>); "
      "characters with such a byte are unknown",
      where.file, missing, first);
}

}  // namespace hone
