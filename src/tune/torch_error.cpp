#include "tune/torch_error.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "base/error.h"

namespace hone {
namespace {

// The allocator of the processor has no exception of its own.
bool is_out_of_memory(std::string_view message) {
  return message.find("can't allocate memory") != std::string_view::npos ||
         message.find("not enough memory") != std::string_view::npos;
}

}  // namespace

std::exception_ptr without_torch(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const c10::OutOfMemoryError&) {
    return std::make_exception_ptr(std::bad_alloc());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (is_out_of_memory(message)) return std::make_exception_ptr(std::bad_alloc());
    return std::make_exception_ptr(
        Error(ErrorKind::kInternal, "internal error: " + message.substr(0, message.find('\n'))));
  } catch (...) {
    return failure;
  }
}

}  // namespace hone
