// The adapters: one line each.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/letters.h"
#include "base/name_pattern.h"
#include "models/adapters/adapter.h"

namespace hone {

AdapterInfo adalora();        // each in the file of its name
AdapterInfo bitfit();         // own_weights.cpp
AdapterInfo double_seq_bn();  // bottleneck.cpp
AdapterInfo head();
AdapterInfo ia3();
AdapterInfo ln_tuning();
AdapterInfo lora();
AdapterInfo par_bn();
AdapterInfo prefix_tuning();  // prefix.cpp
AdapterInfo prompt_tuning();  // soft_prompt.cpp
AdapterInfo seq_bn();
AdapterInfo top_layers();

Table<AdapterInfo>& adapters() {
  static Table<AdapterInfo> all("adapter", {
                                               lora(),
                                               adalora(),
                                               ia3(),
                                               double_seq_bn(),
                                               seq_bn(),
                                               par_bn(),
                                               prefix_tuning(),
                                               prompt_tuning(),
                                               bitfit(),
                                               ln_tuning(),
                                               top_layers(),
                                               head(),
                                           });
  return all;
}

std::vector<std::pair<std::string, at::Tensor>> Adapter::saved() const {
  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (const auto& item : named_parameters())
    weights.emplace_back(item.key(), item.value().detach());
  return weights;
}

const AdapterInfo* find_method(const std::string& peft_type) {
  return adapters().find(small_letters(peft_type));
}

ChosenAdapter read_method(Config& section) {
  const std::string name = section.require("peft_type");
  const AdapterInfo* info = find_method(name);
  if (info == nullptr)
    throw section.error("peft_type",
                        fmt::format("\"{}\" is no method of fine-tuning with few weights{}; known "
                                    "are {}",
                                    name, did_you_mean(name, adapters().names()),
                                    fmt::join(adapters().names(), ", ")));
  ChosenAdapter chosen = info->read(section);
  chosen.name = info->name;
  chosen.peft_type = info->peft_type;
  if (chosen.learning_rate == 0) chosen.learning_rate = info->learning_rate;
  return chosen;
}

bool fits_end(const std::string& expression, const std::string& module) {
  return NamePattern("(.*\\.)?(" + expression + ")").matches(module);
}

void check_expression(const Config& section, const std::string& key) {
  try {
    fits_end(key, "");
  } catch (const Error& error) {
    throw section.error(key, error.message());
  }
}

}  // namespace hone
