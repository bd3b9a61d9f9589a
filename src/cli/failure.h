// What ends a program early, as one message and an exit code: the only place that maps exceptions.
#pragma once

#include <exception>
#include <string>

#include "base/error.h"

namespace hone {

// `memory_advice` is what the user can lower: it follows the message that memory ran out.
Error error_of(std::exception_ptr failure, const std::string& memory_advice);

}  // namespace hone
