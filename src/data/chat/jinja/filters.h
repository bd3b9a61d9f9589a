// What may stand behind "|", and in map.
#pragma once

#include <string>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

bool is_filter(const std::string& name);
// Error of kind kModel where there is no filter of this name.
Value filter(Runtime& runtime, const std::string& name, const Value& value, Arguments& arguments);

}  // namespace hone::jinja
