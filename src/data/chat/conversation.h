// Conversations in one form, whatever a file has: a list of messages as OpenAI has them,
//
//   [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
//    {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function":
//      {"name": "clock", "arguments": {"zone": "UTC"}}}]},
//    {"role": "tool", "content": "12:00"}, {"role": "assistant", "content": "Noon."}]
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace hone {

// Roles that a message may have.
const std::vector<std::string>& conversation_roles();

// Checks the messages of a row and makes them plain: the parts of a content that is a list of texts
// become one text, the arguments of tool calls that are JSON in a text become what it says, and a
// content that is missing becomes null. Throws Error(kData) without a place: it names the message
// by its number, says what was found and what is expected. Refused are an empty list, an unknown
// role, a system or developer message behind others, a tool's message without a call before it, a
// user's or tool's message without content, and parts that are no texts. Whether the assistant may
// say nothing is for those to tell who learn from it.
void make_plain(Json& messages);

// ShareGPT's list of {"from": human | gpt | system | tool …, "value": text} as messages.
Json messages_of_sharegpt(const Json& turns);

// A row's tools, `name` its field: a list, or the JSON of one in a text; null: none. Error(kData)
// without a place for anything else.
Json tools_of(const Json& tools, const std::string& name);

// Alpaca's {"instruction", "input", "output"}, and "system" and "history" ([[user, assistant], …])
// where they are there. An input follows its instruction behind an empty line. Without an output
// (not an empty one) the user has the last word.
Json messages_of_alpaca(const Json& row);

}  // namespace hone
