// The heads of several tasks on one backbone, under names of their own: "heads.topic.classifier".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tasks/network.h"

namespace hone::several {

class SeveralHead : public Head {
 public:
  struct Named {
    std::string name;
    std::shared_ptr<Head> head;
    bool continues = false;  // a checkpoint's own head is this task's
  };
  explicit SeveralHead(std::vector<Named> heads);

  Outputs forward(Backbone& backbone, const Batch& batch) override;  // of the batch's task
  void initialise(uint64_t seed) override;
  std::vector<std::string> pretrained() const override;
  // Each task's head gets a copy of what it takes over of a checkpoint's own.
  void rename(StateDict& checkpoint) const override;
  std::vector<std::shared_ptr<Head>> parts() const override;
  bool uses_pooler() const override;  // where some head does
  void set_precision(Precision precision) override;
  int64_t loss_bytes(Precision precision) const override;  // of the head that takes most

 private:
  std::vector<Named> heads_;  // by Sample::task
};

}  // namespace hone::several
