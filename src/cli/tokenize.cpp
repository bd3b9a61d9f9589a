#include <fstream>
#include <iostream>

#include "base/hub.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/light.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {
namespace {

struct Line {
  std::string text;
  Where where;
};

std::string text_of_json(const Line& line) {
  const Json value = parse_json(line.text, line.where, ErrorKind::kData);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("text") && value["text"].is_string()) return value["text"].get<std::string>();
  throw Error(ErrorKind::kData, line.where, "is neither a JSON string nor an object with a string \"text\".");
}

void check_utf8(const Line& line) {
  const size_t at = invalid_utf8(line.text);
  if (at == std::string::npos) return;
  throw Error(ErrorKind::kData, {line.where.file, line.where.line, static_cast<int64_t>(at) + 1}, "is not valid UTF-8.");
}

Json describe(const Tokenizer& tokenizer, const Sequence& sequence) {
  Json tokens = Json::array(), offsets = Json::array();
  for (int64_t i = 0; i < sequence.size(); ++i) {
    tokens.push_back(tokenizer.token(sequence.ids[static_cast<size_t>(i)]));
    offsets.push_back({sequence.offsets[static_cast<size_t>(i)].start, sequence.offsets[static_cast<size_t>(i)].end});
  }
  return {{"ids", sequence.ids}, {"tokens", std::move(tokens)}, {"offsets", std::move(offsets)}};
}

std::shared_ptr<const Tokenizer> load(const CLI::App& arguments) {
  TokenizerOptions options;
  if (flag_of(arguments, "--do-lower-case")) options.do_lower_case = text_of(arguments, "--do-lower-case") == "true";
  const std::string name = text_of(arguments, "MODEL");
  return Tokenizer::load(std::filesystem::is_regular_file(name) ? name : resolve_model(name), options);
}

void tokenize_lines(const CLI::App& arguments, const Tokenizer& tokenizer, std::istream& in, const std::string& name) {
  const bool is_json = flag_of(arguments, "--jsonl"), is_bare = flag_of(arguments, "--no-special-tokens");
  Line line;
  line.where.file = name;
  while (std::getline(in, line.text)) {
    ++line.where.line;
    check_utf8(line);
    const Encoding encoding = tokenizer.encode(is_json ? text_of_json(line) : line.text);
    const Sequence sequence = is_bare ? Sequence{encoding.ids, {}, encoding.words, encoding.offsets} : tokenizer.post_process(encoding);
    std::cout << describe(tokenizer, sequence).dump() << '\n';
  }
}

}  // namespace

int run_tokenize(const CLI::App& arguments) {
  const std::shared_ptr<const Tokenizer> tokenizer = load(arguments);
  const std::string path = text_of(arguments, "FILE");
  if (path == "-") {
    tokenize_lines(arguments, *tokenizer, std::cin, "stdin");
    return 0;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kData, {path}, "cannot be read; is the name right?");
  tokenize_lines(arguments, *tokenizer, file, path);
  return 0;
}

}  // namespace hone
