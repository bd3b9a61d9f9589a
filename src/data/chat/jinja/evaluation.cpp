// The expressions of a template.
#include <fmt/format.h>

#include "data/chat/jinja/attributes.h"
#include "data/chat/jinja/filters.h"
#include "data/chat/jinja/functions.h"
#include "data/chat/jinja/interpreter.h"
#include "data/chat/jinja/operators.h"
#include "data/chat/jinja/tests.h"

namespace hone::jinja {
namespace {

bool holds(Runtime& runtime, const std::string& word, const Value& a, const Value& b) {
  if (word == "==") return equals(runtime, a, b);
  if (word == "!=") return !equals(runtime, a, b);
  if (word == "in") return contains(runtime, b, a);
  if (word == "not in") return !contains(runtime, b, a);
  const int order = compare(runtime, a, b);
  if (word == "<") return order < 0;
  if (word == "<=") return order <= 0;
  return word == ">" ? order > 0 : order >= 0;
}

}  // namespace

Interpreter::Interpreter(Runtime& runtime, const std::string& source, const std::string& file)
    : runtime_(runtime), source_(source), file_(file), globals_(&scopes_.emplace_back(nullptr)) {
  add_functions(runtime_, *globals_);
}

void Interpreter::fail(const Fault& fault, size_t at) const {
  throw Error(fault.kind, advance({file_, 1, 1}, source_, at), fault.what());
}

Value Interpreter::evaluate(const Expression& expression, Scope& scope) {
  try {
    const Runtime::Depth depth(runtime_);
    runtime_.step();
    return evaluate_placed(expression, scope);
  } catch (const Fault& fault) {
    fail(fault, expression.at);
  }
}

Value Interpreter::evaluate_placed(const Expression& expression, Scope& scope) {
  const auto part = [&](size_t i) { return evaluate(*expression.parts[i], scope); };
  switch (expression.operation) {
    case Operation::kConstant:
      return expression.constant;
    case Operation::kName:
      return named(expression.name, scope);
    case Operation::kList:
      return runtime_.list(all(expression.parts, scope));
    case Operation::kTuple:
      return Value::tuple(all(expression.parts, scope));
    case Operation::kDict:
      return made_dict(expression, scope);
    case Operation::kNot:
      return Value::boolean(!is_true(part(0)));
    case Operation::kNegate:
      return negate(part(0));
    case Operation::kIdentity:
      return identity(part(0));
    case Operation::kAnd: {
      const Value left = part(0);
      return is_true(left) ? part(1) : left;
    }
    case Operation::kOr: {
      const Value left = part(0);
      return is_true(left) ? left : part(1);
    }
    case Operation::kConcat:
      return concatenated(expression, scope);
    case Operation::kCompare:
      return compared(expression, scope);
    case Operation::kConditional:
      return conditional(expression, scope);
    case Operation::kAttribute:
      return attribute(runtime_, part(0), expression.name);
    case Operation::kSubscript: {
      const Value value = part(0);
      return subscript(runtime_, value, part(1));
    }
    case Operation::kSlice:
      return sliced(expression, scope);
    case Operation::kCall:
      return called(expression, scope);
    case Operation::kFilter:
      return filtered(expression, scope);
    case Operation::kTest: {
      const Value value = part(0);
      Arguments arguments = arguments_of(expression, scope);
      return Value::boolean(test(runtime_, expression.name, value, arguments));
    }
    default:
      return binary(expression, scope);
  }
}

Value Interpreter::named(const std::string& name, Scope& scope) {
  const Value* found = scope.find(name);
  return found != nullptr ? *found : Value::undefined(fmt::format("\"{}\" is undefined", name));
}

Value Interpreter::sliced(const Expression& expression, Scope& scope) {
  const Value value = evaluate(*expression.parts[0], scope),
              start = part_or_none(expression.parts[1], scope),
              stop = part_or_none(expression.parts[2], scope),
              step = part_or_none(expression.parts[3], scope);
  return slice(runtime_, value, start, stop, step);
}

Value Interpreter::binary(const Expression& expression, Scope& scope) {
  const Value a = evaluate(*expression.parts[0], scope), b = evaluate(*expression.parts[1], scope);
  switch (expression.operation) {
    case Operation::kAdd:
      return add(runtime_, a, b);
    case Operation::kSubtract:
      return subtract(a, b);
    case Operation::kMultiply:
      return multiply(runtime_, a, b);
    case Operation::kDivide:
      return divide(a, b);
    case Operation::kFloorDivide:
      return floor_divide(a, b);
    case Operation::kModulo:
      return modulo(runtime_, a, b);
    default:
      return power(a, b);
  }
}

// a < b < c: each pair, as far as they hold.
Value Interpreter::compared(const Expression& expression, Scope& scope) {
  Value left = evaluate(*expression.parts[0], scope);
  for (size_t i = 0; i < expression.words.size(); ++i) {
    Value right = evaluate(*expression.parts[i + 1], scope);
    if (!holds(runtime_, expression.words[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::concatenated(const Expression& expression, Scope& scope) {
  Writer out(runtime_);
  for (const ExpressionPtr& part : expression.parts)
    out.append(to_text(runtime_, evaluate(*part, scope)));
  return out.value();
}

Value Interpreter::conditional(const Expression& expression, Scope& scope) {
  if (is_true(evaluate(*expression.parts[0], scope))) return evaluate(*expression.parts[1], scope);
  if (expression.parts[2] != nullptr) return evaluate(*expression.parts[2], scope);
  return Value::undefined("the condition is false, and the expression has no else");
}

Value Interpreter::made_dict(const Expression& expression, Scope& scope) {
  const std::vector<Value> parts = all(expression.parts, scope);
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < parts.size(); i += 2) {
    bool is_known = false;
    for (auto& [key, value] : entries) {
      if (!equals(runtime_, key, parts[i])) continue;
      value = parts[i + 1];
      is_known = true;
    }
    if (!is_known) entries.emplace_back(parts[i], parts[i + 1]);
  }
  return Value::dict(std::move(entries));
}

std::vector<Value> Interpreter::all(const std::vector<ExpressionPtr>& parts, Scope& scope) {
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const ExpressionPtr& part : parts) values.push_back(evaluate(*part, scope));
  return values;
}

Value Interpreter::part_or_none(const ExpressionPtr& part, Scope& scope) {
  return part != nullptr ? evaluate(*part, scope) : Value();
}

Arguments Interpreter::arguments_of(const Expression& expression, Scope& scope) {
  const CallArguments& written = expression.arguments;
  Arguments arguments;
  arguments.positional = all(written.positional, scope);
  for (const auto& [name, value] : written.named)
    arguments.named.emplace_back(name, evaluate(*value, scope));
  if (written.further != nullptr) {
    for (Value& value : items_of(runtime_, evaluate(*written.further, scope)))
      arguments.positional.push_back(std::move(value));
  }
  if (written.further_named != nullptr) {
    const Value more = evaluate(*written.further_named, scope);
    refuse_undefined(more);
    if (!more.is_dict()) throw Fault(fmt::format("** needs a dict; found a {}", more.type()));
    for (const auto& [key, value] : more.entries())
      arguments.named.emplace_back(need_text(key, "an argument's name").bytes, value);
  }
  return arguments;
}

Value Interpreter::called(const Expression& expression, Scope& scope, const Value* caller) {
  const Value callee = evaluate(*expression.parts[0], scope);
  refuse_undefined(callee);
  if (!callee.is_object()) throw Fault(fmt::format("a {} cannot be called", callee.type()));
  Arguments arguments = arguments_of(expression, scope);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return callee.object().call(runtime_, arguments);
}

Value Interpreter::filtered(const Expression& expression, Scope& scope, const Value* input) {
  const ExpressionPtr& inner = expression.parts[0];
  Value value;
  if (inner == nullptr) {
    value = *input;
  } else if (input != nullptr) {
    value = filtered(*inner, scope, input);
  } else {
    value = evaluate(*inner, scope);
  }
  Arguments arguments = arguments_of(expression, scope);
  try {
    return filter(runtime_, expression.name, value, arguments);
  } catch (const Fault& fault) {
    fail(fault, expression.at);
  }
}

}  // namespace hone::jinja
