#include "cli/failure.h"

#include <fmt/format.h>

#include <filesystem>
#include <ios>
#include <new>
#include <system_error>

namespace hone {
namespace {

// Other people's messages may hold a stack trace from their second line on.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Error own_fault(const std::string& message) {
  return {ErrorKind::kInternal, fmt::format("internal error: {}", first_line(message))};
}

Error out_of_memory(const std::string& advice) {
  return {ErrorKind::kUsage, advice.empty() ? "out of memory." : "out of memory. " + advice};
}

// A folder that may not be written, a disk that is full.
Error file_error(const std::filesystem::filesystem_error& error) {
  return {ErrorKind::kUsage, {error.path1().string()}, error.code().message() + "."};
}

Error system_error(const std::system_error& error) {
  if (error.code() == std::errc::resource_unavailable_try_again)
    return {ErrorKind::kUsage,
            "the system starts no further thread; ask for fewer (train.threads, --threads)."};
  return own_fault(error.what());
}

}  // namespace

Error error_of(std::exception_ptr failure, const std::string& memory_advice) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return out_of_memory(memory_advice);
  } catch (const std::ios_base::failure&) {  // std::cout is the only stream that throws
    return {ErrorKind::kInternal, "standard output could not be written; is the disk full?"};
  } catch (const std::filesystem::filesystem_error& error) {
    return file_error(error);
  } catch (const std::system_error& error) {
    return system_error(error);
  } catch (const std::exception& error) {
    return own_fault(error.what());
  } catch (...) {
    return own_fault("an exception of no known kind");
  }
}

}  // namespace hone
