// The optimizers: one line each.
#include "tune/optim/optimizer.h"

namespace hone {

OptimizerInfo adamw(const char* name);  // each in the file of its name
OptimizerInfo adam();
OptimizerInfo adafactor();
OptimizerInfo sgd();
OptimizerInfo lion();
OptimizerInfo lamb();
OptimizerInfo muon();

Table<OptimizerInfo>& optimizers() {
  static Table<OptimizerInfo> all("optimizer", {
                                                   adamw("adamw_torch"),
                                                   adamw("adamw"),
                                                   adam(),
                                                   adafactor(),
                                                   sgd(),
                                                   lion(),
                                                   lamb(),
                                                   muon(),
                                               });
  return all;
}

}  // namespace hone
