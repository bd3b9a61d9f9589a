// Folders of models with a chat template, and messages in few characters.
#pragma once

#include <memory>
#include <string>

#include "data/chat/chat_template.h"
#include "data/reader_testing.h"

namespace hone {

// "ua" are a user's message "u1" and an assistant's "a2"; s is a system's, t a tool's.
inline Json messages_of(const std::string& roles) {
  Json messages = Json::array();
  for (const char role : roles) {
    const char* name = role == 's'   ? "system"
                       : role == 'u' ? "user"
                       : role == 'a' ? "assistant"
                                     : "tool";
    messages.push_back(
        {{"role", name}, {"content", std::string(1, role) + std::to_string(messages.size() + 1)}});
  }
  return messages;
}

class ChatFolder {
 public:
  explicit ChatFolder(const std::string& source) { write_config({{"chat_template", source}}); }
  ChatFolder() = default;

  void write_config(Json config) {
    config["bos_token"] = "<s>";
    config["eos_token"] = {{"content", "</s>"}};
    folder_.write("tokenizer_config.json", to_text(config));
  }
  std::string write(const std::string& name, const std::string& bytes) {
    return folder_.write(name, bytes);
  }
  std::string path() const { return folder_.path(); }
  std::shared_ptr<const ChatTemplate> load(const std::string& chosen = "") const {
    return ChatTemplate::load(path(), chosen);
  }

 private:
  TemporaryFolder folder_;
};

inline std::string part_of(const std::string& text, Span span) {
  return text.substr(static_cast<size_t>(span.start), static_cast<size_t>(span.end - span.start));
}

// The texts of the answers, or of what is plain.
inline std::vector<std::string> parts_of(const std::string& text, const std::vector<Span>& spans) {
  std::vector<std::string> parts;
  for (const Span span : spans) parts.push_back(part_of(text, span));
  return parts;
}

}  // namespace hone
