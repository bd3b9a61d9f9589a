// A batch of samples as tensors, and how samples become one. The same for all tasks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/sample.h"
#include "models/packed.h"

namespace hone {

struct Batch {
  std::vector<Packed> streams;  // one per Sample stream
  std::map<std::string, at::Tensor>
      targets;  // by name: per token [N] or [N, width], per sample [B] or [B, width]; fp32
  // The targets on the CPU, of a batch that is elsewhere: what is counted there stops no device.
  std::map<std::string, at::Tensor> counted;
  // Bytes that all tensors of the batch lie in, where `staged` put them there, wherever they are
  // now; else undefined.
  at::Tensor staged;
  std::vector<int64_t> records;  // [B] index of each sample's record
  uint64_t seed = 0;  // as collate was given it: for what a task draws, alike on every device
  int32_t task = 0;   // Sample::task of all of them
  // What its loss is multiplied with, where an optimizer step holds several tasks: 1 otherwise.
  double loss_scale = 1;
  // How much of a sample's pooled vector is its own; the rest is that of its partner (partners_in).
  // 1: all. Heads of tasks that can mix (Task::can_mix) heed it.
  double mix = 1;
  // How many samples each part has that goes through the network by itself, where memory does not
  // hold all of them at once (Network::forward); empty: the batch is one part.
  std::vector<int64_t> parts;
};

// Samples of one task laid end to end in the order given. `indices` are their places in the split
// (they seed the dropout keys); `seed` is mix(run seed, step).
Batch collate(const std::vector<Sample>& samples, const std::vector<int64_t>& indices,
              uint64_t seed);

// [B] int64: with whom each of so many samples is mixed: those of a pair stand beside each other,
// as the plan puts them (PlanOptions::pairs); the last of an odd number is its own partner.
at::Tensor partners_in(int64_t samples);

// How many values of a target column are targets: not kNoTarget.
double count_targets(const Batch& batch, const std::string& target);

// The same batch with all its tensors in one stretch of memory, so that one copy takes them to a
// device; `is_pinned`: of the memory that a GPU reads while the host goes on.
Batch staged(Batch batch, bool is_pinned);

// The parts of a batch, without targets: views of its streams.
std::vector<Batch> parts_of(const Batch& batch);

}  // namespace hone
