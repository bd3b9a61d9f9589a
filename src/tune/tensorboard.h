// Event files that TensorBoard reads: scalars of training ("train/loss", "train/learning_rate", …)
// and evaluation ("eval/loss", "eval/<metric>"). A resumed run writes a further file, whose start
// mark makes TensorBoard drop what lies past its step.
#pragma once

#include <string>

#include "tune/events.h"

namespace hone {

Listener tensorboard_log(const std::string& folder);

}  // namespace hone
