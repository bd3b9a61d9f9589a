#include "data/chat/chat_lines.h"

#include <fmt/format.h>

#include <istream>
#include <ostream>

#include "base/error.h"
#include "data/chat/conversation.h"
#include "data/chat/encode_chat.h"

namespace hone {
namespace {

struct ChatLine {
  Json messages;
  RenderOptions options;
};

Json read_tools(const Json& tools, const Where& where) {
  try {
    return tools_of(tools, "tools");
  } catch (const Error& error) {
    throw Error(error.kind(), where, error.message());
  }
}

ChatLine read_line(const std::string& line, const Where& where) {
  Json value = parse_json(line, where, ErrorKind::kData);
  ChatLine out;
  if (value.is_array()) {
    out.messages = std::move(value);
    return out;
  }
  if (!value.is_object() || !value.contains("messages"))
    throw Error(ErrorKind::kData, where,
                "a list of messages was expected, or an object with \"messages\"");
  for (auto& [key, member] : value.items()) {
    if (key == "messages") {
      out.messages = std::move(member);
    } else if (key == "tools") {
      out.options.tools = read_tools(member, where);
    } else if (key == "documents") {
      out.options.documents = std::move(member);
    } else if (key == "add_generation_prompt") {
      out.options.add_generation_prompt = member == true;
    } else {
      out.options.variables[key] = std::move(member);
    }
  }
  return out;
}

Json spans_json(const std::vector<Span>& spans) {
  Json list = Json::array();
  for (const Span span : spans) list.push_back({span.start, span.end});
  return list;
}

std::string chat_json(const Tokenizer& tokenizer, const Rendered& rendered) {
  const EncodedChat chat = encode_chat(tokenizer, rendered);
  Json tokens = Json::array();
  for (const int32_t id : chat.ids) tokens.push_back(tokenizer.token(id));
  return to_text({{"text", rendered.text},
                  {"answers", spans_json(rendered.answers)},
                  {"ids", chat.ids},
                  {"tokens", std::move(tokens)},
                  {"offsets", spans_json(chat.offsets)},
                  {"is_answer", chat.is_answer}});
}

}  // namespace

void chat_lines(const Tokenizer& tokenizer, const ChatTemplate& chat_template, std::istream& in,
                const std::string& name, std::ostream& out) {
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const Where where{name, ++number, 0};
    if (line.empty() || line == "\r") continue;
    const ChatLine chat = read_line(line, where);
    try {
      out << chat_json(tokenizer, chat_template.render(chat.messages, chat.options)) << '\n';
    } catch (const Error& error) {
      throw Error(error.kind(), where, error.what());
    }
  }
  if (in.bad()) throw Error(ErrorKind::kData, Where{name, number + 1, 0}, "cannot be read on.");
}

}  // namespace hone
