// What may stand behind "is", and in select, reject, selectattr and rejectattr.
#pragma once

#include <string>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

bool is_test(const std::string& name);
// Error of kind kModel where there is no test of this name.
bool test(Runtime& runtime, const std::string& name, const Value& value, Arguments& arguments);

}  // namespace hone::jinja
