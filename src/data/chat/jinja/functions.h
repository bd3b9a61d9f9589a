// The functions that every template has: range, namespace, dict, raise_exception, strftime_now,
// cycler, joiner.
#pragma once

#include "data/chat/jinja/runtime.h"
#include "data/chat/jinja/scope.h"

namespace hone::jinja {

void add_functions(Runtime& runtime, Scope& scope);

}  // namespace hone::jinja
