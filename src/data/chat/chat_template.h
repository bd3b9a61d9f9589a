// Conversations as text: the chat template of a model, rendered as Transformers renders it
// (apply_chat_template: Jinja2's ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks,
// loop controls and {% generation %}), and with it which bytes the assistant wrote and which bytes
// came out of the messages.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/sample.h"

namespace hone {

// Which turns of the assistant are answers in what is rendered.
enum class ToldAnswers {
  kAll,
  kLast,
  kWhereExact,  // all, or none where the template shows earlier turns otherwise than last ones
  kNone,
};

struct RenderOptions {
  bool add_generation_prompt = false;  // the text ends where the assistant's answer begins
  ToldAnswers answers = ToldAnswers::kAll;
  Json tools, documents;            // lists, as the template wants them; null: none
  Json variables = Json::object();  // further ones: {"enable_thinking": false}
  std::optional<std::tm> now = {};  // what strftime_now shows; nothing: local time
};

struct Rendered {
  std::string text;
  std::vector<Span> answers;  // what the assistant wrote, in order, each with the end of its turn;
                              // marked ones that touch are one
  std::vector<Span> plain;    // what came out of messages, tools and documents: no special token
                              // stands there, whatever it spells. Roles are not counted to them
};

class ChatTemplate {
 public:
  // Of a model folder: chat_template.jinja, additional_chat_templates/NAME.jinja, or chat_template
  // of tokenizer_config.json (a text, or a list of named ones). `chosen` comes over them: a file,
  // or a template that comes with hone (chat_template_names). Error(kModel) with line and column
  // where it is no template; with the ways out where there is none.
  static std::shared_ptr<const ChatTemplate> load(const std::string& folder,
                                                  const std::string& chosen = "");
  static bool is_in(const std::string& folder);  // the folder has one of its own

  virtual ~ChatTemplate() = default;

  // `messages` is a list of {"role", "content", …}. Thread-safe. Error(kData) where the messages
  // cannot be rendered (the template's own raise_exception, a field that is missing), with the
  // template's line and column in the message; Error(kModel) where the template asks for what does
  // not exist here or exceeds its bounds, or where the answers that are asked for cannot be told
  // exactly: a template without {% generation %} must render messages 0 to k with the generation
  // prompt as a beginning of the whole text, for each turn k of the assistant that is an answer.
  virtual Rendered render(const Json& messages, const RenderOptions& options = {}) const = 0;

  virtual std::string hash()
      const = 0;  // SHA-256 of the templates and the special tokens they name
  virtual const std::string& file() const = 0;
  // Writes chat_template.jinja (and additional_chat_templates/), which Transformers reads too.
  virtual void save(const std::string& folder) const = 0;
};

std::vector<std::string> chat_template_names();  // that come with hone: chatml, …

}  // namespace hone
