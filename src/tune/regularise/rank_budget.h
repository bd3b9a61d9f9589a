// AdaLoRA's part of training: the term that keeps its matrices orthogonal, and the budget of ranks
// that layers share, which falls with the steps (Zhang et al. 2023,
// https://arxiv.org/abs/2303.10512; numbers as peft.tuners.adalora.layer.RankAllocator has them).
#pragma once

#include "tasks/network.h"
#include "tune/regularise/regulariser.h"

namespace hone {

bool has_rank_budget(const Network& network);  // any adapter whose ranks move
// For such a network; in a run whenever there is one. Error(kUsage) where the steps of the run
// leave none to take ranks away in.
ChosenRegulariser rank_budget();

// How many ranks of layers are to be left after so many steps, and whether they are shared out
// anew then.
struct RankBudgetPlan {
  int64_t first = 0, last = 0;                // ranks, of all layers together
  int64_t tinit = 0, tfinal = 0, deltaT = 1;  // steps
  int64_t total_step = 0;

  int64_t ranks(int64_t step) const;
  bool shares_out(int64_t step) const;
  int64_t end() const { return total_step - tfinal; }  // the last step that takes ranks away
};

}  // namespace hone
