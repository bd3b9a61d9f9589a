// Completion scripts made from the table of commands, so that they cannot fall behind it.
#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/light.h"

namespace hone {
namespace {

struct Word {
  std::string text, help;
};

std::vector<Word> options_of(const CLI::App& app) {
  std::vector<Word> words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      words.push_back({"--" + name, option->get_description()});
  }
  return words;
}

// The words of a closed list that a positional argument takes; elsewhere files are offered.
std::vector<Word> positional_words(const std::string& command) {
  std::vector<Word> words;
  if (command == "completion") words = {{"bash", ""}, {"zsh", ""}};
  if (command == "init" || command == "score") {
    for (const Starter& starter : starters()) words.push_back({starter.task, "task"});
  }
  return words;
}

std::string join(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) text += (text.empty() ? "" : " ") + word.text;
  return text;
}

std::vector<Word> command_words() {
  std::vector<Word> words;
  for (const Command& command : commands()) words.push_back({command.name, command.help});
  return words;
}

struct Defined {
  std::string name;
  std::vector<Word> options, words;
};

std::vector<Defined> defined_commands() {
  std::vector<Defined> all;
  for (const Command& command : commands()) {
    CLI::App app;
    command.define(app);
    all.push_back({command.name, options_of(app), positional_words(command.name)});
  }
  return all;
}

std::string bash_script() {
  std::string cases;
  for (const Defined& command : defined_commands()) {
    cases += fmt::format("    {}) options=\"{}\" words=\"{}\" ;;\n", command.name,
                         join(command.options), join(command.words));
  }
  return fmt::format(R"(_hone() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} options= words=
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "{} --help --version" -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _hone hone
)",
                     join(command_words()), cases);
}

// 'name:help' of _describe; a colon or quote within is escaped.
std::string zsh_words(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) {
    std::string help;
    for (char c : word.help)
      help += c == '\'' ? std::string("'\\''") : c == ':' ? std::string("\\:") : std::string(1, c);
    text += fmt::format(" '{}:{}'", word.text, help);
  }
  return text;
}

std::string zsh_script() {
  std::string cases;
  for (const Defined& command : defined_commands()) {
    cases += fmt::format("    {}) options=({} ) offered=({} ) ;;\n", command.name,
                         zsh_words(command.options), zsh_words(command.words));
  }
  return fmt::format(R"(#compdef hone
_hone() {{
  local -a commands options offered
  commands=({} )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
{}  esac
  if [[ $PREFIX == -* ]]; then
    _describe option options
  else
    (( $#offered )) && _describe word offered
    _files
  fi
}}
compdef _hone hone
)",
                     zsh_words(command_words()), cases);
}

}  // namespace

int run_completion(const CLI::App& arguments) {
  std::cout << (text_of(arguments, "SHELL") == "bash" ? bash_script() : zsh_script());
  return 0;
}

}  // namespace hone
