// A backbone with a task's head. Parameter names are the checkpoint's own: "bert.encoder.…",
// "classifier.weight".
#pragma once

#include <memory>

#include "models/backbone.h"
#include "models/weights.h"
#include "tasks/batch.h"
#include "tasks/outputs.h"

namespace hone {

// A head runs the backbone on the streams it needs and returns logits: [N, C] per token, or [S, C]
// per sequence (each sample is one as a rule); fp32. It says which where they are not of samples.
class Head : public torch::nn::Module {
 public:
  virtual Outputs forward(Backbone& backbone, const Batch& batch) = 0;
  virtual void initialise(uint64_t seed) = 0;  // weights that no checkpoint brings
  // Its weights are the pre-trained model's own: beside adapters they stay as they are.
  virtual bool is_of_base() const { return false; }
  // How many streams the backbone is given at once: two of a head that writes a target to a source.
  virtual size_t streams() const { return 1; }
  // Called once, by the network: for a head that shares weights with the backbone.
  virtual void tie(Backbone&) {}
  // Most heads are small and compute in fp32 whatever the backbone's precision.
  virtual void set_precision(Precision) {}
  // What its loss takes in training beside activations that grow with the tokens: logits of a whole
  // vocabulary, for some rows at a time.
  virtual int64_t loss_bytes(Precision) const { return 0; }
  // Names of those that a head of pre-training has too: a fresh head takes them over.
  virtual std::vector<std::string> pretrained() const { return {}; }
  // Gives weights of a checkpoint the names that they have in this head, where those are others.
  virtual void rename(StateDict& /*checkpoint*/) const {}
  // The heads of several tasks, by Sample::task; empty: it is one.
  virtual std::vector<std::shared_ptr<Head>> parts() const { return {}; }
  virtual bool uses_pooler() const {
    return false;
  }  // a backbone is built without its pooler where the head does not ask for it
};

class Network : public torch::nn::Module {
 public:
  // Error(kInternal) where a weight of the head is named as one of the backbone.
  Network(std::shared_ptr<Backbone> backbone, std::shared_ptr<Head> head);

  // The head's outputs. Of a batch in parts, part by part, each computed again in the backward
  // pass: memory holds one part's activations and all outputs (GradCache: Gao et al. 2021,
  // https://arxiv.org/abs/2101.06983). Values and gradients are those of the parts taken alone.
  Outputs forward(const Batch& batch);
  // The backbone with the head of one of several tasks: a network of its own, of the same weights.
  const std::shared_ptr<Network>& part(int32_t task) const {
    return parts_.at(static_cast<size_t>(task));
  }
  void train(bool on = true) override;  // and the parts
  // Weights to a device, before set_precision; a batch on the CPU to where they are (row boundaries
  // stay).
  void move_to(at::Device device);
  Batch place(Batch batch) const;
  // A batch as `place` takes it with one copy while the device goes on with its work; the same on
  // the CPU. May be called by any thread.
  Batch stage(Batch batch) const;
  at::Device device() const { return device_; }
  void set_precision(Precision precision);
  Precision precision() const { return precision_; }
  void set_recompute(bool recomputes) { backbone_->set_recompute(recomputes); }
  void refresh_shadows();  // after an optimizer step, where precision is bf16
  // (name, tensor) in the checkpoint's naming, in the module's order.
  std::vector<std::pair<std::string, at::Tensor>> weights() const;
  std::vector<std::pair<std::string, at::Tensor>> trained_weights() const;  // not the frozen ones
  // The same in the form of the family's checkpoints (ModelConfig::stored): for loading and saving.
  std::vector<std::pair<std::string, at::Tensor>> stored_weights() const;
  Backbone& backbone() { return *backbone_; }
  const Backbone& backbone() const { return *backbone_; }
  Head& head() { return *head_; }
  const Head& head() const { return *head_; }

 private:
  void refuse_shared_names() const;
  Outputs recomputed_part(const Batch& part, const at::Tensor& anchor);

  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Head> head_;
  std::vector<std::shared_ptr<Network>> parts_;  // their modules are registered in head_
  at::Device device_ = at::kCPU;
  Precision precision_ = Precision::kFp32;
};

StateDict weights_of(const Network& network);  // shares memory with the network
// Likewise, as a checkpoint has them: also without base_prefix where its family's have none.
StateDict stored_weights_of(const Network& network);
// Those that are not frozen: what a checkpoint needs, as the others are the base model's still.
StateDict trained_weights_of(const Network& network);

}  // namespace hone
