#include "data/chat/jinja/loop.h"

#include <fmt/format.h>

#include <utility>

#include "data/chat/jinja/operators.h"

namespace hone::jinja {

// cycle and changed.
class Loop::Method final : public Object {
 public:
  Method(Loop& loop, bool is_cycle) : loop_(loop), is_cycle_(is_cycle) {}
  std::string type() const override { return "method"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    return is_cycle_ ? cycle(arguments.positional) : changed(runtime, arguments.positional);
  }

 private:
  Value cycle(const std::vector<Value>& values) {
    if (values.empty()) throw Fault("loop.cycle needs something to go through");
    return values[static_cast<size_t>(loop_.index0_) % values.size()];
  }
  Value changed(Runtime& runtime, const std::vector<Value>& values) {
    const bool is_same = loop_.last_changed_ &&
                         equals(runtime, Value::list(*loop_.last_changed_), Value::list(values));
    loop_.last_changed_ = values;
    return Value::boolean(!is_same);
  }

  Loop& loop_;
  bool is_cycle_;
};

std::optional<Value> Loop::pull() {
  if (is_testing_)
    throw Fault("the condition of a loop asks for the loop itself", ErrorKind::kModel);
  while (next_ < items_.size()) {
    const Value item = items_[next_++];
    is_testing_ = true;
    const bool is_wanted = !test_ || is_tested_ || test_(item);
    is_testing_ = false;
    if (is_wanted) return item;
  }
  return {};
}

const std::optional<Value>& Loop::peek() {
  if (!after_) after_ = pull();
  return after_;
}

bool Loop::advance() {
  std::optional<Value> next = after_ ? std::exchange(after_, {}) : pull();
  if (!next) return false;
  before_ = std::move(current_);
  current_ = std::move(next);
  ++index0_;
  return true;
}

int64_t Loop::length() {
  if (test_ && !is_tested_) {  // the rest is asked for, and known from now on
    std::vector<Value> rest;
    while (std::optional<Value> item = pull()) rest.push_back(std::move(*item));
    std::vector<Value> all(static_cast<size_t>(index0_ + 1));
    if (after_) all.push_back(*after_);
    next_ = all.size();
    all.insert(all.end(), rest.begin(), rest.end());
    items_ = std::move(all);
    is_tested_ = true;
  }
  return static_cast<int64_t>(items_.size());
}

Value Loop::neighbour(const std::optional<Value>& item, const char* which) const {
  return item ? *item : Value::undefined(fmt::format("the loop has no {} item", which));
}

std::optional<Value> Loop::attribute(Runtime& runtime, const std::string& name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "revindex") return Value::integer(length() - index0_);
  if (name == "revindex0") return Value::integer(length() - index0_ - 1);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(length());
  if (name == "previtem") return neighbour(before_, "previous");
  if (name == "nextitem") return neighbour(peek(), "next");
  if (name == "depth") return Value::integer(depth0_ + 1);
  if (name == "depth0") return Value::integer(depth0_);
  if (name == "cycle" || name == "changed")
    return Value::object(runtime.make<Method>(*this, name == "cycle"));
  return {};
}

Value Loop::call(Runtime& /*runtime*/, Arguments& arguments) {
  if (!recurse_)
    throw Fault("this loop is not recursive; its tag needs \"recursive\"", ErrorKind::kModel);
  if (arguments.positional.size() != 1) throw Fault("loop(…) takes the items to go through");
  return recurse_(arguments.positional[0]);
}

}  // namespace hone::jinja
