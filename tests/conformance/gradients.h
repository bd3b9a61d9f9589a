// Samples of a case, and the gradient of their loss in batches of any size.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tasks/pipeline.h"

namespace hone::conformance {

struct Encoded {
  std::vector<Sample> samples;
  std::vector<int64_t> indices;
};

inline Encoded encode(const Pipeline& pipeline, const std::vector<Record>& records, size_t most) {
  Encoded all;
  for (size_t i = 0; i < records.size() && all.samples.size() < most; ++i) {
    for (Sample& sample : pipeline.task().encode(records[i], pipeline.tokenizer(), true))
      all.samples.push_back(std::move(sample));
  }
  if (all.samples.size() > most) all.samples.resize(most);
  for (size_t i = 0; i < all.samples.size(); ++i) all.indices.push_back(static_cast<int64_t>(i));
  return all;
}

// Of each weight; undefined where it has none.
using Gradients = std::map<std::string, at::Tensor>;

// The samples of each task by themselves, as a batch has them.
inline std::vector<Encoded> by_task(const Encoded& all) {
  std::map<int32_t, Encoded> tasks;
  for (size_t i = 0; i < all.samples.size(); ++i) {
    Encoded& own = tasks[all.samples[i].task];
    own.samples.push_back(all.samples[i]);
    own.indices.push_back(all.indices[i]);
  }
  std::vector<Encoded> list;
  for (auto& [task, own] : tasks) list.push_back(std::move(own));
  return list;
}

// The samples in batches of `at_once`; as parts of one batch, where the loss is over all of them.
inline std::vector<Batch> batches_of(const Task& task, const Encoded& all, size_t at_once,
                                     uint64_t seed = 99) {
  std::vector<Batch> batches;
  if (task.has_step_loss()) batches.push_back(collate(all.samples, all.indices, seed));
  for (const Encoded& own : by_task(all)) {
    for (size_t begin = 0; begin < own.samples.size(); begin += at_once) {
      const size_t end = std::min(begin + at_once, own.samples.size());
      if (task.has_step_loss()) {
        batches.front().parts.push_back(static_cast<int64_t>(end - begin));
      } else {
        batches.push_back(collate({own.samples.begin() + begin, own.samples.begin() + end},
                                  {own.indices.begin() + begin, own.indices.begin() + end}, seed));
      }
    }
  }
  return batches;
}

// The loss of all samples, in as few batches as they fit into.
inline Loss whole_loss(Pipeline& pipeline, const Encoded& all, uint64_t seed) {
  Loss whole;
  for (const Batch& batch : batches_of(pipeline.task(), all, all.samples.size(), seed)) {
    const Loss loss = pipeline.task().forward_loss(pipeline.network(), batch);
    whole.sum = whole.sum.defined() ? whole.sum + loss.sum : loss.sum;
    whole.count += loss.count;
  }
  return whole;
}

// Gradient of the mean loss over all samples, taken `at_once` at a time.
inline Gradients gradients(Pipeline& pipeline, const Encoded& all, size_t at_once) {
  const auto weights = pipeline.network().weights();
  for (const auto& [name, weight] : weights) weight.mutable_grad().reset();
  double count = 0;
  for (const Batch& batch : batches_of(pipeline.task(), all, at_once)) {
    const Loss loss = pipeline.task().forward_loss(pipeline.network(), batch);
    loss.sum.backward();
    count += loss.count;
  }
  Gradients result;
  for (const auto& [name, weight] : weights)
    result[name] = weight.grad().defined() ? weight.grad() / count : at::Tensor();
  return result;
}

}  // namespace hone::conformance
