// The commands that need no tensor, one file each.
#pragma once

namespace CLI {
class App;
}

namespace hone {

int run_tokenize(const CLI::App& arguments);
int run_tokenizer(const CLI::App& arguments);
int run_init(const CLI::App& arguments);
int run_pull(const CLI::App& arguments);
int run_completion(const CLI::App& arguments);

}  // namespace hone
