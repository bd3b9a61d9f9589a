#include "data/chat/jinja/runtime.h"

#include <fmt/format.h>

#include "data/chat/jinja/operators.h"

namespace hone::jinja {

void Runtime::step(int64_t count) {
  steps_ += count;
  if (steps_ > kMostSteps)
    throw Fault(
        fmt::format("it takes more than {} steps; is there a loop without an end?", kMostSteps),
        ErrorKind::kModel);
}

void Runtime::check_text(size_t bytes) const {
  if (bytes > static_cast<size_t>(kMostTextBytes))
    throw Fault(fmt::format("a text of more than {} bytes", kMostTextBytes), ErrorKind::kModel);
}

Value Runtime::text(Text text) {
  check_text(text.size());
  bytes_ += static_cast<int64_t>(text.size());
  if (bytes_ > kMostBytes)
    throw Fault(fmt::format("the texts it makes take more than {} bytes", kMostBytes),
                ErrorKind::kModel);
  return Value::text(std::move(text));
}

Value Runtime::list(std::vector<Value> items) {
  step(static_cast<int64_t>(items.size()));
  return Value::list(std::move(items));
}

Value Runtime::iterator(std::vector<Value> items) {
  step(static_cast<int64_t>(items.size()));
  return Value::iterator(std::move(items));
}

Runtime::Depth::Depth(Runtime& runtime) : runtime_(runtime) {
  if (++runtime_.depth_ <= kMostDepth) return;
  --runtime_.depth_;
  throw Fault(fmt::format("more than {} expressions, blocks and calls within each other; does a "
                          "macro call itself without an end?",
                          kMostDepth),
              ErrorKind::kModel);
}

Bound::Bound(const std::string& function, const std::vector<const char*>& parameters,
             Arguments& arguments)
    : function_(function),
      parameters_(parameters),
      values_(parameters.size()),
      given_(parameters.size(), false) {
  const auto count_plain = [&] {
    size_t count = 0;
    while (count < parameters.size() && parameters[count][0] != '*') ++count;
    return count;
  };
  const size_t plain = count_plain();
  const bool takes_rest = plain < parameters.size();
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < plain) {
      values_[i] = std::move(arguments.positional[i]);
      given_[i] = true;
    } else if (takes_rest) {
      rest_.positional.push_back(std::move(arguments.positional[i]));
    } else {
      throw Fault(fmt::format("{} takes at most {} arguments; it is given {}", function_, plain,
                              arguments.positional.size()));
    }
  }
  for (auto& [name, value] : arguments.named) place(name, std::move(value));
}

void Bound::place(const std::string& name, Value value) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (name != parameters_[i]) continue;
    if (given_[i]) throw Fault(fmt::format("{} is given \"{}\" twice", function_, name));
    values_[i] = std::move(value);
    given_[i] = true;
    return;
  }
  if (parameters_.empty() || std::string_view(parameters_.back()) != "**")
    throw Fault(fmt::format("{} takes no argument \"{}\"", function_, name));
  rest_.named.emplace_back(name, std::move(value));
}

const Value& Bound::operator[](size_t i) const {
  if (!given_[i]) throw Fault(fmt::format("{} needs \"{}\"", function_, parameters_[i]));
  return values_[i];
}

bool Bound::is_true(size_t i, bool otherwise) const {
  return given_[i] ? jinja::is_true(values_[i]) : otherwise;
}

int64_t Bound::whole(size_t i, int64_t otherwise) const {
  return given_[i] ? whole_of(i) : otherwise;
}

int64_t Bound::whole_of(size_t i) const {
  if (values_[i].is_whole()) return values_[i].whole();
  throw Fault(fmt::format("{} needs a whole number as \"{}\"; found a {}", function_,
                          parameters_[i], values_[i].type()));
}

}  // namespace hone::jinja
