#include "run/chat.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <optional>
#include <string_view>

#include "base/console.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/stop_signal.h"

namespace hone {
namespace {

constexpr std::string_view kHelp =
    "/reset          forget the turns so far\n"
    "/system TEXT    what the system message says; without a text: there is none\n"
    "/save FILE      write the conversation as a row of training data (JSON lines)\n"
    "/exit           end, as Ctrl-D does\n"
    "A line that begins with // is a message that begins with one.\n"
    "Ctrl-C stops an answer; what was written of it stays.\n";

// Text of a model as a terminal may get it: it obeys what it is sent.
std::string for_terminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = std::min(text.find_first_of("\n\t"), text.size());
    out += console::printable(text.substr(0, size));
    if (size < text.size()) out += text[size];
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return out;
}

class ChatSession {
 public:
  ChatSession(Pipeline& pipeline, const CLI::App& arguments)
      : conversation_(pipeline),
        is_json_(flag_of(arguments, "--json")),
        is_terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0),
        stop_(catch_stop_signals()) {
    conversation_.set_system(text_of(arguments, "--system"));
  }

  int run() {
    if (is_terminal_) std::cout << "/help tells the commands; /exit ends.\n";
    while (!ends_) {
      const std::optional<std::string> line = next_line();
      if (!line) break;
      take(*line);
    }
    return exit_code_;
  }

 private:
  // Nothing at the end of the input, or where a signal ends the program.
  std::optional<std::string> next_line() {
    if (is_terminal_) std::cout << "> ";
    std::cout.flush();
    std::string line;
    if (!wait_for_input() || !std::getline(std::cin, line)) return std::nullopt;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
  }

  // On a terminal Ctrl-C ends no prompt. Reading itself would not be broken off by a signal.
  bool wait_for_input() {
    while (std::cin.rdbuf()->in_avail() == 0) {
      if (stop_ && (!is_terminal_ || !is_ctrl_c())) {
        exit_code_ = stop_exit_code();
        return false;
      }
      if (stop_.exchange(false)) std::cout << "\n/exit or Ctrl-D ends.\n> " << std::flush;
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (poll(&input, 1, /*timeout=*/-1) > 0) break;
    }
    return true;
  }

  static bool is_ctrl_c() { return stop_exit_code() == 128 + SIGINT; }

  void take(const std::string& line) {
    if (line.empty()) return;
    try {
      if (line.starts_with("//")) return answer(line.substr(1));
      if (line.starts_with('/')) return obey(line);
      answer(line);
    } catch (const Error& error) {  // of this line, not of those to come
      if (error.kind() != ErrorKind::kData && error.kind() != ErrorKind::kUsage) throw;
      log_line(LogLevel::kError, error.what());
      if (!is_terminal_) exit_code_ = static_cast<int>(error.kind());
    }
  }

  void obey(const std::string& line) {
    const size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank),
                      rest = blank == std::string::npos ? "" : line.substr(blank + 1);
    static const std::vector<std::string> names = {"/reset", "/system", "/save", "/exit", "/help"};
    if (name == "/reset") return conversation_.reset();
    if (name == "/system") return conversation_.set_system(rest);
    if (name == "/save") return save(rest);
    if (name == "/help") {
      std::cerr << kHelp;
    } else if (name == "/exit") {
      ends_ = true;
    } else {
      throw Error(ErrorKind::kUsage, fmt::format("\"{}\" is no command{}; /help lists them", name,
                                                 did_you_mean(name, names)));
    }
  }

  void save(const std::string& path) {
    if (path.empty()) throw Error(ErrorKind::kUsage, "/save needs the name of a file");
    write_file(path, to_text(Json{{"messages", conversation_.messages()}}) + "\n");
    log_info("{}: {} messages", path, conversation_.messages().size());
  }

  void answer(const std::string& message) {
    const ChatAnswer answer = conversation_.ask(
        message, [this](std::string_view piece) { show(piece); }, [this] { return stop_.load(); });
    if (is_json_) {
      Json line = {{"answer", answer.text}};
      line.update(answer.facts);
      std::cout << to_text(line);
    }
    std::cout << std::endl;
    if (answer.left_out > 0)
      log_info("the oldest {} no longer fit into the model's positions, and are left out",
               answer.left_out == 1
                   ? "message and its answer"
                   : fmt::format("{} messages and their answers", answer.left_out));
    if (answer.reason == FinishReason::kLength || answer.reason == FinishReason::kPositions)
      log_info("the answer ends here: {}", answer.reason == FinishReason::kLength
                                               ? "it has max_new_tokens tokens"
                                               : "the model has no further position");
    if (answer.reason == FinishReason::kInterrupted) tell_interrupted(answer);
  }

  void tell_interrupted(const ChatAnswer& answer) {
    log_info("stopped; {}", answer.text.empty() ? "nothing was written, the message is forgotten"
                                                : "what was written stays");
    if (!is_ctrl_c()) {
      ends_ = true;
      exit_code_ = stop_exit_code();
    }
    stop_ = false;
  }

  void show(std::string_view piece) const {
    if (is_json_ || piece.empty()) return;
    if (is_terminal_)
      std::cout << for_terminal(piece);
    else
      std::cout << piece;
    std::cout.flush();
  }

  Conversation conversation_;
  bool is_json_, is_terminal_, ends_ = false;
  std::atomic<bool>& stop_;
  int exit_code_ = 0;
};

}  // namespace

int run_chat(const CLI::App& arguments) {
  const auto pipeline = load_writer(text_of(arguments, "MODEL"), load_task_options(arguments));
  return ChatSession(*pipeline, arguments).run();
}

}  // namespace hone
