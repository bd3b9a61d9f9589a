// The methods of texts, lists and dicts that exist here. Nothing else of Python does: an attribute
// is one of these, a key, or undefined.
#pragma once

#include <optional>
#include <string>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

// value.name as Jinja2's sandbox sees it: a method, or undefined where Python has one that the
// sandbox refuses ("append"); nothing where there is none. A method of Python that is missing here
// is a Fault (kModel).
std::optional<Value> method_of(Runtime& runtime, const Value& value, const std::string& name);

}  // namespace hone::jinja
