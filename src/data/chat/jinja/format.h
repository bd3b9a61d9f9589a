// "%s" % values, which the filter format does too, and "{}".format(values).
#pragma once

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

Value percent_format(Runtime& runtime, const Text& format, const Arguments& values);
Value brace_format(Runtime& runtime, const Text& format, const Arguments& values);

}  // namespace hone::jinja
