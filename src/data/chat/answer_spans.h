// Which bytes of a rendered conversation the assistant wrote.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/chat/jinja/text.h"
#include "data/sample.h"

namespace hone {

// The text of the first `count` messages, perhaps with the generation prompt.
using TextOf = std::function<jinja::Text(size_t count, bool add_prompt)>;

std::vector<Span> spans_marked(const jinja::Text& text, char mark);

// For a template without {% generation %}. An answer begins where the messages before it, rendered
// with the generation prompt, end, and goes on to where the messages up to it end. Error(kModel) at
// `file` where one of these texts is no beginning of the `whole` one: the template changes earlier
// turns, and what it showed the model cannot be told.
std::vector<Span> answers_by_prefixes(const Json& messages, const jinja::Text& whole,
                                      const TextOf& text_of, bool is_last_only,
                                      const std::string& file);

}  // namespace hone
