#include "tasks/several/head.h"

#include <algorithm>

#include "base/random.h"
#include "models/layers/adopt.h"

namespace hone::several {
namespace {

std::string prefix_of(const SeveralHead::Named& one) { return "heads." + one.name + "."; }

std::vector<std::string> names_in(const Head& head) {
  std::vector<std::string> names;
  for (const auto& item : head.named_parameters()) names.push_back(item.key());
  return names;
}

// A head goes on whole or not at all, but for what all heads take over from pre-training.
std::vector<std::string> taken_by(const SeveralHead::Named& one, const StateDict& checkpoint) {
  const std::vector<std::string> all = names_in(*one.head);
  const bool is_whole = std::all_of(
      all.begin(), all.end(), [&](const std::string& name) { return checkpoint.contains(name); });
  return one.continues && is_whole ? all : one.head->pretrained();
}

}  // namespace

SeveralHead::SeveralHead(std::vector<Named> heads) : heads_(std::move(heads)) {
  for (const Named& one : heads_) adopt(*this, "heads." + one.name, one.head);
}

Outputs SeveralHead::forward(Backbone& backbone, const Batch& batch) {
  return heads_.at(static_cast<size_t>(batch.task)).head->forward(backbone, batch);
}

void SeveralHead::initialise(uint64_t seed) {
  for (size_t i = 0; i < heads_.size(); ++i) heads_[i].head->initialise(mix(seed, i));
}

std::vector<std::string> SeveralHead::pretrained() const {
  std::vector<std::string> names;
  for (const Named& one : heads_) {
    for (const std::string& name : one.continues ? names_in(*one.head) : one.head->pretrained())
      names.push_back(prefix_of(one) + name);
  }
  return names;
}

void SeveralHead::rename(StateDict& checkpoint) const {
  StateDict renamed;
  std::vector<std::string> taken;
  for (const Named& one : heads_) {
    for (const std::string& name : taken_by(one, checkpoint)) {
      const auto found = checkpoint.find(name);
      if (found == checkpoint.end()) continue;
      renamed.emplace(prefix_of(one) + name, found->second.clone());
      taken.push_back(name);
    }
  }
  for (const std::string& name : taken) checkpoint.erase(name);
  checkpoint.merge(renamed);
}

std::vector<std::shared_ptr<Head>> SeveralHead::parts() const {
  std::vector<std::shared_ptr<Head>> parts;
  for (const Named& one : heads_) parts.push_back(one.head);
  return parts;
}

bool SeveralHead::uses_pooler() const {
  return std::any_of(heads_.begin(), heads_.end(),
                     [](const Named& one) { return one.head->uses_pooler(); });
}

void SeveralHead::set_precision(Precision precision) {
  for (const Named& one : heads_) one.head->set_precision(precision);
}

int64_t SeveralHead::loss_bytes(Precision precision) const {
  int64_t most = 0;
  for (const Named& one : heads_) most = std::max(most, one.head->loss_bytes(precision));
  return most;
}

}  // namespace hone::several
