#include "base/mappings.h"

#include <fmt/format.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string_view>

#include "base/console.h"
#include "base/error.h"
#include "base/file.h"

namespace hone {
namespace {

// Fixed memory, for a signal handler may do little more than read it.
class Mappings {
 public:
  void add(const void* data, size_t size, const std::string& path) {
    const std::string message = fmt::format(
        "error: {}: cannot be read any more: it was cut off meanwhile, or its disk fails\n",
        console::printable(path));
    for (Slot& slot : slots_) {
      const void* expected = nullptr;
      if (message.size() > slot.message.size() ||
          !slot.data.compare_exchange_strong(expected, &slot))  // in the making
        continue;
      std::memcpy(slot.message.data(), message.data(), message.size());
      slot.message_size = message.size();
      slot.size = size;
      slot.data = data;
      return;
    }
  }
  void forget(const void* data) {
    for (Slot& slot : slots_) {
      const void* expected = data;
      slot.data.compare_exchange_strong(expected, nullptr);
    }
  }
  // What is said of the file that is mapped at `address`; "" where none is.
  std::string_view message_at(const void* address) const noexcept {
    for (const Slot& slot : slots_) {
      const auto *begin = static_cast<const char*>(slot.data.load()),
                 *at = static_cast<const char*>(address);
      if (begin != nullptr && at >= begin && at < begin + slot.size)
        return {slot.message.data(), slot.message_size};
    }
    return {};
  }

 private:
  struct Slot {
    std::atomic<const void*> data{nullptr};
    size_t size = 0, message_size = 0;
    std::array<char, 2 * PATH_MAX> message{};
  };
  std::array<Slot, 64> slots_;
};
constinit Mappings mappings;

void end_on_bad_mapping(int signal, siginfo_t* info, void*) {
  const std::string_view message = mappings.message_at(info->si_addr);
  if (message.empty()) {
    ::raise(signal);  // its own action stands again: SA_RESETHAND
    return;
  }
  remove_temporaries();
  if (::write(STDERR_FILENO, message.data(), message.size()) < 0) {
    // There is nobody to tell.
  }
  ::_exit(static_cast<int>(ErrorKind::kModel));
}

}  // namespace

void note_mapping(const void* data, size_t size, const std::string& path) {
  mappings.add(data, size, path);
}

void forget_mapping(const void* data) { mappings.forget(data); }

void end_on_bad_mappings() {
  struct sigaction action = {};
  action.sa_sigaction = end_on_bad_mapping;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_SIGINFO);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace hone
