// The optimizers: one line each.
#include "tune/optim/adamw.h"
#include "tune/optim/optimizer.h"

namespace hone {

Table<OptimizerInfo>& optimizers() {
  static Table<OptimizerInfo> all(
      "optimizer", {
                       {"adamw_torch", "AdamW with decoupled weight decay", make_adamw},
                       {"adamw", "the same", make_adamw},
                   });
  return all;
}

}  // namespace hone
