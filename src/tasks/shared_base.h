// Several adapters beside one base model, which memory holds once.
#pragma once

#include <set>
#include <string>

#include "tasks/peft.h"

namespace hone {

// A network with an adapter, whose base model others are to share. REQUIRES: on the CPU, in its
// precision.
struct BaseInUse {
  const Network& network;
  const Adapted& adapted;
};

// Weights of the base model that a network made for the same one need not read: by their names.
std::set<std::string> weights_in_use(const Network& network, const BaseInUse& base);

// Gives the network these weights, those that its own adapter trains left out. What could not be
// shared, as a layer that is joined with it is trained, is returned: it must be read.
std::set<std::string> share_base(Network& network, const std::set<std::string>& weights,
                                 const BaseInUse& base);

}  // namespace hone
