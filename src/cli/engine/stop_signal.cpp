#include "cli/engine/stop_signal.h"

#include <unistd.h>

#include <csignal>

#include "base/file.h"

namespace hone {
namespace {

std::atomic<bool> requested = false;
std::atomic<int> received = 0;
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);  // as a signal handler needs

void on_signal(int signal) {
  received = signal;
  if (!requested.exchange(true)) return;
  remove_temporaries();
  _exit(128 + signal);
}

}  // namespace

std::atomic<bool>& catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return requested;
}

int stop_exit_code() { return 128 + received; }

}  // namespace hone
