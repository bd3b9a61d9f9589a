#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/light.h"
#include "data/tokenizer/training/train_tokenizer.h"

namespace hone {
namespace {

// Those of KEY=VALUE that say how to read the data begin with "data.".
std::vector<std::string> words_of(const CLI::App& arguments, bool of_data) {
  constexpr std::string_view kData = "data.";
  std::vector<std::string> out;
  for (const std::string& word : list_of(arguments, "KEY=VALUE")) {
    if (word.starts_with(kData) == of_data) out.push_back(word.substr(of_data ? kData.size() : 0));
  }
  return out;
}

SourceOptions read_source(const CLI::App& arguments) {
  std::vector<std::string> words = words_of(arguments, true);
  words.emplace_back("path=\"-\"");  // the name itself may hold any bytes, which YAML may not
  Config config = Config::parse("", "command line", words);
  SourceOptions out = SourceOptions::read(config);
  config.refuse_unknown();
  out.path = text_of(arguments, "DATA");
  return out;
}

}  // namespace

int run_tokenizer(const CLI::App& arguments) {
  Config config = Config::parse("", "command line", words_of(arguments, false));
  const TrainTokenizerOptions options = TrainTokenizerOptions::read(config);
  config.refuse_unknown();
  const std::string folder = text_of(arguments, "FOLDER");
  const TrainedTokenizer trained = train_tokenizer(options, read_source(arguments), folder);
  if (flag_of(arguments, "--json")) {
    std::cout << Json{{"folder", folder},
                      {"vocab_size", trained.vocab_size},
                      {"texts", trained.texts},
                      {"words", trained.words},
                      {"different_words", trained.different_words}}
                     .dump(-1, ' ', false, Json::error_handler_t::replace)
              << '\n';
  } else {
    std::cout << fmt::format("{}: {} tokens, learned from {} texts ({} words, {} different)\n",
                             folder, trained.vocab_size, trained.texts, trained.words,
                             trained.different_words);
  }
  return 0;
}

}  // namespace hone
