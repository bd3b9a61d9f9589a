#include "data/chat/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hone::jinja {
namespace {

constexpr int kMostNestedSyntax = 150;

constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<", "<=", ">", ">="};

std::optional<Operation> product_operation(const Token& token) {
  if (token.is_operator("*")) return Operation::kMultiply;
  if (token.is_operator("/")) return Operation::kDivide;
  if (token.is_operator("//")) return Operation::kFloorDivide;
  if (token.is_operator("%")) return Operation::kModulo;
  return {};
}

}  // namespace

void ExpressionParser::fail(const Token& token, const std::string& message) const {
  throw Error(ErrorKind::kModel, advance({file_, 1, 1}, source_, token.at), message);
}

void ExpressionParser::fail_expected(const std::string& what) const {
  fail(now(), fmt::format("found {} where {} was expected", told(now()), what));
}

void ExpressionParser::enter() {
  if (++depth_ <= kMostNestedSyntax) return;
  --depth_;
  fail(now(), fmt::format("more than {} blocks and brackets within each other", kMostNestedSyntax));
}

bool ExpressionParser::take_operator(std::string_view which) {
  if (!now().is_operator(which)) return false;
  take();
  return true;
}

bool ExpressionParser::take_name(std::string_view which) {
  if (!now().is_name(which)) return false;
  take();
  return true;
}

const Token& ExpressionParser::expect(TokenKind kind, const char* what) {
  if (now().kind != kind) fail_expected(what);
  return take();
}

void ExpressionParser::expect_operator(std::string_view which) {
  if (!take_operator(which)) fail_expected(fmt::format("\"{}\"", which));
}

ExpressionParser::Made ExpressionParser::make(Operation operation, size_t at) const {
  auto made = std::make_unique<Expression>();
  made->operation = operation;
  made->at = at;
  return made;
}

// A long chain (a + b + c …) is as deep as it is long.
void ExpressionParser::add(Expression& to, Made part) const {
  if (part != nullptr) to.depth = std::max(to.depth, part->depth + 1);
  if (to.depth > 2 * kMostNestedSyntax)
    throw Error(ErrorKind::kModel, advance({file_, 1, 1}, source_, to.at),
                fmt::format("an expression of more than {} parts within each other; use ~ or join "
                            "for long chains",
                            2 * kMostNestedSyntax));
  to.parts.push_back(std::move(part));
}

ExpressionParser::Made ExpressionParser::binary(Operation operation, size_t at, Made left,
                                                Made right) const {
  Made made = make(operation, at);
  add(*made, std::move(left));
  add(*made, std::move(right));
  return made;
}

void ExpressionParser::note_name(const std::string& name) {
  special_.caller = special_.caller || name == "caller";
  special_.varargs = special_.varargs || name == "varargs";
  special_.kwargs = special_.kwargs || name == "kwargs";
}

ExpressionParser::Made ExpressionParser::expression(bool takes_if) {
  const Depth depth(*this);
  Made value = or_else();
  while (takes_if && now().is_name("if")) {
    const size_t at = take().at;
    Made made = make(Operation::kConditional, at);
    add(*made, or_else());
    add(*made, std::move(value));
    add(*made, take_name("else") ? expression() : nullptr);
    value = std::move(made);
  }
  return value;
}

ExpressionParser::Made ExpressionParser::or_else() {
  Made left = and_also();
  while (now().is_name("or")) {
    const size_t at = take().at;
    left = binary(Operation::kOr, at, std::move(left), and_also());
  }
  return left;
}

ExpressionParser::Made ExpressionParser::and_also() {
  Made left = negation();
  while (now().is_name("and")) {
    const size_t at = take().at;
    left = binary(Operation::kAnd, at, std::move(left), negation());
  }
  return left;
}

ExpressionParser::Made ExpressionParser::negation() {
  if (!now().is_name("not")) return comparison();
  const Depth depth(*this);
  Made made = make(Operation::kNot, take().at);
  add(*made, negation());
  return made;
}

ExpressionParser::Made ExpressionParser::comparison() {
  const size_t at = now().at;
  Made first = sum();
  Made made;
  for (;;) {
    std::string word;
    const bool is_operator =
        now().kind == TokenKind::kOperator &&
        std::find(kComparisons.begin(), kComparisons.end(), now().text) != kComparisons.end();
    if (is_operator) word = take().text;
    if (word.empty() && take_name("in")) word = "in";
    if (word.empty() && now().is_name("not") && behind().is_name("in")) {
      take();
      take();
      word = "not in";
    }
    if (word.empty()) break;
    if (made == nullptr) {
      made = make(Operation::kCompare, at);
      add(*made, std::move(first));
    }
    made->words.push_back(word);
    add(*made, sum());
  }
  return made != nullptr ? std::move(made) : std::move(first);
}

ExpressionParser::Made ExpressionParser::sum() {
  Made left = concatenation();
  while (now().is_operator("+") || now().is_operator("-")) {
    const Token& token = take();
    const Operation operation = token.text == "+" ? Operation::kAdd : Operation::kSubtract;
    const size_t at = token.at;
    left = binary(operation, at, std::move(left), concatenation());
  }
  return left;
}

ExpressionParser::Made ExpressionParser::concatenation() {
  Made first = product();
  if (!now().is_operator("~")) return first;
  Made made = make(Operation::kConcat, now().at);
  add(*made, std::move(first));
  while (take_operator("~")) add(*made, product());
  return made;
}

ExpressionParser::Made ExpressionParser::product() {
  Made left = power_of();
  while (const std::optional<Operation> operation = product_operation(now())) {
    const size_t at = take().at;
    left = binary(*operation, at, std::move(left), power_of());
  }
  return left;
}

ExpressionParser::Made ExpressionParser::power_of() {
  Made left = unary();
  while (now().is_operator("**")) {
    const size_t at = take().at;
    left = binary(Operation::kPower, at, std::move(left), unary());
  }
  return left;
}

ExpressionParser::Made ExpressionParser::unary(bool takes_filters) {
  Made value;
  if (now().is_operator("-") || now().is_operator("+")) {
    const Depth depth(*this);
    const bool is_minus = now().text == "-";
    value = make(is_minus ? Operation::kNegate : Operation::kIdentity, take().at);
    add(*value, unary(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return takes_filters ? filters_and_tests(std::move(value)) : std::move(value);
}

ExpressionParser::Made ExpressionParser::primary() {
  const Token& token = now();
  if (token.kind == TokenKind::kName) return name_or_literal();
  if (token.kind == TokenKind::kString) return strings();
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) {
    Made made = make(Operation::kConstant, token.at);
    made->constant = token.kind == TokenKind::kInteger ? Value::integer(token.integer)
                                                       : Value::number(token.number);
    take();
    return made;
  }
  if (token.is_operator("(")) {
    take();
    Made made = tuple(true, "", true);
    expect_operator(")");
    return made;
  }
  if (token.is_operator("[")) return list();
  if (token.is_operator("{")) return dict();
  fail_expected("a value");
}

ExpressionParser::Made ExpressionParser::name_or_literal() {
  const Token& token = take();
  const std::string& name = token.text;
  const bool is_true = name == "true" || name == "True",
             is_false = name == "false" || name == "False";
  const bool is_none = name == "none" || name == "None";
  Made made =
      make(is_true || is_false || is_none ? Operation::kConstant : Operation::kName, token.at);
  if (is_true || is_false) made->constant = Value::boolean(is_true);
  made->name = name;
  note_name(name);
  return made;
}

ExpressionParser::Made ExpressionParser::strings() {
  Made made = make(Operation::kConstant, now().at);
  std::string text;
  while (now().kind == TokenKind::kString) text += take().text;
  made->constant = Value::text(text);
  return made;
}

ExpressionParser::Made ExpressionParser::list() {
  Made made = make(Operation::kList, take().at);
  while (!now().is_operator("]")) {
    if (!made->parts.empty()) expect_operator(",");
    if (now().is_operator("]")) break;
    add(*made, expression());
  }
  expect_operator("]");
  return made;
}

ExpressionParser::Made ExpressionParser::dict() {
  Made made = make(Operation::kDict, take().at);
  while (!now().is_operator("}")) {
    if (!made->parts.empty()) expect_operator(",");
    if (now().is_operator("}")) break;
    add(*made, expression());
    expect_operator(":");
    add(*made, expression());
  }
  expect_operator("}");
  return made;
}

bool ExpressionParser::is_tuple_end(std::string_view end) const {
  return now().kind == TokenKind::kVariableEnd || now().kind == TokenKind::kBlockEnd ||
         now().is_operator(")") || (!end.empty() && now().is_name(end));
}

ExpressionParser::Made ExpressionParser::tuple(bool takes_if, std::string_view end,
                                               bool has_parentheses) {
  const size_t at = now().at;
  std::vector<Made> parts;
  bool is_tuple = false;
  for (;;) {
    if (!parts.empty()) expect_operator(",");
    if (is_tuple_end(end)) break;
    parts.push_back(expression(takes_if));
    if (!now().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !parts.empty()) return std::move(parts[0]);
  if (!is_tuple && !has_parentheses) fail_expected("a value");
  Made made = make(Operation::kTuple, at);
  for (Made& part : parts) add(*made, std::move(part));
  return made;
}

ExpressionParser::Made ExpressionParser::postfix(Made value) {
  for (;;) {
    if (now().is_operator(".")) {
      value = attribute_of(std::move(value));
    } else if (now().is_operator("[")) {
      value = subscript_of(std::move(value));
    } else if (now().is_operator("(")) {
      value = call_of(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionParser::Made ExpressionParser::attribute_of(Made value) {
  const size_t at = take().at;
  const Token& name = take();
  if (name.kind == TokenKind::kName) {
    Made made = make(Operation::kAttribute, at);
    made->name = name.text;
    add(*made, std::move(value));
    return made;
  }
  if (name.kind != TokenKind::kInteger) fail(name, "a name or a number was expected behind \".\"");
  Made key = make(Operation::kConstant, name.at);
  key->constant = Value::integer(name.integer);
  return binary(Operation::kSubscript, at, std::move(value), std::move(key));
}

ExpressionParser::Made ExpressionParser::subscript_of(Made value) {
  const Depth depth(*this);
  const size_t at = take().at;
  if (now().is_operator("]")) fail_expected("a key");
  Made made = slice_or_key(std::move(value));
  made->at = at;
  if (now().is_operator(",")) fail_expected("\"]\"");
  expect_operator("]");
  return made;
}

ExpressionParser::Made ExpressionParser::slice_or_key(Made value) {
  Made start;
  if (!now().is_operator(":")) {
    start = expression();
    if (!now().is_operator(":"))
      return binary(Operation::kSubscript, now().at, std::move(value), std::move(start));
  }
  expect_operator(":");
  const auto part = [&]() -> Made {
    const bool is_absent = now().is_operator(":") || now().is_operator("]");
    return is_absent ? nullptr : expression();
  };
  Made made = make(Operation::kSlice, now().at);
  add(*made, std::move(value));
  add(*made, std::move(start));
  add(*made, part());
  add(*made, take_operator(":") ? part() : nullptr);
  return made;
}

ExpressionParser::Made ExpressionParser::call_of(Made callee) {
  Made made = make(Operation::kCall, now().at);
  add(*made, std::move(callee));
  arguments(*made);
  return made;
}

void ExpressionParser::arguments(Expression& to) {
  const Depth depth(*this);
  CallArguments& into = to.arguments;
  const auto keep = [&](Made part) {
    to.depth = std::max(to.depth, part->depth + 1);
    return ExpressionPtr(std::move(part));
  };
  expect_operator("(");
  for (bool is_first = true; !now().is_operator(")"); is_first = false) {
    if (!is_first) expect_operator(",");
    if (now().is_operator(")")) break;
    if (take_operator("*")) {
      if (into.further != nullptr) fail_expected("at most one *");
      into.further = keep(expression());
    } else if (take_operator("**")) {
      if (into.further_named != nullptr) fail_expected("at most one **");
      into.further_named = keep(expression());
    } else if (now().kind == TokenKind::kName && behind().is_operator("=")) {
      const std::string name = take().text;
      take();
      into.named.emplace_back(name, keep(expression()));
    } else {
      if (!into.named.empty() || into.further != nullptr || into.further_named != nullptr)
        fail_expected("an argument with its name, as others before it have one");
      into.positional.push_back(keep(expression()));
    }
  }
  expect_operator(")");
}

std::string ExpressionParser::dotted_name(const char* what) {
  std::string name = expect(TokenKind::kName, what).text;
  while (take_operator(".")) name += "." + expect(TokenKind::kName, what).text;
  return name;
}

ExpressionParser::Made ExpressionParser::filters(Made value, bool is_inline) {
  while (is_inline || now().is_operator("|")) {
    if (!is_inline) take();
    is_inline = false;
    Made made = make(Operation::kFilter, now().at);
    made->name = dotted_name("a filter's name");
    add(*made, std::move(value));
    if (now().is_operator("(")) arguments(*made);
    value = std::move(made);
  }
  return value;
}

ExpressionParser::Made ExpressionParser::filters_and_tests(Made value) {
  for (;;) {
    if (now().is_operator("|")) {
      value = filters(std::move(value));
    } else if (now().is_name("is")) {
      value = test_of(std::move(value));
    } else if (now().is_operator("(")) {
      value = call_of(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionParser::Made ExpressionParser::test_of(Made value) {
  const size_t at = take().at;
  const bool is_negated = take_name("not");
  Made made = make(Operation::kTest, at);
  made->name = dotted_name("a test's name");
  add(*made, std::move(value));
  const Token& token = now();
  const bool is_value = token.kind == TokenKind::kString || token.kind == TokenKind::kInteger ||
                        token.kind == TokenKind::kFloat || token.is_operator("[") ||
                        token.is_operator("{") ||
                        (token.kind == TokenKind::kName && !token.is_name("else") &&
                         !token.is_name("or") && !token.is_name("and"));
  if (token.is_operator("(")) {
    arguments(*made);
  } else if (is_value) {
    if (token.is_name("is")) fail(token, "tests cannot follow each other; join them by \"and\"");
    Made argument = postfix(primary());
    made->depth = std::max(made->depth, argument->depth + 1);
    made->arguments.positional.push_back(std::move(argument));
  }
  if (!is_negated) return made;
  Made negated = make(Operation::kNot, at);
  add(*negated, std::move(made));
  return negated;
}

}  // namespace hone::jinja
