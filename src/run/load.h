// A saved model made ready to answer on this machine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tasks/pipeline.h"

namespace hone {

struct LoadOptions {
  std::vector<std::string> task = {};  // "key=value", in place of the task's saved options
  std::string part = {};               // of a model of several tasks the one to answer for; "": all
  std::string precision = "auto";      // auto | fp32 | bf16 | int8
  std::string device = "auto";         // auto | cpu | cuda | cuda:N
  int64_t threads = 0;                 // 0: all cores
};

// `model`: a folder that hone saved, or a hub name of one. "auto" is the precision of the run that
// trained it, where this machine computes in it; else fp32 takes its place, and that is told. Of a
// model that does not say, it is the faster one here (resolve_precision).
std::unique_ptr<Pipeline> load_model(const std::string& model, const LoadOptions& options = {});

// A pre-trained model's folder, without a task of its own: `info` is its task, as the folder's
// files beside the configuration have it. "auto" is the precision that is faster here. `learn`,
// where it is given, teaches the task what it takes from training data otherwise.
std::unique_ptr<Pipeline> begin_model(
    const std::string& folder, const TaskInfo& info, const LoadOptions& options,
    const std::function<void(Task& task, const Tokenizer& tokenizer)>& learn = nullptr);

}  // namespace hone
