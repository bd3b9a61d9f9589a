// An adapter's folder as Hugging Face PEFT writes and reads it: adapter_config.json, and the
// adapter's weights and the head's in adapter_model.safetensors. The base model stands elsewhere.
// Bottleneck adapters' folders are those of the `adapters` library (bottleneck_folder.h).
#pragma once

#include <string>

#include "tasks/peft.h"
#include "tasks/shared_base.h"
#include "tasks/task.h"

namespace hone {

bool is_adapter_folder(const std::string& folder);

// The key of hone.json that says what the base model was kept in, as BaseForm::json has it.
constexpr const char* kBaseForm = "base_form";

// What an adapter's folder says, and the weights that it is for.
struct AdapterFolder {
  std::string path;
  PeftOptions options;         // adapter_config.json; `base` is what it calls the base model
  std::string task_type = {};  // "SEQ_CLS", …; "" where it does not say
  StateDict weights = {};      // under PEFT's names
  std::string base = {};       // the folder of the base model, found or fetched
  StateDict base_weights = {};
};

// Error(kModel) at its place for methods and options that are not supported, and where the base
// model is not there or is an adapter itself.
AdapterFolder read_adapter_folder(const std::string& folder);

// What adapter_config.json alone says; `base` is the base model's folder, found or fetched.
PeftOptions read_adapter_options(const std::string& folder);

// That the base model is the one that the adapters were trained on, as hone.json has it.
// Error(kModel) otherwise.
void check_base(const Json& manifest, const Adapted& adapted, const std::string& folder);

// A run that begins from an adapter: the folder's weights in a network of its base model that
// `adapted` describes, of the adapter and of modules that are trained in full; those of its head
// where the task can go on with it (Task::can_continue), which is told. Error(kModel) where some of
// these are missing, where the adapter changes layers that have none here (embeddings, a model's
// output), or the base model is not the one that it was trained on.
void continue_adapter(Network& network, const Adapted& adapted, const Task& task,
                      const std::string& folder);

// Puts both into a network built for the base model, whose head is the adapter's. Error(kModel) for
// weights that are missing, of another shape, no numbers, or that nothing takes. `beside`: where
// given, base weights are its, not read again; Error(kUsage) where it keeps them in another form.
Adapted load_adapter(Network& network, const AdapterFolder& folder,
                     const std::optional<BaseInUse>& beside = {});

// `architecture`: Transformers' name of the network ("BertForSequenceClassification").
void write_adapter(const std::string& folder, const Network& network, const Adapted& adapted,
                   const std::string& architecture);

// The weights of a folder that are a head's, under the names that the model's checkpoints have.
// Error(kModel) where the adapter changes one of these: no head here has an adapter.
StateDict head_weights(const AdapterFolder& folder, const Backbone& backbone);

// That a section's `task_type`, where it has one, is PEFT's name of the task with this network.
// Error(kUsage) at its place.
void require_task_type(const PeftOptions& options, const std::string& architecture);

// How Transformers' name of a network for PEFT's `task_type` ends: "ForSequenceClassification"; ""
// where it has none.
std::string architecture_end(const std::string& task_type);

}  // namespace hone
