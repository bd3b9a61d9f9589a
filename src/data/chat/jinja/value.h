// The values of a template, as Python has them. All but objects are immutable; an object belongs to
// the rendering that made it (Runtime), so that values may point at each other in circles.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "data/chat/jinja/text.h"

namespace hone::jinja {

// What went wrong while a template ran; the interpreter adds the place. kData: these messages do
// not go with the template; kModel: the template asks for what is not to be had.
struct Fault : std::runtime_error {
  explicit Fault(const std::string& message, ErrorKind what = ErrorKind::kData)
      : std::runtime_error(message), kind(what) {}
  ErrorKind kind;
};

class Runtime;
class Object;
class Value;
struct Arguments;

constexpr int kMostNested = 600;  // lists within lists

struct Sequence {
  std::vector<Value> items;
  int depth = 1;
};
struct Dictionary {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion
  int depth = 1;
};
struct Range {
  int64_t start, step, count;
};
struct View {  // dict.keys(), .values(), .items()
  enum class Which { kKeys, kValues, kItems } which;
  std::shared_ptr<const Dictionary> of;
};
struct Iterator {  // what map, select and others give: it is true, has no length and ends once
  std::vector<Value> items;
  size_t next = 0;
  int depth = 1;
};
struct Undefined {
  std::string why;
};

class Value {
 public:
  struct List {
    std::shared_ptr<const Sequence> of;
  };
  struct Tuple {
    std::shared_ptr<const Sequence> of;
  };

  Value() : held_(nullptr) {}  // None
  static Value undefined(std::string why);
  static Value boolean(bool value) { return Value(Held(value)); }
  static Value integer(int64_t value) { return Value(Held(value)); }
  static Value number(double value) { return Value(Held(value)); }
  static Value text(Text value);
  static Value text(std::string_view value) { return text(Text(value)); }
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value dict(std::vector<std::pair<Value, Value>> items);  // keys differ already
  static Value range(const Range& range);
  static Value view(View view);
  static Value iterator(std::vector<Value> items);
  static Value object(Object& object) { return Value(Held(&object)); }
  // Strings get `mark`, but for the texts of keys in `unmarked` of the outermost object.
  static Value of_json(const Json& json, char mark, const std::string& unmarked = "");

  bool is_undefined() const { return holds<std::shared_ptr<const Undefined>>(); }
  bool is_none() const { return holds<std::nullptr_t>(); }
  bool is_boolean() const { return holds<bool>(); }
  bool is_integer() const { return holds<int64_t>(); }  // a boolean is none here
  bool is_float() const { return holds<double>(); }
  bool is_text() const { return holds<std::shared_ptr<const Text>>(); }
  bool is_list() const { return holds<List>(); }
  bool is_tuple() const { return holds<Tuple>(); }
  bool is_dict() const { return holds<std::shared_ptr<const Dictionary>>(); }
  bool is_range() const { return holds<std::shared_ptr<const Range>>(); }
  bool is_view() const { return holds<std::shared_ptr<const View>>(); }
  bool is_iterator() const { return holds<std::shared_ptr<Iterator>>(); }
  bool is_object() const { return holds<Object*>(); }
  bool is_whole() const { return is_integer() || is_boolean(); }
  bool is_number() const { return is_whole() || is_float(); }
  bool is_sequence() const { return is_list() || is_tuple(); }

  // REQUIRES: the kind that the name says.
  const std::string& why() const { return get<std::shared_ptr<const Undefined>>()->why; }
  bool as_boolean() const { return get<bool>(); }
  int64_t whole() const { return is_boolean() ? int64_t{get<bool>()} : get<int64_t>(); }
  double number() const { return is_float() ? get<double>() : static_cast<double>(whole()); }
  const Text& text() const { return *get<std::shared_ptr<const Text>>(); }
  const std::vector<Value>& items() const;  // of a list or tuple
  const std::vector<std::pair<Value, Value>>& entries() const { return dictionary()->items; }
  const std::shared_ptr<const Dictionary>& dictionary() const {
    return get<std::shared_ptr<const Dictionary>>();
  }
  const Range& range() const { return *get<std::shared_ptr<const Range>>(); }
  const View& view() const { return *get<std::shared_ptr<const View>>(); }
  Iterator& iterator() const { return *get<std::shared_ptr<Iterator>>(); }
  Object& object() const { return *get<Object*>(); }

  int depth() const;
  std::string type() const;  // as Python names it: "str", "dict"

 private:
  using Held = std::variant<std::nullptr_t, std::shared_ptr<const Undefined>, bool, int64_t, double,
                            std::shared_ptr<const Text>, List, Tuple,
                            std::shared_ptr<const Dictionary>, std::shared_ptr<const Range>,
                            std::shared_ptr<const View>, std::shared_ptr<Iterator>, Object*>;
  explicit Value(Held held) : held_(std::move(held)) {}

  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(held_);
  }
  template <typename T>
  const T& get() const {
    return std::get<T>(held_);
  }

  Held held_;
};

// What a call is given.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Something with a state or a behaviour of its own: a macro, a loop, a namespace.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type() const = 0;
  virtual std::optional<Value> attribute(Runtime&, const std::string& /*name*/) { return {}; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments& arguments);  // a Fault unless it is callable
  // Attributes of a namespace, by their names.
  virtual std::vector<std::pair<std::string, Value>>* attributes() { return nullptr; }
};

}  // namespace hone::jinja
