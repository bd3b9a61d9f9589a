// Base64 (RFC 4648), which tokenizer files hold bytes in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hone {

std::optional<std::string> from_base64(std::string_view text);  // nothing where it is none
std::string to_base64(std::string_view bytes);

}  // namespace hone
