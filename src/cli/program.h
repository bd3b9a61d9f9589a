// What the two programs share: parsing by the table of commands, running, and the mapping of errors
// to exit codes.
#pragma once

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

// Parses the command line and runs its command. One that is not among `runners` is handed to the
// engine beside this program. Exit codes: 0 done; 1 our fault; 2 usage or configuration; 3 data; 4
// model files; 130 and 143 interrupted.
int run_program(int argc, char** argv, const std::vector<Runner>& runners);

}  // namespace hone
