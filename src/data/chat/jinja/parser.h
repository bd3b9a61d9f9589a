// From tokens to statements and expressions: Jinja2's grammar but for templates that refer to other
// templates (include, import, extends, block), translation and autoescape.
#pragma once

#include <string>
#include <vector>

#include "data/chat/jinja/lexer.h"
#include "data/chat/jinja/syntax.h"

namespace hone::jinja {

struct Parsed {
  Body body;
  bool has_generation = false;  // a {% generation %} stands in it
};

// Error(kModel) with line and column in `file`: what was found, what was expected.
Parsed parse(const std::string& source, const std::string& file);

}  // namespace hone::jinja
