#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/hub.h"
#include "cli/arguments.h"
#include "cli/light.h"
#include "data/chat/chat_lines.h"
#include "data/tokenizer/tokenize_lines.h"

namespace hone {
namespace {

std::shared_ptr<const Tokenizer> load(const CLI::App& arguments) {
  TokenizerOptions options;
  if (flag_of(arguments, "--do-lower-case"))
    options.do_lower_case = text_of(arguments, "--do-lower-case") == "true";
  const std::string name = text_of(arguments, "MODEL");
  return Tokenizer::load(std::filesystem::is_regular_file(name) ? name : resolve_model(name),
                         options);
}

std::string folder_of(const CLI::App& arguments) {
  const std::string name = text_of(arguments, "MODEL");
  if (!std::filesystem::is_regular_file(name)) return resolve_model(name);
  const std::filesystem::path folder = std::filesystem::path(name).parent_path();
  return folder.empty() ? "." : folder.string();
}

void write_tokens(const CLI::App& arguments, std::istream& in, const std::string& name) {
  const std::shared_ptr<const Tokenizer> tokenizer = load(arguments);
  if (flag_of(arguments, "--chat")) {
    const std::string chosen = flag_of(arguments, "--chat-template")
                                   ? text_of(arguments, "--chat-template")
                                   : std::string();
    chat_lines(*tokenizer, *ChatTemplate::load(folder_of(arguments), chosen), in, name, std::cout);
    return;
  }
  TokenizeLinesOptions options;
  options.adds_special_tokens = !flag_of(arguments, "--no-special-tokens");
  options.is_json = flag_of(arguments, "--jsonl");
  tokenize_lines(*tokenizer, in, name, options, std::cout);
}

}  // namespace

int run_tokenize(const CLI::App& arguments) {
  const std::string path = text_of(arguments, "FILE");
  if (path == "-") {
    write_tokens(arguments, std::cin, "stdin");
    return 0;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kData, {path}, "cannot be read; is the name right?");
  write_tokens(arguments, file, path);
  return 0;
}

}  // namespace hone
