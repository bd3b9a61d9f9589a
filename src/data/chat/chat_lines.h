// `hone tokenize --chat`: what a model sees of each conversation, and what it would learn of it.
#pragma once

#include <iosfwd>
#include <string>

#include "data/chat/chat_template.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

// Each line of `in` is a list of messages, or an object {"messages": […]} with what else the
// template is to have ("tools", "documents", "add_generation_prompt", "enable_thinking" …). A line
// is written for each: {"text", "answers": [[start, end], …] in bytes of it, "ids", "tokens",
// "offsets", "is_answer": [0, 1, …]}. Errors are those of ChatTemplate::render, at the line's
// place; `name` is the file's.
void chat_lines(const Tokenizer& tokenizer, const ChatTemplate& chat_template, std::istream& in,
                const std::string& name, std::ostream& out);

}  // namespace hone
