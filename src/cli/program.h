// What the two programs share: parsing by the table of commands, running, and the mapping of errors
// to exit codes.
#pragma once

#include <exception>
#include <vector>

namespace CLI {
class App;
}

namespace hone {

// Returns the exit code; may throw Error.
using Run = int (*)(const CLI::App& arguments);

struct Runner {
  const char* name;
  Run run;
};

// Makes another exception of one: for a library that this file does not know.
using Translate = std::exception_ptr (*)(std::exception_ptr failure);

// Parses the command line and runs its command. One that is not among `runners` is handed to the
// engine beside this program. Whatever is thrown becomes one message. Exit codes: 0 done; 1 our
// fault; 2 usage, configuration or memory; 3 data; 4 model files; 130 and 143 interrupted.
int run_program(int argc, char** argv, const std::vector<Runner>& runners,
                Translate translate = nullptr);

}  // namespace hone
