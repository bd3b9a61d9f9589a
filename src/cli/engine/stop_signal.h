// SIGINT and SIGTERM ask for an end after the current step, with everything saved. A second one
// ends the program at once.
#pragma once

#include <atomic>

namespace hone {

std::atomic<bool>& catch_stop_signals();  // set once a signal has come
int stop_exit_code();                     // 130 after SIGINT, 143 after SIGTERM

}  // namespace hone
