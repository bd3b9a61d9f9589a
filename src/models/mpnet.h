// MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297): an encoder with absolute positions
// and a bias of attention by distance.
#pragma once

#include "models/backbone.h"

namespace hone::mpnet {

ModelConfig read_config(const Json& config);

}  // namespace hone::mpnet
