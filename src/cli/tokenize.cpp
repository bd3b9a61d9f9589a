#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/hub.h"
#include "cli/arguments.h"
#include "cli/light.h"
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

}  // namespace

int run_tokenize(const CLI::App& arguments) {
  const std::shared_ptr<const Tokenizer> tokenizer = load(arguments);
  TokenizeLinesOptions options;
  options.adds_special_tokens = !flag_of(arguments, "--no-special-tokens");
  options.is_json = flag_of(arguments, "--jsonl");
  const std::string path = text_of(arguments, "FILE");
  if (path == "-") {
    tokenize_lines(*tokenizer, std::cin, "stdin", options, std::cout);
    return 0;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kData, {path}, "cannot be read; is the name right?");
  tokenize_lines(*tokenizer, file, path, options, std::cout);
  return 0;
}

}  // namespace hone
