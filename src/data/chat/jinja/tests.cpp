#include "data/chat/jinja/tests.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "data/chat/jinja/filters.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

using Test = bool (*)(Runtime&, const Value&, Bound&);

struct TestInfo {
  const char* name;
  std::vector<const char*> parameters;
  Test test;
};

int64_t remainder_of(Runtime& runtime, const Value& value, const Value& by) {
  const Value rest = modulo(runtime, identity(value), by);
  return rest.is_whole() ? rest.whole() : (rest.number() == 0 ? 0 : 2);
}

bool is_odd(Runtime& runtime, const Value& value, Bound&) {
  return remainder_of(runtime, value, Value::integer(2)) == 1;
}
bool is_even(Runtime& runtime, const Value& value, Bound&) {
  return remainder_of(runtime, value, Value::integer(2)) == 0;
}
bool is_divisible(Runtime& runtime, const Value& value, Bound& with) {
  return remainder_of(runtime, value, with[0]) == 0;
}
bool is_defined(Runtime&, const Value& value, Bound&) { return !value.is_undefined(); }
bool is_undefined_test(Runtime&, const Value& value, Bound&) { return value.is_undefined(); }
bool is_none_test(Runtime&, const Value& value, Bound&) { return value.is_none(); }
bool is_boolean_test(Runtime&, const Value& value, Bound&) { return value.is_boolean(); }
bool is_false_test(Runtime&, const Value& value, Bound&) {
  return value.is_boolean() && !value.as_boolean();
}
bool is_true_test(Runtime&, const Value& value, Bound&) {
  return value.is_boolean() && value.as_boolean();
}
bool is_integer_test(Runtime&, const Value& value, Bound&) { return value.is_integer(); }
bool is_float_test(Runtime&, const Value& value, Bound&) { return value.is_float(); }
bool is_number_test(Runtime&, const Value& value, Bound&) { return value.is_number(); }
bool is_string_test(Runtime&, const Value& value, Bound&) { return value.is_text(); }
bool is_mapping(Runtime&, const Value& value, Bound&) { return value.is_dict(); }
bool is_sequence_test(Runtime&, const Value& value, Bound&) {
  return value.is_text() || value.is_sequence() || value.is_dict() || value.is_range() ||
         value.is_undefined();
}
bool is_iterable_test(Runtime&, const Value& value, Bound&) { return is_iterable(value); }
bool is_callable_test(Runtime&, const Value& value, Bound&) {
  return value.is_undefined() || (value.is_object() && value.object().is_callable());
}
bool is_lower_test(Runtime& runtime, const Value& value, Bound&) {
  return is_lower_case(to_text(runtime, value));
}
bool is_upper_test(Runtime& runtime, const Value& value, Bound&) {
  return is_upper_case(to_text(runtime, value));
}
bool is_escaped(Runtime&, const Value&, Bound&) { return false; }
bool is_in(Runtime& runtime, const Value& value, Bound& with) {
  return contains(runtime, with[0], value);
}
bool is_same(Runtime& runtime, const Value& value, Bound& with) {
  return value.type() == with[0].type() && equals(runtime, value, with[0]);
}
bool is_equal(Runtime& runtime, const Value& value, Bound& with) {
  return equals(runtime, value, with[0]);
}
bool is_unequal(Runtime& runtime, const Value& value, Bound& with) {
  return !equals(runtime, value, with[0]);
}
bool is_greater(Runtime& runtime, const Value& value, Bound& with) {
  return compare(runtime, value, with[0]) > 0;
}
bool is_at_least(Runtime& runtime, const Value& value, Bound& with) {
  return compare(runtime, value, with[0]) >= 0;
}
bool is_less(Runtime& runtime, const Value& value, Bound& with) {
  return compare(runtime, value, with[0]) < 0;
}
bool is_at_most(Runtime& runtime, const Value& value, Bound& with) {
  return compare(runtime, value, with[0]) <= 0;
}
bool names_filter(Runtime&, const Value& value, Bound&) {
  return value.is_text() && is_filter(value.text().bytes);
}
bool names_test(Runtime&, const Value& value, Bound&) {
  return value.is_text() && is_test(value.text().bytes);
}

const std::vector<TestInfo>& all_tests() {
  static const std::vector<TestInfo> kTests = {
      {"odd", {}, is_odd},
      {"even", {}, is_even},
      {"divisibleby", {"num"}, is_divisible},
      {"defined", {}, is_defined},
      {"undefined", {}, is_undefined_test},
      {"none", {}, is_none_test},
      {"boolean", {}, is_boolean_test},
      {"false", {}, is_false_test},
      {"true", {}, is_true_test},
      {"integer", {}, is_integer_test},
      {"float", {}, is_float_test},
      {"number", {}, is_number_test},
      {"string", {}, is_string_test},
      {"mapping", {}, is_mapping},
      {"sequence", {}, is_sequence_test},
      {"iterable", {}, is_iterable_test},
      {"callable", {}, is_callable_test},
      {"lower", {}, is_lower_test},
      {"upper", {}, is_upper_test},
      {"escaped", {}, is_escaped},
      {"in", {"seq"}, is_in},
      {"sameas", {"other"}, is_same},
      {"==", {"other"}, is_equal},
      {"eq", {"other"}, is_equal},
      {"equalto", {"other"}, is_equal},
      {"!=", {"other"}, is_unequal},
      {"ne", {"other"}, is_unequal},
      {">", {"other"}, is_greater},
      {"gt", {"other"}, is_greater},
      {"greaterthan", {"other"}, is_greater},
      {">=", {"other"}, is_at_least},
      {"ge", {"other"}, is_at_least},
      {"<", {"other"}, is_less},
      {"lt", {"other"}, is_less},
      {"lessthan", {"other"}, is_less},
      {"<=", {"other"}, is_at_most},
      {"le", {"other"}, is_at_most},
      {"filter", {}, names_filter},
      {"test", {}, names_test},
  };
  return kTests;
}

const TestInfo* find_test(const std::string& name) {
  for (const TestInfo& info : all_tests()) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

}  // namespace

bool is_test(const std::string& name) { return find_test(name) != nullptr; }

bool test(Runtime& runtime, const std::string& name, const Value& value, Arguments& arguments) {
  const TestInfo* info = find_test(name);
  if (info == nullptr) throw Fault(fmt::format("no test \"{}\"", name), ErrorKind::kModel);
  Bound bound("the test " + name, info->parameters, arguments);
  return info->test(runtime, value, bound);
}

}  // namespace hone::jinja
