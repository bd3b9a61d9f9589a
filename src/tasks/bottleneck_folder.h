// A bottleneck adapter's folder as the `adapters` library writes and reads it: adapter_config.json
// and adapter.safetensors, the head in head_config.json and model_head.safetensors.
#pragma once

#include <string>

#include "tasks/peft.h"

namespace hone {

// Whether an adapter_config.json is this library's: PEFT's has a "peft_type".
bool is_library_config(const Json& config);

// The section `peft` that says the same. Error(kModel) at `path` for forms and options that are not
// supported.
Json section_of_library(const Json& config, const std::string& path);

// The adapter's weights and the head's, under the network's names. Error(kModel) where they are not
// there.
StateDict read_library_weights(const std::string& folder, const Json& config);

// `architecture`: Transformers' name of the network ("BertForSequenceClassification"), with which
// the library loads the head too.
void write_library_folder(const std::string& folder, const Network& network, const Adapted& adapted,
                          const std::string& architecture);

}  // namespace hone
