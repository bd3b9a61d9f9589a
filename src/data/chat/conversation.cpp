#include "data/chat/conversation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace hone {
namespace {

constexpr size_t kShown = 60;  // bytes of a value in a message

std::string shown_value(const Json& value) {
  std::string text = to_text(value);
  if (text.size() <= kShown) return text;
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

class Message {
 public:
  Message(Json& message, size_t index) : message_(message), index_(index) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kData, fmt::format("message {} {}", index_ + 1, what));
  }

  std::string role() const {
    if (!message_.is_object())
      fail(fmt::format("is {}; an object with \"role\" and \"content\" was expected",
                       shown_value(message_)));
    const auto found = message_.find("role");
    if (found == message_.end()) fail("has no \"role\"");
    if (!found->is_string()) fail(fmt::format("has the role {}", shown_value(*found)));
    const std::string role = found->get<std::string>();
    const auto& known = conversation_roles();
    if (std::find(known.begin(), known.end(), role) == known.end())
      fail(fmt::format("has the unknown role {}{}; known: {}", shown_value(*found),
                       did_you_mean(role, known), fmt::join(known, ", ")));
    return role;
  }

  void make_content_plain() {
    if (!message_.contains("content")) message_["content"] = nullptr;
    Json& content = message_["content"];
    if (content.is_array()) content = text_of_parts(content);
    if (!content.is_null() && !content.is_string())
      fail(
          fmt::format("has the content {}; a text was expected, or a list of parts of the type "
                      "text",
                      shown_value(content)));
  }

  // Makes calls plain; whether there are any.
  bool make_calls_plain() {
    const auto calls = message_.find("tool_calls");
    if (calls == message_.end() || calls->is_null()) return false;
    if (!calls->is_array())
      fail(fmt::format("has the tool_calls {}; a list was expected", shown_value(*calls)));
    for (Json& call : *calls) make_call_plain(call);
    return !calls->empty();
  }

 private:
  Json& message_;
  size_t index_;

  std::string text_of_parts(const Json& parts) const {
    std::string text;
    for (const Json& part : parts) {
      const bool is_text = part.is_object() && part.value("type", Json()) == "text" &&
                           part.contains("text") && part["text"].is_string();
      if (!is_text)
        fail(
            fmt::format("has the part {}; only parts {{\"type\": \"text\", \"text\": …}} can be "
                        "read",
                        shown_value(part)));
      text += part["text"].get_ref<const std::string&>();
    }
    return text;
  }

  void make_call_plain(Json& call) const {
    if (!call.is_object())
      fail(fmt::format("has the tool call {}; an object was expected", shown_value(call)));
    Json& function = call.contains("function") ? call["function"] : call;
    const bool has_name =
        function.is_object() && function.contains("name") && function["name"].is_string();
    if (!has_name)
      fail(fmt::format("has the tool call {}; a function's \"name\" was expected",
                       shown_value(call)));
    const auto arguments = function.find("arguments");
    if (arguments == function.end() || !arguments->is_string()) return;
    try {
      *arguments = parse_json(arguments->get<std::string>(), Where{}, ErrorKind::kData);
    } catch (const Error& error) {
      fail(fmt::format("has tool calls whose arguments {} are no JSON: {}", shown_value(*arguments),
                       error.message()));
    }
  }
};

// The order of roles, as far as every template keeps to it.
class Order {
 public:
  void next(const Message& message, const std::string& role, bool has_calls) {
    if ((role == "system" || role == "developer") && has_begun_)
      message.fail(fmt::format("has the role {}, which may only come before all others", role));
    const bool is_tool = role == "tool" || role == "function";
    if (is_tool && !may_answer_call_)
      message.fail(fmt::format("has the role {}, but no message before it calls one", role));
    has_begun_ = has_begun_ || (role != "system" && role != "developer");
    may_answer_call_ = has_calls || (is_tool && may_answer_call_);
  }

 private:
  bool has_begun_ = false, may_answer_call_ = false;
};

void refuse_no_list(const Json& messages, const char* name) {
  if (messages.is_array() && !messages.empty()) return;
  throw Error(ErrorKind::kData,
              messages.is_array()
                  ? fmt::format("\"{}\" is an empty list", name)
                  : fmt::format("\"{}\" is {}; a list was expected", name, shown_value(messages)));
}

const std::vector<std::pair<std::string, std::string>>& sharegpt_roles() {
  static const std::vector<std::pair<std::string, std::string>> kRoles = {
      {"human", "user"},          {"user", "user"},         {"gpt", "assistant"},
      {"assistant", "assistant"}, {"chatgpt", "assistant"}, {"model", "assistant"},
      {"system", "system"},       {"tool", "tool"},         {"observation", "tool"},
      {"function_call", "call"}};
  return kRoles;
}

std::string role_of_sharegpt(const Json& from, size_t index) {
  std::vector<std::string> names;
  for (const auto& [name, role] : sharegpt_roles()) {
    if (from == name) return role;
    names.push_back(name);
  }
  throw Error(ErrorKind::kData, fmt::format("message {} is from {}; known: {}", index + 1,
                                            shown_value(from), fmt::join(names, ", ")));
}

// {"name", "arguments"}, or a list of them, as JSON in a text.
Json calls_of_sharegpt(const Json& value, size_t index) {
  try {
    Json calls =
        value.is_string() ? parse_json(value.get<std::string>(), Where{}, ErrorKind::kData) : value;
    if (!calls.is_array()) calls = Json::array({calls});
    Json wrapped = Json::array();
    for (Json& call : calls) wrapped.push_back({{"type", "function"}, {"function", call}});
    return wrapped;
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, fmt::format("message {} calls a function, but its value is no "
                                              "JSON: {}",
                                              index + 1, error.message()));
  }
}

Json message_of(const char* role, const Json& content) {
  return {{"role", role}, {"content", content}};
}

std::string text_field(const Json& row, const char* name, bool is_needed) {
  const auto found = row.find(name);
  if (found == row.end() || found->is_null()) {
    if (is_needed) throw Error(ErrorKind::kData, fmt::format("the row has no \"{}\"", name));
    return "";
  }
  if (found->is_string()) return found->get<std::string>();
  throw Error(ErrorKind::kData,
              fmt::format("\"{}\" is {}; a text was expected", name, shown_value(*found)));
}

void add_history(const Json& row, Json& messages) {
  const auto found = row.find("history");
  if (found == row.end() || found->is_null()) return;
  for (const Json& turn : *found) {
    if (!turn.is_array() || turn.size() != 2)
      throw Error(ErrorKind::kData,
                  fmt::format("\"history\" holds {}; pairs of question and answer were expected",
                              shown_value(turn)));
    messages.push_back(message_of("user", turn[0]));
    messages.push_back(message_of("assistant", turn[1]));
  }
}

}  // namespace

const std::vector<std::string>& conversation_roles() {
  static const std::vector<std::string> kRoles = {"system",    "developer", "user",
                                                  "assistant", "tool",      "function"};
  return kRoles;
}

void make_plain(Json& messages) {
  refuse_no_list(messages, "messages");
  Order order;
  for (size_t i = 0; i < messages.size(); ++i) {
    Message message(messages[i], i);
    const std::string role = message.role();
    message.make_content_plain();
    const bool has_calls = message.make_calls_plain();
    if (has_calls && role != "assistant")
      message.fail(fmt::format("has tool calls, but the role {}", role));
    if (role != "assistant" && messages[i]["content"].is_null())
      message.fail(fmt::format("has the role {} and no content", role));
    order.next(message, role, has_calls);
  }
}

Json messages_of_sharegpt(const Json& turns) {
  refuse_no_list(turns, "conversations");
  Json messages = Json::array();
  for (size_t i = 0; i < turns.size(); ++i) {
    const Json& turn = turns[i];
    if (!turn.is_object() || !turn.contains("from") || !turn.contains("value"))
      throw Error(
          ErrorKind::kData,
          fmt::format("message {} is {}; an object with \"from\" and \"value\" was expected", i + 1,
                      shown_value(turn)));
    const std::string role = role_of_sharegpt(turn["from"], i);
    if (role == "call") {
      messages.push_back(message_of("assistant", nullptr));
      messages.back()["tool_calls"] = calls_of_sharegpt(turn["value"], i);
    } else {
      messages.push_back(message_of(role.c_str(), turn["value"]));
    }
  }
  return messages;
}

Json tools_of(const Json& tools, const std::string& name) {
  if (tools.is_null() || tools == "") return nullptr;
  try {
    Json list =
        tools.is_string() ? parse_json(tools.get<std::string>(), Where{}, ErrorKind::kData) : tools;
    if (list.is_null() || list.is_array()) return list;
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, fmt::format("\"{}\" is {}, which is no JSON: {}", name,
                                              shown_value(tools), error.message()));
  }
  throw Error(ErrorKind::kData,
              fmt::format("\"{}\" is {}; a list of tools was expected, or the JSON of one in a "
                          "text",
                          name, shown_value(tools)));
}

Json messages_of_alpaca(const Json& row) {
  Json messages = Json::array();
  if (const std::string system = text_field(row, "system", false); !system.empty())
    messages.push_back(message_of("system", system));
  add_history(row, messages);
  const std::string input = text_field(row, "input", false);
  messages.push_back(message_of(
      "user", text_field(row, "instruction", true) + (input.empty() ? "" : "\n\n" + input)));
  if (row.contains("output"))
    messages.push_back(message_of("assistant", text_field(row, "output", true)));
  return messages;
}

}  // namespace hone
