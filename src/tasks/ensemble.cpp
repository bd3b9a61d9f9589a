#include "tasks/ensemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/folder_name.h"
#include "tasks/manifest.h"
#include "tasks/pipeline.h"

namespace hone {
namespace {

constexpr const char* kEnsemble = "/ensemble.json";
constexpr int64_t kEnsembleFormat = 1;

// The first network's own head beside the other networks.
class AveragedHead : public Head {
 public:
  AveragedHead(const std::vector<std::shared_ptr<Network>>& networks, Average average)
      : networks_(networks), average_(std::move(average)) {
    for (size_t i = 0; i < networks.size(); ++i)
      register_module("member_" + std::to_string(i + 1), networks[i]);
  }

  Outputs forward(Backbone&, const Batch& batch) override {
    std::vector<at::Tensor> all;
    Outputs first;
    for (const std::shared_ptr<Network>& network : networks_) {
      const Outputs outputs = network->forward(batch);
      if (all.empty()) first = outputs;
      all.push_back(outputs);
    }
    return Outputs({{average_(all), first.all().front().row_of}});
  }
  void initialise(uint64_t) override {}
  void set_precision(Precision precision) override {
    for (const std::shared_ptr<Network>& network : networks_) network->set_precision(precision);
  }

 private:
  std::vector<std::shared_ptr<Network>> networks_;
  Average average_;
};

[[noreturn]] void refuse_ensemble(const std::string& folder, const char* what) {
  throw Error(ErrorKind::kModel, {folder + kEnsemble}, what);
}

bool is_tokenizer_file(const std::string& name) {
  return name == "tokenizer.json" || name == "vocab.txt" || name == "tokenizer_config.json";
}

}  // namespace

bool is_ensemble_folder(const std::string& folder) {
  return std::filesystem::exists(folder + kEnsemble);
}

std::vector<std::string> read_ensemble(const std::string& folder) {
  const Json json = read_json(folder + kEnsemble, ErrorKind::kModel);
  if (!json.is_object() || !json.contains("format") || !json.contains("members") ||
      !json["members"].is_array() || json["members"].empty())
    refuse_ensemble(folder, "must have \"format\" and a list \"members\".");
  if (json["format"] != kEnsembleFormat)
    refuse_ensemble(folder, "is of a newer format; a newer hone reads it.");
  std::vector<std::string> members;
  for (const Json& name : json["members"]) {
    if (!name.is_string() || !is_folder_name(name.get<std::string>()))
      refuse_ensemble(folder, "\"members\" must name folders beside it.");
    members.push_back(folder + "/" + name.get<std::string>());
  }
  return members;
}

void write_ensemble(const std::string& folder, const std::vector<std::string>& members) {
  write_file(folder + kEnsemble,
             to_text(Json{{"format", kEnsembleFormat}, {"members", members}}, 2) + "\n");
}

void require_one_task(const std::string& first, const std::string& other,
                      const std::vector<std::string>& options) {
  const auto refuse = [&](const std::string& what) {
    throw Error(
        ErrorKind::kUsage, {other},
        fmt::format("{} not those of {}: their answers cannot be put together", what, first));
  };
  const auto a = load_task(first, options), b = load_task(other, options);
  if (a->info().name != std::string(b->info().name)) refuse("its task and its answers are");
  if (a->state() != b->state())
    refuse("its options or labels, or their order, are (options are made alike by task.KEY=VALUE)");
  const Json files = read_manifest(first).at("files"), others = read_manifest(other).at("files");
  for (const auto& [name, sum] : files.items()) {
    if (is_tokenizer_file(name) && others.value(name, Json()) != sum)
      refuse("the files of its tokenizer are");
  }
}

void require_average(const Task& task) {
  if (task.average()) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("task {} does not say how answers of several models become one; average "
                          "their weights instead (--as soup)",
                          task.info().name));
}

std::shared_ptr<Network> averaged(const std::vector<std::shared_ptr<Network>>& networks,
                                  const Task& task) {
  require_average(task);
  auto head = std::make_shared<AveragedHead>(networks, task.average());
  const auto backbone =
      std::static_pointer_cast<Backbone>(networks.front()->backbone().shared_from_this());
  auto network = std::make_shared<Network>(backbone, std::move(head));
  network->eval();
  return network;
}

}  // namespace hone
