// The parameters that training changes, with what the optimizer must know of each.
#pragma once

#include <string>
#include <vector>

#include "models/weights.h"
#include "tasks/network.h"
#include "tune/optim/adamw.h"

namespace hone {

// Biases and norm weights do not decay: the rule of transformers.Trainer.get_decay_parameter_names,
// by name.
bool decays(const std::string& name);

// Parameters that require a gradient, under the checkpoint's names, each with the bf16 shadow of
// its Linear where it has one. To be asked for after set_precision.
std::vector<AdamWParameter> trainable_parameters(Network& network);

void clear_gradients(const std::vector<AdamWParameter>& parameters);

StateDict weights_of(const Network& network);  // shares memory with the network
// Every weight by its own name, shapes equal; refreshes the bf16 shadows. Error(kModel) at `source`
// otherwise.
void load_weights(Network& network, const StateDict& weights, const std::string& source);

}  // namespace hone
