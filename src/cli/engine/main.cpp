// hone-engine: the commands that need tensors. Started by hone, which parsed the same arguments
// already.
#include "cli/engine/engine.h"
#include "cli/program.h"
#include "run/environment.h"
#include "tune/torch_error.h"

int main(int argc, char** argv) {
  hone::keep_freed_memory();
  return hone::run_program(argc, argv,
                           {
                               {"train", hone::run_train},
                               {"eval", hone::run_eval},
                               {"predict", hone::run_predict},
                               {"chat", hone::run_chat},
                               {"embed", hone::run_embed},
                               {"search", hone::run_search},
                               {"score", hone::run_score},
                               {"compare", hone::run_compare},
                               {"ensemble", hone::run_ensemble},
                               {"attack", hone::run_attack},
                               {"merge", hone::run_merge},
                               {"check", hone::run_check},
                               {"find-lr", hone::run_find_lr},
                               {"suite", hone::run_suite},
                               {"sweep", hone::run_sweep},
                               {"env", hone::run_env},
                           },
                           hone::without_torch);
}
