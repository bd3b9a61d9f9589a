// The message of the Error that an action throws, without the folder of its file.
#pragma once

#include <string>

#include "base/error.h"

namespace hone::testing_support {

template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    std::string text = error.what();
    const size_t slash = error.where().file.rfind('/');
    if (slash != std::string::npos && text.starts_with(error.where().file))
      text.erase(0, slash + 1);
    return text;
  }
  return "no error";
}

}  // namespace hone::testing_support
