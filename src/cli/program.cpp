#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mappings.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/failure.h"

namespace hone {
namespace {

constexpr const char* kDescription = "hone fine-tunes, tests and reports on Transformers.";

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  return names;
}

// A message, its full stop, and where the list of what is known stands.
std::string with_hint(const std::string& message, const std::string& program) {
  return fmt::format("{}{} See {} --help.", message,
                     message.ends_with('?') || message.ends_with('.') ? "" : ".", program);
}

const Command& command_named(const std::string& name) {
  for (const Command& command : commands()) {
    if (command.name == name) return command;
  }
  std::vector<std::string> names = command_names();
  if (name.starts_with('-')) names = {"--help", "--version"};
  const std::string message =
      fmt::format("hone has no {} \"{}\"{}", name.starts_with('-') ? "option" : "command", name,
                  did_you_mean(name, names));
  throw Error(ErrorKind::kUsage, with_hint(message, "hone"));
}

[[noreturn]] void refuse_extra(const CLI::App& app, const std::string& extra) {
  std::string message = fmt::format("{}: \"{}\" is one argument too many", app.get_name(), extra);
  if (extra.starts_with('-')) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    const std::string name = extra.substr(0, extra.find('='));
    message =
        fmt::format("{} has no option \"{}\"{}", app.get_name(), name, did_you_mean(name, names));
  }
  throw Error(ErrorKind::kUsage, with_hint(message, app.get_name()));
}

std::string overview() {
  std::string text = fmt::format("{}\n\nUsage: hone COMMAND …\n\nCommands:\n", kDescription);
  for (const Command& command : commands())
    text += fmt::format("  {:<12} {}\n", command.name, command.help);
  return text +
         "\nhone COMMAND --help tells more about one command. hone --version prints the version.\n";
}

[[noreturn]] void start_engine(char** argv) {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  const std::filesystem::path self(size > 0 ? std::string(path, static_cast<size_t>(size))
                                            : std::string(argv[0]));
  const std::string engine = (self.parent_path() / "hone-engine").string();
  // libtorch's OpenMP threads wait for each other by spinning, 300,000 rounds unless told
  // otherwise. Where other programs want the same cores, that takes the time from the very thread
  // that is waited for: measured 10 times slower on two busy cores.
  setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
  execv(engine.c_str(), argv);
  throw Error(ErrorKind::kInternal, {engine},
              fmt::format("cannot be started: {}. It belongs beside the program hone.",
                          std::strerror(errno)));
}

bool has_flag(const CLI::App& arguments, const std::string& name) {
  const CLI::Option* option = arguments.get_option_no_throw(name);
  return option && option->count() > 0;
}

int run_parsed(const Command& command, const CLI::App& arguments, char** argv,
               const std::vector<Runner>& runners) {
  for (const Runner& runner : runners) {
    if (std::string_view(runner.name) != command.name) continue;
    if (has_flag(arguments, "--quiet") || has_flag(arguments, "--json")) Progress::set_quiet(true);
    if (has_flag(arguments, "--quiet")) setenv("HONE_LOG", "warn", /*overwrite=*/0);
    return runner.run(arguments);
  }
  start_engine(argv);
}

int run_command(const Command& command, std::vector<std::string> words, char** argv,
                const std::vector<Runner>& runners) {
  CLI::App app{command.help, std::string("hone ") + command.name};
  app.allow_extras();
  command.define(app);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
    if (const std::vector<std::string> extras = app.remaining(); !extras.empty())
      refuse_extra(app, extras.front());
    return run_parsed(command, app, argv, runners);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (const std::vector<std::string> extras = app.remaining(); !extras.empty())
      refuse_extra(app, extras.front());
    throw Error(ErrorKind::kUsage,
                with_hint(fmt::format("{}: {}", app.get_name(), error.what()), app.get_name()));
  }
}

int parse_and_run(int argc, char** argv, const std::vector<Runner>& runners) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() > 1 && words.front() == "help") words = {words[1], "--help"};
  const std::string first = words.empty() ? "" : words.front();
  if (first == "--version") {
    std::cout << "hone " HONE_VERSION "\n";
    return 0;
  }
  if (words.empty() || first == "--help" || first == "-h" || first == "help") {
    (words.empty() ? std::cerr : std::cout) << overview();
    return words.empty() ? static_cast<int>(ErrorKind::kUsage) : 0;
  }
  const Command& command = command_named(first);
  words.erase(words.begin());
  return run_command(command, std::move(words), argv, runners);
}

// What the command of this name can be asked to do with less memory.
std::string memory_advice(const std::string& name) {
  for (const Command& command : commands()) {
    if (command.name != name) continue;
    CLI::App app;
    command.define(app);
    if (app.get_option_no_throw("--max-tokens") != nullptr)
      return "A smaller --max-tokens needs less.";
    if (app.get_option_no_throw("CONFIG") != nullptr)
      return "A smaller train.per_device_train_batch_size (with more "
             "train.gradient_accumulation_steps), a smaller train.max_seq_length or "
             "train.recompute=true need less.";
  }
  return "";
}

// A file opened later would take the place of a standard stream that is closed, and get what is
// written to that. What stands in for it fails as a closed one does.
void keep_standard_places() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) std::abort();
  }
}

}  // namespace

int run_program(int argc, char** argv, const std::vector<Runner>& runners, Translate translate) {
  keep_standard_places();
  std::ios::sync_with_stdio(false);
  clean_up_on_signals();
  end_on_bad_mappings();
  std::cin.tie(nullptr);  // else reading writes, and takes a failure to write for its own
  try {
    std::cout.exceptions(std::ios::badbit | std::ios::failbit);  // nothing is computed for nobody
    const int code = parse_and_run(argc, argv, runners);
    std::cout.flush();
    return code;
  } catch (...) {
    const std::exception_ptr thrown = std::current_exception();
    const Error error = error_of(translate != nullptr ? translate(thrown) : thrown,
                                 memory_advice(argc > 1 ? argv[1] : ""));
    log_line(LogLevel::kError, error.what());
    return static_cast<int>(error.kind());
  }
}

}  // namespace hone
