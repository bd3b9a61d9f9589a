#include "cli/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"

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
    const int code = runner.run(arguments);
    std::cout.flush();
    if (!std::cout)
      throw Error(ErrorKind::kInternal, "standard output could not be written; is the disk full?");
    return code;
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

int report_failure(const char* message, ErrorKind kind) {
  log_line(LogLevel::kError, message);
  return static_cast<int>(kind);
}

}  // namespace

int run_program(int argc, char** argv, const std::vector<Runner>& runners) {
  std::ios::sync_with_stdio(false);
  clean_up_on_signals();
  try {
    return parse_and_run(argc, argv, runners);
  } catch (const Error& error) {
    return report_failure(error.what(), error.kind());
  } catch (const std::filesystem::filesystem_error&
               error) {  // a folder that may not be written, a disk that is full
    return report_failure(
        fmt::format("{}: {}.", error.path1().string(), error.code().message()).c_str(),
        ErrorKind::kUsage);
  } catch (const std::bad_alloc&) {
    return report_failure(
        "out of memory. Smaller batches (train.per_device_train_batch_size, --max-tokens) need "
        "less.",
        ErrorKind::kInternal);
  } catch (const std::exception& error) {
    return report_failure(fmt::format("internal error: {}", error.what()).c_str(),
                          ErrorKind::kInternal);
  }
}

}  // namespace hone
