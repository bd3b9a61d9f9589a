// What a parsed template is made of.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/jinja/value.h"

namespace hone::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

enum class Operation {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,  // parts: key, value, key, value, …
  kNot,
  kNegate,
  kIdentity,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcat,  // ~ of any number of parts
  kAnd,
  kOr,
  kCompare,      // parts with `words` between them: ==, <, in, not in, …
  kConditional,  // parts: what is asked, then, else (may be null)
  kAttribute,    // parts[0].name
  kSubscript,    // parts[0][parts[1]]
  kSlice,        // parts[0][parts[1]:parts[2]:parts[3]], the last three may be null
  kCall,         // parts[0](arguments)
  kFilter,       // parts[0]|name(arguments); null in a filter block
  kTest,         // parts[0] is name(arguments)
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr further, further_named;  // *these, **those; may be null
};

struct Expression {
  Operation operation;
  size_t at = 0;  // byte in the source
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> words;
  CallArguments arguments;
  int depth = 1;  // of expressions within each other
};

// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name, attribute;  // both empty: `parts`
  std::vector<Target> parts;
  size_t at = 0;
};

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // may be null
};

// What a macro, or the block of a call, takes.
struct Signature {
  std::string name;  // "" of a call's block
  std::vector<Parameter> parameters;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct Statement {
  enum class Kind {
    kData,        // text
    kPrint,       // expressions[0]
    kIf,          // expressions[i] asks for bodies[i]; one body more is the else
    kFor,         // targets[0] in expressions[0], if expressions[1]; bodies: loop, else
    kSet,         // targets[0] = expressions[0]
    kSetBlock,    // targets[0] = bodies[0], through the filter expressions[0] (may be null)
    kWith,        // targets[i] = expressions[i] within bodies[0]
    kMacro,       // signature, bodies[0]
    kCall,        // expressions[0] with the macro of signature and bodies[0] as its caller
    kFilter,      // bodies[0] through the filter expressions[0]
    kGeneration,  // bodies[0] is what the assistant wrote
    kBreak,
    kContinue,
  } kind;
  size_t at = 0;
  std::string text;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> expressions;
  std::vector<Body> bodies;
  Signature signature;
  bool is_recursive = false;
};

}  // namespace hone::jinja
