// hone: the commands that need no tensor run here, the others in hone-engine.
#include "cli/light.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  return hone::run_program(argc, argv,
                           {
                               {"tokenize", hone::run_tokenize},
                               {"tokenizer", hone::run_tokenizer},
                               {"init", hone::run_init},
                               {"pull", hone::run_pull},
                               {"completion", hone::run_completion},
                           });
}
