#include "data/chat/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "data/chat/jinja/expression_parser.h"

namespace hone::jinja {
namespace {

constexpr std::array<std::string_view, 9> kForeignTags = {
    "include", "import", "from", "extends", "block", "autoescape", "trans", "do", "print"};

class Parser final : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Parsed run() {
    Parsed parsed;
    parsed.body = body({});
    parsed.has_generation = has_generation_;
    return parsed;
  }

 private:
  using Kind = Statement::Kind;
  using Parse = void (Parser::*)(Statement&);
  struct Tag {
    const char* name;
    Kind kind;
    Parse parse;
  };
  static const std::vector<Tag>& tags();

  bool has_generation_ = false;
  int loops_ = 0;  // around what is parsed, within the same macro

  // Statements up to a tag whose name is among `ends`, which is the next token then; without `ends`
  // up to the end of the template.
  Body body(const std::vector<std::string_view>& ends) {
    const Depth depth(*this);
    Body statements;
    for (;;) {
      const Token& token = now();
      if (token.kind == TokenKind::kEnd) {
        if (ends.empty()) return statements;
        fail(token, fmt::format("the template ends where {{% {} %}} was expected",
                                fmt::join(ends, " %} or {% ")));
      }
      auto statement = std::make_unique<Statement>();
      statement->at = token.at;
      if (token.kind == TokenKind::kData) {
        statement->kind = Kind::kData;
        statement->text = take().text;
      } else if (token.kind == TokenKind::kVariableBegin) {
        take();
        statement->kind = Kind::kPrint;
        statement->expressions.push_back(tuple());
        expect(TokenKind::kVariableEnd, "\"}}\"");
      } else {
        take();
        if (is_among_names(ends)) return statements;
        parse_tag(*statement);
        expect(TokenKind::kBlockEnd, "\"%}\"");
      }
      statements.push_back(std::move(statement));
    }
  }

  bool is_among_names(const std::vector<std::string_view>& names) const {
    return now().kind == TokenKind::kName &&
           std::find(names.begin(), names.end(), now().text) != names.end();
  }

  // What stands between a tag and one of `ends`; the end's name is taken and given.
  std::string block(Statement& statement, const std::vector<std::string_view>& ends) {
    take_operator(":");
    expect(TokenKind::kBlockEnd, "\"%}\"");
    statement.bodies.push_back(body(ends));
    return take().text;
  }

  void parse_tag(Statement& statement) {
    const Token& token = expect(TokenKind::kName, "a tag's name");
    for (const Tag& tag : tags()) {
      if (token.text != tag.name) continue;
      statement.kind = tag.kind;
      (this->*tag.parse)(statement);
      return;
    }
    if (std::find(kForeignTags.begin(), kForeignTags.end(), token.text) != kForeignTags.end())
      fail(token, fmt::format("the tag \"{}\" is not available in chat templates", token.text));
    fail(token, fmt::format("\"{}\" is no tag, or closes nothing", token.text));
  }

  void parse_if(Statement& statement) {
    for (std::string end = "elif"; end == "elif";) {
      statement.expressions.push_back(tuple(false));
      end = block(statement, {"elif", "else", "endif"});
      if (end == "else") end = block(statement, {"endif"});
    }
  }

  void parse_for(Statement& statement) {
    statement.targets.push_back(target());
    if (!take_name("in")) fail_expected("\"in\"");
    statement.expressions.push_back(tuple(false, "recursive"));
    statement.expressions.push_back(take_name("if") ? expression() : nullptr);
    statement.is_recursive = take_name("recursive");
    ++loops_;
    const std::string end = block(statement, {"else", "endfor"});
    --loops_;
    if (end == "else") block(statement, {"endfor"});
  }

  void parse_set(Statement& statement) {
    statement.targets.push_back(target());
    if (take_operator("=")) {
      statement.expressions.push_back(tuple());
      return;
    }
    statement.kind = Kind::kSetBlock;
    statement.expressions.push_back(filters(nullptr));
    separate_block(statement, "endset");
  }

  // A block of which no loop outside can be left.
  void separate_block(Statement& statement, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    block(statement, {end});
    loops_ = loops;
  }

  void parse_with(Statement& statement) {
    while (now().kind != TokenKind::kBlockEnd) {
      if (!statement.targets.empty()) expect_operator(",");
      statement.targets.push_back(one_target());
      expect_operator("=");
      statement.expressions.push_back(expression());
    }
    block(statement, {"endwith"});
  }

  void parse_macro(Statement& statement) {
    statement.signature.name = expect(TokenKind::kName, "a macro's name").text;
    parse_signature(statement.signature);
    macro_body(statement, "endmacro");
  }

  void parse_signature(Signature& signature) {
    expect_operator("(");
    while (!now().is_operator(")")) {
      if (!signature.parameters.empty()) expect_operator(",");
      const Token& name = expect(TokenKind::kName, "a parameter's name");
      Parameter parameter{name.text, nullptr};
      if (take_operator("=")) {
        parameter.otherwise = expression();
      } else if (!signature.parameters.empty() &&
                 signature.parameters.back().otherwise != nullptr) {
        fail(name, "a parameter without a default value follows one that has one");
      }
      signature.parameters.push_back(std::move(parameter));
    }
    expect_operator(")");
  }

  void macro_body(Statement& statement, std::string_view end) {
    const SpecialNames outside = std::exchange(special_, {});
    separate_block(statement, end);
    statement.signature.uses_caller = special_.caller;
    statement.signature.uses_varargs = special_.varargs;
    statement.signature.uses_kwargs = special_.kwargs;
    special_.caller = special_.caller || outside.caller;
    special_.varargs = special_.varargs || outside.varargs;
    special_.kwargs = special_.kwargs || outside.kwargs;
  }

  void parse_call(Statement& statement) {
    if (now().is_operator("(")) parse_signature(statement.signature);
    const Token& token = now();
    Made call = expression();
    if (call->operation != Operation::kCall) fail(token, "a call of a macro was expected");
    statement.expressions.push_back(std::move(call));
    macro_body(statement, "endcall");
  }

  void parse_filter(Statement& statement) {
    statement.expressions.push_back(filters(nullptr, /*is_inline=*/true));
    separate_block(statement, "endfilter");
  }

  void parse_generation(Statement& statement) {
    has_generation_ = true;
    separate_block(statement, "endgeneration");
  }

  void parse_leaving(Statement& statement) {
    if (loops_ == 0)
      throw_outside(statement.kind == Kind::kBreak ? "break" : "continue", statement.at);
  }
  [[noreturn]] void throw_outside(const char* what, size_t at) const {
    Token token{TokenKind::kName, what, at};
    fail(token, fmt::format("\"{}\" stands in no loop", what));
  }

  Target target() {
    Target first = one_target();
    if (!now().is_operator(",")) return first;
    Target all;
    all.at = first.at;
    all.parts.push_back(std::move(first));
    while (take_operator(",")) {
      if (now().is_operator(")")) break;
      all.parts.push_back(one_target());
    }
    return all;
  }

  Target one_target() {
    const Depth depth(*this);
    if (take_operator("(")) {
      Target inner = target();
      expect_operator(")");
      return inner;
    }
    const Token& token = expect(TokenKind::kName, "a name to assign to");
    static constexpr std::array<std::string_view, 7> kFixed = {"true",  "false", "none", "True",
                                                               "False", "None",  "loop"};
    if (std::find(kFixed.begin(), kFixed.end(), token.text) != kFixed.end())
      fail(token, fmt::format("\"{}\" cannot be assigned to", token.text));
    Target made;
    made.name = token.text;
    made.at = token.at;
    if (take_operator(".")) made.attribute = expect(TokenKind::kName, "an attribute's name").text;
    return made;
  }
};

const std::vector<Parser::Tag>& Parser::tags() {
  static const std::vector<Tag> kTags = {
      {"if", Kind::kIf, &Parser::parse_if},
      {"for", Kind::kFor, &Parser::parse_for},
      {"set", Kind::kSet, &Parser::parse_set},
      {"with", Kind::kWith, &Parser::parse_with},
      {"macro", Kind::kMacro, &Parser::parse_macro},
      {"call", Kind::kCall, &Parser::parse_call},
      {"filter", Kind::kFilter, &Parser::parse_filter},
      {"generation", Kind::kGeneration, &Parser::parse_generation},
      {"break", Kind::kBreak, &Parser::parse_leaving},
      {"continue", Kind::kContinue, &Parser::parse_leaving},
  };
  return kTags;
}

}  // namespace

Parsed parse(const std::string& source, const std::string& file) {
  return Parser(source, file).run();
}

}  // namespace hone::jinja
