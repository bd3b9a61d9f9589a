// hone-engine: the commands that need tensors. Started by hone, which parsed the same arguments
// already.
#include "cli/engine/engine.h"
#include "cli/program.h"
#include "tune/torch_error.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

// glibc gives large blocks back to the system when they are freed, and every layer of every batch
// then pays for zeroed pages again (a fifth of the time of an evaluation). The blocks that a step
// frees are just those that the next one asks for, so they are kept.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  return hone::run_program(argc, argv,
                           {
                               {"train", hone::run_train},
                               {"eval", hone::run_eval},
                               {"predict", hone::run_predict},
                               {"score", hone::run_score},
                               {"check", hone::run_check},
                               {"env", hone::run_env},
                           },
                           hone::without_torch);
}
