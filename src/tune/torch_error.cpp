#include "tune/torch_error.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "base/error.h"

namespace hone {
namespace {

// The allocator of the processor has no exception of its own, nor have CUDA's libraries beside
// libtorch's allocator.
bool is_out_of_memory(std::string_view message) {
  for (const std::string_view words :
       {"can't allocate memory", "not enough memory", "out of memory", "STATUS_ALLOC_FAILED"})
    if (message.find(words) != std::string_view::npos) return true;
  return false;
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
