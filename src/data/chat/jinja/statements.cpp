// The statements of a template.
#include <fmt/format.h>

#include <algorithm>

#include "data/chat/jinja/functions.h"
#include "data/chat/jinja/interpreter.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {

// A macro, or the block of a call.
class Macro final : public Object {
 public:
  Macro(Interpreter& interpreter, const Statement& definition, Scope& around)
      : interpreter_(interpreter), definition_(definition), around_(around) {
    around_.keep();
  }

  std::string type() const override { return "macro"; }
  bool is_callable() const override { return true; }
  std::optional<Value> attribute(Runtime&, const std::string& name) override {
    if (name == "name") return Value::text(definition_.signature.name);
    return {};
  }

  Value call(Runtime& runtime, Arguments& arguments) override {
    const Runtime::Depth depth(runtime);
    const Interpreter::Inner scope(interpreter_, around_);
    take_arguments(runtime, arguments, *scope);
    return runtime.text(interpreter_.captured(definition_.bodies[0], *scope));
  }

 private:
  Interpreter& interpreter_;
  const Statement& definition_;
  Scope& around_;

  std::string told() const {
    const std::string& name = definition_.signature.name;
    return name.empty() ? "the block of a call" : fmt::format("the macro {}", name);
  }

  void take_arguments(Runtime& runtime, Arguments& arguments, Scope& scope) {
    const Signature& signature = definition_.signature;
    const size_t count = signature.parameters.size();
    for (size_t i = 0; i < count; ++i) take_parameter(arguments, i, scope);
    if (signature.uses_caller && !is_parameter("caller"))
      scope.set("caller", taken(arguments, "caller")
                              .value_or(Value::undefined("\"caller\" is undefined: nobody called "
                                                         "this macro by {% call %}")));
    std::vector<Value> rest;
    for (size_t i = count; i < arguments.positional.size(); ++i)
      rest.push_back(arguments.positional[i]);
    if (signature.uses_varargs && !is_parameter("varargs")) {
      scope.set("varargs", Value::tuple(std::move(rest)));
    } else if (!rest.empty()) {
      throw Fault(fmt::format("{} takes at most {} arguments; it is given {}", told(), count,
                              arguments.positional.size()));
    }
    take_named(runtime, arguments, scope);
  }

  bool is_parameter(const char* name) const {
    const auto& parameters = definition_.signature.parameters;
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const Parameter& parameter) { return parameter.name == name; });
  }

  // A named argument, which is then no longer there.
  static std::optional<Value> taken(Arguments& arguments, const std::string& name) {
    for (auto i = arguments.named.begin(); i != arguments.named.end(); ++i) {
      if (i->first != name) continue;
      Value value = std::move(i->second);
      arguments.named.erase(i);
      return value;
    }
    return {};
  }

  void take_parameter(Arguments& arguments, size_t i, Scope& scope) {
    const Parameter& parameter = definition_.signature.parameters[i];
    if (i < arguments.positional.size()) {
      scope.set(parameter.name, arguments.positional[i]);
    } else if (std::optional<Value> named = taken(arguments, parameter.name)) {
      scope.set(parameter.name, std::move(*named));
    } else if (parameter.otherwise != nullptr) {
      scope.set(parameter.name, interpreter_.evaluate(*parameter.otherwise, scope));
    } else {
      scope.set(parameter.name,
                Value::undefined(fmt::format("{} was not given \"{}\"", told(), parameter.name)));
    }
  }

  void take_named(Runtime& runtime, Arguments& arguments, Scope& scope) const {
    if (definition_.signature.uses_kwargs && !is_parameter("kwargs")) {
      std::vector<std::pair<Value, Value>> entries;
      for (auto& [name, value] : arguments.named) {
        runtime.step();
        entries.emplace_back(Value::text(name), value);
      }
      scope.set("kwargs", Value::dict(std::move(entries)));
    } else if (!arguments.named.empty()) {
      throw Fault(fmt::format("{} takes no argument \"{}\"", told(), arguments.named[0].first));
    }
  }
};

Scope& Interpreter::new_scope(Scope& around) {
  runtime_.step();
  if (free_scopes_.empty()) return scopes_.emplace_back(&around);
  Scope& scope = *free_scopes_.back();
  free_scopes_.pop_back();
  scope.reset(&around);
  return scope;
}

Text Interpreter::run(const Body& body) {
  const Inner scope(*this, *globals_);
  return captured(body, *scope);
}

Interpreter::Flow Interpreter::run(const Body& body, Scope& scope) {
  for (const auto& statement : body) {
    const Flow flow = run(*statement, scope);
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run(const Statement& statement, Scope& scope) {
  try {
    const Runtime::Depth depth(runtime_);
    runtime_.step();
    return run_placed(statement, scope);
  } catch (const Fault& fault) {
    fail(fault, statement.at);
  }
}

Interpreter::Flow Interpreter::run_placed(const Statement& statement, Scope& scope) {
  using Kind = Statement::Kind;
  switch (statement.kind) {
    case Kind::kData:
      out_->append(statement.text);
      return Flow::kOn;
    case Kind::kPrint:
      out_->append(to_text(runtime_, evaluate(*statement.expressions[0], scope)));
      return Flow::kOn;
    case Kind::kIf:
      return run_if(statement, scope);
    case Kind::kFor:
      return run_for(statement, scope);
    case Kind::kSet:
    case Kind::kSetBlock:
      run_set(statement, scope);
      return Flow::kOn;
    case Kind::kWith:
      return run_with(statement, scope);
    case Kind::kMacro:
      scope.set(statement.signature.name,
                Value::object(runtime_.make<Macro>(*this, statement, scope)));
      return Flow::kOn;
    case Kind::kCall:
      run_call(statement, scope);
      return Flow::kOn;
    case Kind::kFilter: {
      const Inner within(*this, scope);
      const Value text = runtime_.text(captured(statement.bodies[0], *within));
      out_->append(to_text(runtime_, filtered(*statement.expressions[0], scope, &text)));
      return Flow::kOn;
    }
    case Kind::kGeneration: {
      const Inner within(*this, scope);
      out_->append(captured_answer(statement.bodies[0], *within));
      return Flow::kOn;
    }
    case Kind::kBreak:
      return Flow::kBreak;
    default:
      return Flow::kContinue;
  }
}

Interpreter::Flow Interpreter::run_if(const Statement& statement, Scope& scope) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    if (is_true(evaluate(*statement.expressions[i], scope))) return run(statement.bodies[i], scope);
  }
  const bool has_else = statement.bodies.size() > statement.expressions.size();
  return has_else ? run(statement.bodies.back(), scope) : Flow::kOn;
}

Interpreter::Flow Interpreter::run_for(const Statement& statement, Scope& scope) {
  return run_loop(statement, scope, evaluate(*statement.expressions[0], scope), 0);
}

// Leaving the loop ends here; only its else block may leave one around it.
Interpreter::Flow Interpreter::run_loop(const Statement& statement, Scope& scope,
                                        const Value& items, int64_t depth0) {
  const auto test = [this, &statement, &scope](const Value& item) {
    const Inner tested(*this, scope);
    assign(statement.targets[0], item, *tested);
    return is_true(evaluate(*statement.expressions[1], *tested));
  };
  const auto recurse = [this, &statement, &scope, depth0](const Value& more) {
    Writer out(runtime_);
    Writer* const outer = std::exchange(out_, &out);
    run_loop(statement, scope, more, depth0 + 1);
    out_ = outer;
    return out.value();
  };
  scope.keep();
  const bool has_test = statement.expressions[1] != nullptr;
  Loop& loop =
      runtime_.make<Loop>(items_of(runtime_, items), has_test ? Loop::Test(test) : nullptr,
                          statement.is_recursive ? Loop::Recurse(recurse) : nullptr, depth0);
  bool has_any = false;
  while (loop.advance()) {
    has_any = true;
    const Inner within(*this, scope);
    assign(statement.targets[0], loop.current(), *within);
    (*within).set("loop", Value::object(loop));
    if (run(statement.bodies[0], *within) == Flow::kBreak) break;
  }
  const bool has_else = statement.bodies.size() > 1;
  if (has_any || !has_else) return Flow::kOn;
  const Inner otherwise(*this, scope);
  return run(statement.bodies[1], *otherwise);
}

Interpreter::Flow Interpreter::run_with(const Statement& statement, Scope& scope) {
  const Inner within(*this, scope);
  for (size_t i = 0; i < statement.targets.size(); ++i)
    assign(statement.targets[i], evaluate(*statement.expressions[i], scope), *within);
  return run(statement.bodies[0], *within);
}

void Interpreter::run_set(const Statement& statement, Scope& scope) {
  if (statement.kind == Statement::Kind::kSet)
    return assign(statement.targets[0], evaluate(*statement.expressions[0], scope), scope);
  const Inner within(*this, scope);
  Value value = runtime_.text(captured(statement.bodies[0], *within));
  if (statement.expressions[0] != nullptr) {
    const Value text = std::move(value);
    value = filtered(*statement.expressions[0], scope, &text);
  }
  assign(statement.targets[0], value, scope);
}

void Interpreter::run_call(const Statement& statement, Scope& scope) {
  const Value caller = Value::object(runtime_.make<Macro>(*this, statement, scope));
  out_->append(to_text(runtime_, called(*statement.expressions[0], scope, &caller)));
}

Text Interpreter::captured(const Body& body, Scope& scope) {
  Writer out(runtime_);
  Writer* const outer = std::exchange(out_, &out);
  run(body, scope);
  out_ = outer;
  return out.take();
}

Text Interpreter::captured_answer(const Body& body, Scope& scope) {
  Text text = captured(body, scope);
  for (char& mark : text.marks) mark = static_cast<char>(mark | kAnswer);
  return text;
}

void Interpreter::assign(const Target& target, const Value& value, Scope& scope) {
  if (!target.attribute.empty()) return assign_attribute(target, value, scope);
  if (!target.name.empty()) return scope.set(target.name, value);
  const std::vector<Value> items = items_of(runtime_, value);
  if (items.size() != target.parts.size())
    throw Fault(fmt::format("{} values for {} names", items.size(), target.parts.size()));
  for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i], scope);
}

void Interpreter::assign_attribute(const Target& target, const Value& value, Scope& scope) {
  const Value* found = scope.find(target.name);
  auto* attributes =
      found != nullptr && found->is_object() ? found->object().attributes() : nullptr;
  if (attributes == nullptr)
    throw Fault(fmt::format("\"{}\" is no namespace, so \"{}\" of it cannot be set", target.name,
                            target.attribute),
                ErrorKind::kModel);
  if (target.attribute.starts_with('_'))
    throw Fault(
        fmt::format("a namespace's attribute \"{}\" begins with an underscore", target.attribute),
        ErrorKind::kModel);
  for (auto& [known, old] : *attributes) {
    if (known != target.attribute) continue;
    old = value;
    return;
  }
  runtime_.step();
  attributes->emplace_back(target.attribute, value);
}

}  // namespace hone::jinja
