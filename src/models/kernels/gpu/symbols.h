// Functions of libraries that are opened at run time.
#pragma once

#include <dlfcn.h>

namespace hone::kernels::gpu {

// Whether `library` has it; `function` is null where it has not.
template <typename Function>
bool find_symbol(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace hone::kernels::gpu
