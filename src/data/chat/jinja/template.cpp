#include "data/chat/jinja/template.h"

#include "data/chat/jinja/interpreter.h"
#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

Template::Template(std::string_view source, std::string file)
    : source_(normalized_source(source)), file_(std::move(file)), parsed_(parse(source_, file_)) {}

Text Template::render(const Variables& variables, const std::tm& now) const {
  Runtime runtime(now);
  Interpreter interpreter(runtime, source_, file_);
  for (const auto& [name, value] : variables) interpreter.globals().set(name, value);
  return interpreter.run(parsed_.body);
}

}  // namespace hone::jinja
