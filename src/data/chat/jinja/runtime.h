// One rendering: its bounds, the objects it made, and the clock it shows.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/jinja/value.h"

namespace hone::jinja {

constexpr int64_t kMostSteps = 5'000'000;         // expressions evaluated, items and entries made
constexpr int64_t kMostBytes = int64_t{1} << 29;  // of all texts made, counted once each
constexpr int64_t kMostTextBytes = int64_t{1} << 24;  // of one text
constexpr int64_t kStepsOfObject = 10;                // it takes some hundred bytes until the end
constexpr int64_t kMostRange = 100'000;               // MAX_RANGE of Jinja2's sandbox
constexpr int kMostDepth = 800;                       // of expressions and statements in each other

class Runtime {
 public:
  explicit Runtime(const std::tm& now) : now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  void step(int64_t count = 1);
  void check_text(size_t bytes) const;  // before a text of so many bytes is made
  Value text(Text text);                // counted
  Value text(std::string_view text) { return this->text(Text(text)); }
  Value list(std::vector<Value> items);
  Value iterator(std::vector<Value> items);

  template <typename T, typename... A>
  T& make(A&&... arguments) {
    step(kStepsOfObject);
    auto made = std::make_unique<T>(std::forward<A>(arguments)...);
    T& object = *made;
    objects_.push_back(std::move(made));
    return object;
  }

  const std::tm& now() const { return now_; }

  // Held while something is evaluated within something else.
  class Depth {
   public:
    explicit Depth(Runtime& runtime);
    ~Depth() { --runtime_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  std::tm now_;
  int64_t steps_ = 0, bytes_ = 0;
  int depth_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

// A text that grows within the bounds.
class Writer {
 public:
  explicit Writer(Runtime& runtime) : runtime_(runtime) {}

  void append(const Text& text) {
    runtime_.check_text(text_.size() + text.size());
    text_.append(text);
  }
  void append(std::string_view text, char mark = 0) {
    runtime_.check_text(text_.size() + text.size());
    text_.append(text, mark);
  }
  size_t size() const { return text_.size(); }
  Text take() { return std::move(text_); }
  Value value() { return runtime_.text(take()); }

 private:
  Runtime& runtime_;
  Text text_;
};

// Arguments by the names of a function's parameters. A parameter that begins with '*' takes all
// further positional arguments, "**" all further named ones.
class Bound {
 public:
  Bound(const std::string& function, const std::vector<const char*>& parameters,
        Arguments& arguments);

  bool has(size_t i) const { return given_[i]; }
  const Value& operator[](size_t i) const;  // a Fault where it was not given
  bool is_true(size_t i, bool otherwise) const;
  int64_t whole(size_t i, int64_t otherwise) const;
  Arguments& rest() { return rest_; }

 private:
  std::string function_;
  const std::vector<const char*>& parameters_;
  std::vector<Value> values_;
  std::vector<bool> given_;
  Arguments rest_;

  void place(const std::string& name, Value value);
  int64_t whole_of(size_t i) const;
};

}  // namespace hone::jinja
