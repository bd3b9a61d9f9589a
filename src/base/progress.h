// Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in
// a log.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace hone {

class Progress {
 public:
  // `unit` names what is counted ("steps", "rows"); total 0 means unknown.
  Progress(std::string title, int64_t total, std::string unit);
  ~Progress();  // ends the line

  void advance_to(int64_t done, const std::string& note = "");  // note: "loss 0.412"
  static void set_quiet(bool quiet);                            // --quiet and --json

 private:
  std::string title_, unit_, note_;
  int64_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, shown_;
  bool terminal_;
};

}  // namespace hone
