// hone as a library: fine-tunes by a configuration, prints the score, answers a text.
//
//     example CONFIG.yaml TEXT [KEY=VALUE…]
#include <exception>
#include <iostream>

#include "base/error.h"
#include "run/fine_tune.h"
#include "tune/console.h"

namespace {

void run(const std::string& path, const std::string& text,
         const std::vector<std::string>& overrides) {
  const hone::RunConfig config = hone::RunConfig::load(path, overrides);
  const hone::RunResult result = hone::fine_tune(config, {}, {hone::console_log()});
  if (result.test)
    std::cout << result.test->report.metric << " " << result.test->report.score << "\n";

  hone::Record record;
  record.fields = {{result.pipeline->task().text_fields().front(), text}};
  const std::vector<hone::Json> answers = result.pipeline->predict({record});
  std::cout << hone::to_text(answers.front()) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: example CONFIG.yaml TEXT [KEY=VALUE…]\n";
    return 2;
  }
  try {
    run(argv[1], argv[2], {argv + 3, argv + argc});
    return 0;
  } catch (const hone::Error& error) {  // the user can act on it: a file, a line, what to do
    std::cerr << "error: " << error.what() << "\n";
    return static_cast<int>(error.kind());
  }
}
