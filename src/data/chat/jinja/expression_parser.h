// The expressions of a template; statements (parser.cpp) stand on it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/jinja/lexer.h"
#include "data/chat/jinja/syntax.h"

namespace hone::jinja {

class ExpressionParser {
 public:
  ExpressionParser(const std::string& source, const std::string& file)
      : source_(source), file_(file), tokens_(tokenize(source, file)) {}

 protected:
  using Made = std::unique_ptr<Expression>;

  const Token& now() const { return tokens_[next_]; }
  const Token& behind() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[next_ + 1 < tokens_.size() ? next_++ : next_]; }
  bool take_operator(std::string_view which);
  bool take_name(std::string_view which);
  const Token& expect(TokenKind kind, const char* what);
  void expect_operator(std::string_view which);
  [[noreturn]] void fail(const Token& token, const std::string& message) const;
  [[noreturn]] void fail_expected(const std::string& what) const;

  Made expression(bool takes_if = true);
  // Several with commas are a tuple. `end` is a name that ends it ("in", "recursive").
  Made tuple(bool takes_if = true, std::string_view end = "", bool has_parentheses = false);
  Made filters(Made value, bool is_inline = false);  // |a|b; is_inline: the first without its |
  Made call_of(Made callee);

  // Names that macros get without asking, as far as they were read.
  struct SpecialNames {
    bool caller = false, varargs = false, kwargs = false;
  } special_;

  // Held while one thing is parsed within another.
  class Depth {
   public:
    explicit Depth(ExpressionParser& parser) : parser_(parser) { parser.enter(); }
    ~Depth() { --parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  const std::string& source_;
  const std::string& file_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
  int depth_ = 0;

  void enter();
  bool is_tuple_end(std::string_view end) const;
  Made make(Operation operation, size_t at) const;
  void add(Expression& to, Made part) const;
  Made binary(Operation operation, size_t at, Made left, Made right) const;
  void note_name(const std::string& name);

  Made or_else();
  Made and_also();
  Made negation();
  Made comparison();
  Made sum();
  Made concatenation();
  Made product();
  Made power_of();
  Made unary(bool takes_filters = true);
  Made primary();
  Made name_or_literal();
  Made strings();
  Made list();
  Made dict();
  Made postfix(Made value);
  Made filters_and_tests(Made value);
  Made attribute_of(Made value);
  Made subscript_of(Made value);
  Made slice_or_key(Made value);
  Made test_of(Made value);
  std::string dotted_name(const char* what);
  void arguments(Expression& to);
};

}  // namespace hone::jinja
