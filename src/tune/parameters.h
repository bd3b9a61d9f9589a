// The weights of a network as training sees them: which stay as they are, which are trained and at
// what rate.
#pragma once

#include <string>
#include <vector>

#include "models/weights.h"
#include "tasks/network.h"
#include "tune/events.h"
#include "tune/optim/optimizer.h"

namespace hone {

// Biases and norm weights do not decay: the rule of transformers.Trainer.get_decay_parameter_names,
// by name.
bool decays(const std::string& name);
// The layer that a weight's name counts ("encoder.layer.3.…" is 3); none: -1.
int64_t layer_of(const std::string& name);
// Whether it stands before all layers: tables of words and places, and the norms among them.
bool is_embedding(const Parameter& parameter);

// Puts the network on its device and in its precision. Where blocks are recomputed, no bf16 copies
// of weights are kept between products either. Error(kUsage) as use_tf32 has it.
void place_for_training(Network& network, const TrainOptions& options, at::Device device,
                        Precision precision);

// Weights that `options.freeze` names need no gradient from now on: nothing is computed for them
// that no trained weight needs. Error(kUsage) at its place for a pattern that matches none, with
// the nearest name, and where nothing would be left to train.
std::vector<Frozen> freeze(Network& network, const TrainOptions& options);

// Parameters that require a gradient, under the checkpoint's names, each with its rate and decay
// (`options.groups`), and what its layer keeps of it (bf16 shadow, looked-up rows). To be asked for
// after place_for_training and freeze. Error(kUsage) for a group that has none of them.
std::vector<Parameter> trainable_parameters(Network& network, const TrainOptions& options);

struct WeightCount {
  int64_t all = 0, trained = 0;  // numbers
};
WeightCount count_weights(const Network& network);

void clear_gradients(const std::vector<Parameter>& parameters);

// Every trained weight by its own name, shapes equal; refreshes the bf16 shadows. Error(kModel) at
// `source` otherwise.
void load_weights(Network& network, const StateDict& weights, const std::string& source);

}  // namespace hone
