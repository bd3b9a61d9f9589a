// What users of other programs call the keys of a configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone {

// The keys that `name` may stand for, the likeliest first; none where it is no such word. Upper
// case equals lower case, and a hyphen an underscore.
std::vector<std::string> keys_called(std::string_view name);

}  // namespace hone
