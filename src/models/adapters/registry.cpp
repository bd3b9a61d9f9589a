// The adapters: one line each.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/name_pattern.h"
#include "models/adapters/adapter.h"

namespace hone {

AdapterInfo ia3();  // each in the file of its name
AdapterInfo lora();

Table<AdapterInfo>& adapters() {
  static Table<AdapterInfo> all("adapter", {
                                               lora(),
                                               ia3(),
                                           });
  return all;
}

ChosenAdapter read_method(Config& section) {
  std::string name = section.require("peft_type");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const AdapterInfo* info = adapters().find(name);
  if (info == nullptr)
    throw section.error("peft_type",
                        fmt::format("\"{}\" is no method of fine-tuning with few weights{}; known "
                                    "are {}",
                                    name, did_you_mean(name, adapters().names()),
                                    fmt::join(adapters().names(), ", ")));
  ChosenAdapter chosen = info->read(section);
  chosen.name = info->name;
  chosen.peft_type = info->peft_type;
  chosen.learning_rate = info->learning_rate;
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
