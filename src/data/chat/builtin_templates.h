// Chat templates that come with hone, for models that have none of their own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone {

struct BuiltinTemplate {
  const char* name;
  const char* source;  // behind what the model's tokenizer puts before a text; with {% generation
                       // %} around what the assistant writes
};

const std::vector<BuiltinTemplate>& builtin_templates();

}  // namespace hone
