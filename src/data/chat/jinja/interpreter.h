// A parsed template run on its variables.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "data/chat/jinja/loop.h"
#include "data/chat/jinja/runtime.h"
#include "data/chat/jinja/scope.h"
#include "data/chat/jinja/syntax.h"

namespace hone::jinja {

class Interpreter {
 public:
  // `source` and `file` are for the places of errors. All must outlive this.
  Interpreter(Runtime& runtime, const std::string& source, const std::string& file);

  Scope& globals() { return *globals_; }
  Text run(const Body& body);

 private:
  friend class Macro;
  enum class Flow { kOn, kBreak, kContinue };

  Runtime& runtime_;
  const std::string& source_;
  const std::string& file_;
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;  // nobody looks back at them
  Scope* globals_;
  Writer* out_ = nullptr;

  // A scope of its own for what stands in a block.
  class Inner {
   public:
    Inner(Interpreter& interpreter, Scope& around)
        : interpreter_(interpreter), scope_(interpreter.new_scope(around)) {}
    ~Inner() {
      if (!scope_.is_kept()) interpreter_.free_scopes_.push_back(&scope_);
    }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;
    Scope& operator*() const { return scope_; }

   private:
    Interpreter& interpreter_;
    Scope& scope_;
  };

  Scope& new_scope(Scope& around);
  [[noreturn]] void fail(const Fault& fault, size_t at) const;

  // statements.cpp
  Flow run(const Body& body, Scope& scope);
  Flow run(const Statement& statement, Scope& scope);
  Flow run_placed(const Statement& statement, Scope& scope);
  Flow run_if(const Statement& statement, Scope& scope);
  Flow run_for(const Statement& statement, Scope& scope);
  Flow run_loop(const Statement& statement, Scope& scope, const Value& items, int64_t depth0);
  Flow run_with(const Statement& statement, Scope& scope);
  void run_set(const Statement& statement, Scope& scope);
  void run_call(const Statement& statement, Scope& scope);
  Text captured(const Body& body, Scope& scope);
  Text captured_answer(const Body& body, Scope& scope);
  void assign(const Target& target, const Value& value, Scope& scope);
  void assign_attribute(const Target& target, const Value& value, Scope& scope);

  // evaluation.cpp
  Value evaluate(const Expression& expression, Scope& scope);
  Value evaluate_placed(const Expression& expression, Scope& scope);
  static Value named(const std::string& name, Scope& scope);
  Value sliced(const Expression& expression, Scope& scope);
  Value binary(const Expression& expression, Scope& scope);
  Value compared(const Expression& expression, Scope& scope);
  Value concatenated(const Expression& expression, Scope& scope);
  Value conditional(const Expression& expression, Scope& scope);
  Value made_dict(const Expression& expression, Scope& scope);
  std::vector<Value> all(const std::vector<ExpressionPtr>& parts, Scope& scope);
  Value part_or_none(const ExpressionPtr& part, Scope& scope);
  Arguments arguments_of(const Expression& expression, Scope& scope);
  Value called(const Expression& expression, Scope& scope, const Value* caller = nullptr);
  Value filtered(const Expression& expression, Scope& scope, const Value* input = nullptr);
};

}  // namespace hone::jinja
