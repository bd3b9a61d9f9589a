#include "data/chat/jinja/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

using Entries = std::vector<std::pair<Value, Value>>;

struct FunctionInfo {
  const char* name;
  std::vector<const char*> parameters;
  Value (*apply)(Runtime&, Bound&);
};

class Function final : public Object {
 public:
  explicit Function(const FunctionInfo& info) : info_(info) {}
  std::string type() const override { return "function"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    Bound bound(info_.name, info_.parameters, arguments);
    return info_.apply(runtime, bound);
  }

 private:
  const FunctionInfo& info_;
};

class Namespace final : public Object {
 public:
  explicit Namespace(std::vector<std::pair<std::string, Value>> attributes)
      : attributes_(std::move(attributes)) {}
  std::string type() const override { return "namespace"; }
  std::vector<std::pair<std::string, Value>>* attributes() override { return &attributes_; }
  std::optional<Value> attribute(Runtime&, const std::string& name) override {
    for (const auto& [known, value] : attributes_) {
      if (known == name) return value;
    }
    return {};
  }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

class Cycler final : public Object {
 public:
  // next() and reset() of a cycler.
  class Step final : public Object {
   public:
    Step(Cycler& cycler, bool is_next) : cycler_(cycler), is_next_(is_next) {}
    std::string type() const override { return "method"; }
    bool is_callable() const override { return true; }
    Value call(Runtime&, Arguments&) override {
      if (!is_next_) {
        cycler_.at_ = 0;
        return {};
      }
      const Value value = cycler_.items_[cycler_.at_];
      cycler_.at_ = (cycler_.at_ + 1) % cycler_.items_.size();
      return value;
    }

   private:
    Cycler& cycler_;
    bool is_next_;
  };

  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  std::string type() const override { return "cycler"; }
  std::optional<Value> attribute(Runtime& runtime, const std::string& name) override {
    if (name == "current") return items_[at_];
    if (name == "next" || name == "reset")
      return Value::object(runtime.make<Step>(*this, name == "next"));
    return {};
  }

 private:
  std::vector<Value> items_;
  size_t at_ = 0;
};

class Joiner final : public Object {
 public:
  explicit Joiner(Value between) : between_(std::move(between)) {}
  std::string type() const override { return "joiner"; }
  bool is_callable() const override { return true; }
  Value call(Runtime&, Arguments&) override {
    return std::exchange(is_used_, true) ? between_ : Value::text("");
  }

 private:
  Value between_;
  bool is_used_ = false;
};

Value call_range(Runtime&, Bound& with) {
  int64_t numbers[3] = {0, 0, 1};  // start, stop, step
  const size_t count = with.has(2) ? 3 : with.has(1) ? 2 : 1;
  for (size_t i = 0; i < count; ++i) {
    refuse_undefined(with[i]);
    numbers[count == 1 ? 1 : i] = with.whole(i, 0);
  }
  const auto [start, stop, step] = numbers;
  if (step == 0) throw Fault("a range with the step 0");
  constexpr int64_t kFurthest = int64_t{1} << 52;
  for (const int64_t number : numbers) {
    if (number > kFurthest || number < -kFurthest)
      throw Fault("a range of numbers that are too large", ErrorKind::kModel);
  }
  const int64_t way = step > 0 ? stop - start : start - stop, stride = step > 0 ? step : -step;
  const int64_t length = way <= 0 ? 0 : (way + stride - 1) / stride;
  if (length > kMostRange)
    throw Fault(fmt::format("a range of {} numbers; the most is {}", length, kMostRange),
                ErrorKind::kModel);
  return Value::range({start, step, length});
}

// The entries of a dict, or of a list of pairs.
Entries entries_in(Runtime& runtime, const Value& value) {
  if (value.is_dict()) return value.entries();
  Entries entries;
  for (const Value& pair : items_of(runtime, value)) {
    const std::vector<Value> both = items_of(runtime, pair);
    if (both.size() != 2) throw Fault("dict needs pairs of keys and values");
    entries.emplace_back(both[0], both[1]);
  }
  return entries;
}

void set_entry(Runtime& runtime, Entries& entries, const Value& key, Value value) {
  runtime.step();
  for (auto& [known, old] : entries) {
    if (!equals(runtime, known, key)) continue;
    old = std::move(value);
    return;
  }
  entries.emplace_back(key, std::move(value));
}

Entries entries_of_call(Runtime& runtime, Bound& with) {
  Entries entries;
  if (with.has(0)) {
    for (const auto& [key, value] : entries_in(runtime, with[0]))
      set_entry(runtime, entries, key, value);
  }
  for (auto& [name, value] : with.rest().named)
    set_entry(runtime, entries, Value::text(name), value);
  return entries;
}

Value call_dict(Runtime& runtime, Bound& with) {
  return Value::dict(entries_of_call(runtime, with));
}

Value call_namespace(Runtime& runtime, Bound& with) {
  std::vector<std::pair<std::string, Value>> attributes;
  for (auto& [key, value] : entries_of_call(runtime, with)) {
    const std::string& name = need_text(key, "a namespace's attribute").bytes;
    if (name.starts_with('_'))
      throw Fault(fmt::format("a namespace's attribute \"{}\" begins with an underscore", name),
                  ErrorKind::kModel);
    attributes.emplace_back(name, value);
  }
  return Value::object(runtime.make<Namespace>(std::move(attributes)));
}

Value call_raise(Runtime& runtime, Bound& with) {
  throw Fault(
      fmt::format("the template refuses these messages: {}", to_text(runtime, with[0]).bytes));
}

Value call_strftime(Runtime& runtime, Bound& with) {
  const std::string format = need_text(with[0], "strftime_now").bytes;
  // One character more, since a result of no characters looks like one that does not fit.
  std::string out(format.size() * 64 + 256, '\0');
  runtime.check_text(out.size());
  const size_t size = std::strftime(out.data(), out.size(), (format + "|").c_str(), &runtime.now());
  out.resize(size > 0 ? size - 1 : 0);
  return runtime.text(out);
}

Value call_cycler(Runtime& runtime, Bound& with) {
  if (with.rest().positional.empty()) throw Fault("cycler needs something to go through");
  return Value::object(runtime.make<Cycler>(with.rest().positional));
}

Value call_joiner(Runtime& runtime, Bound& with) {
  return Value::object(runtime.make<Joiner>(with.has(0) ? with[0] : Value::text(", ")));
}

const std::vector<FunctionInfo>& all_functions() {
  static const std::vector<FunctionInfo> kFunctions = {
      {"range", {"start", "stop", "step"}, call_range},
      {"dict", {"mapping", "**"}, call_dict},
      {"namespace", {"mapping", "**"}, call_namespace},
      {"raise_exception", {"message"}, call_raise},
      {"strftime_now", {"format"}, call_strftime},
      {"cycler", {"*"}, call_cycler},
      {"joiner", {"sep"}, call_joiner},
  };
  return kFunctions;
}

}  // namespace

void add_functions(Runtime& runtime, Scope& scope) {
  for (const FunctionInfo& info : all_functions())
    scope.set(info.name, Value::object(runtime.make<Function>(info)));
}

}  // namespace hone::jinja
