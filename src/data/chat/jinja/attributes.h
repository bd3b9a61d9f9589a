// value.name and value[key] as Jinja2's sandbox looks them up.
#pragma once

#include <string>
#include <vector>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

Value attribute(Runtime& runtime, const Value& value, const std::string& name);  // value.name
Value subscript(Runtime& runtime, const Value& value, const Value& key);         // value[key]
// An attribute, never a key: the filter attr.
Value attribute_only(Runtime& runtime, const Value& value, const std::string& name);

// "a.b.0" within `value`, as map(attribute=…) and others have it; None: the value itself. What is
// undefined on the way becomes `otherwise` unless that is None.
Value attribute_path(Runtime& runtime, const Value& value, const Value& path,
                     const Value& otherwise = {});
// The same for several with commas between them.
std::vector<Value> attribute_paths(Runtime& runtime, const Value& value, const Value& paths);

}  // namespace hone::jinja
