// The commands that need tensors, one file each.
#pragma once

namespace CLI {
class App;
}

namespace hone {

int run_train(const CLI::App& arguments);
int run_eval(const CLI::App& arguments);
int run_predict(const CLI::App& arguments);
int run_chat(const CLI::App& arguments);
int run_compare(const CLI::App& arguments);
int run_ensemble(const CLI::App& arguments);
int run_attack(const CLI::App& arguments);
int run_score(const CLI::App& arguments);
int run_embed(const CLI::App& arguments);
int run_search(const CLI::App& arguments);
int run_merge(const CLI::App& arguments);
int run_check(const CLI::App& arguments);
int run_find_lr(const CLI::App& arguments);
int run_suite(const CLI::App& arguments);
int run_sweep(const CLI::App& arguments);
int run_env(const CLI::App& arguments);

}  // namespace hone
