#include "data/chat/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "data/chat/answer_spans.h"
#include "data/chat/builtin_templates.h"
#include "data/chat/jinja/template.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using jinja::Value;

constexpr const char* kFile = "chat_template.jinja";
constexpr const char* kMore = "additional_chat_templates";
constexpr const char* kDefault = "default";

struct Source {
  std::string text, file;  // the file as messages name it
};
using Sources = std::map<std::string, Source>;  // by name; "default" is the usual one

Sources sources_of_files(const fs::path& folder) {
  Sources sources;
  const auto add = [&](const std::string& name, const fs::path& file) {
    sources[name] = {read_file(file.string(), ErrorKind::kModel), file.string()};
  };
  if (fs::exists(folder / kFile)) add(kDefault, folder / kFile);
  if (!fs::is_directory(folder / kMore)) return sources;
  for (const auto& entry : fs::directory_iterator(folder / kMore)) {
    if (entry.path().extension() == ".jinja") add(entry.path().stem().string(), entry.path());
  }
  return sources;
}

Sources sources_of_config(const JsonNode& config) {
  Sources sources;
  const auto stated = config.find("chat_template");
  if (!stated) return sources;
  const auto add = [&](const std::string& name, const std::string& text) {
    const bool is_only = name == kDefault && stated->json().is_string();
    sources[name] = {text, fmt::format("{}: chat_template{}", config.file(),
                                       is_only ? "" : fmt::format(" \"{}\"", name))};
  };
  if (stated->json().is_array()) {
    for (const JsonNode& item : stated->items())
      add(item.at("name").text(), item.at("template").text());
  } else if (stated->json().is_object()) {
    for (const auto& [name, text] : stated->json().items()) add(name, stated->at(name).text());
  } else {
    add(kDefault, stated->text());
  }
  return sources;
}

Sources sources_in(const fs::path& folder, const JsonNode& config) {
  Sources sources = sources_of_files(folder);
  return sources.empty() ? sources_of_config(config) : sources;
}

std::string ways_out() {
  return fmt::format(
      "give one by the option chat_template: a file that holds one, or {}, which come with hone",
      fmt::join(chat_template_names(), " or "));
}

// What the tokenizer of a folder puts before a text (BOS), as what a template writes first.
std::string written_before(const std::string& folder) {
  const auto tokenizer = Tokenizer::load(folder);
  const Sequence sequence = tokenizer->post_process(tokenizer->encode("a"));
  std::string tokens;
  for (size_t i = 0; i < sequence.ids.size() && sequence.texts[i] < 0; ++i)
    tokens += tokenizer->token(sequence.ids[i]);
  return tokens.empty() ? "" : fmt::format("{{{{- {} }}}}", to_text(Json(tokens)));
}

Source chosen_source(const std::string& folder, const std::string& chosen) {
  for (const BuiltinTemplate& builtin : builtin_templates()) {
    if (chosen == builtin.name)
      return {written_before(folder) + builtin.source, fmt::format("hone's {}", builtin.name)};
  }
  if (!fs::is_regular_file(chosen))
    throw Error(
        ErrorKind::kUsage,
        fmt::format("chat_template: \"{}\" is no file{}, and no template of this name comes "
                    "with hone ({})",
                    chosen, looked_from(chosen), fmt::join(chat_template_names(), ", ")));
  return {read_file(chosen, ErrorKind::kModel), chosen};
}

// bos_token, eos_token and others, as texts.
Json special_tokens_in(const JsonNode& config) {
  Json tokens = Json::object();
  for (const auto& [name, value] : config.json().items()) {
    if (!name.ends_with("_token") || value.is_null() || value.is_boolean()) continue;
    if (value.is_string() || (value.is_object() && value.contains("content")))
      tokens[name] = token_text(config, name, "");
  }
  return tokens;
}

void check_role(const Json& message, size_t i) {
  if (!message.is_object())
    throw Error(ErrorKind::kData,
                fmt::format("message {} is no object but a {}", i + 1, message.type_name()));
  const auto role = message.find("role");
  if (role == message.end() || !role->is_string())
    throw Error(ErrorKind::kData, fmt::format("message {} has no text as its \"role\"", i + 1));
  const std::string& text = role->get_ref<const std::string&>();
  const bool is_word = !text.empty() && text.size() <= 64 &&
                       std::all_of(text.begin(), text.end(), [](unsigned char c) {
                         return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
                       });
  if (!is_word)
    throw Error(ErrorKind::kData, fmt::format("message {} has the role {}; a role is one word",
                                              i + 1, to_text(Json(text))));
}

// Names under which thinking is given; Transformers gives it under all that templates read.
Json with_reasoning(const Json& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto found = message.find(name);
    if (found == message.end() || found->is_null()) continue;
    Json aliased = Json::object();
    const Json reasoning = *found;
    aliased["thinking"] = reasoning;
    for (const auto& [key, value] : message.items()) aliased[key] = value;
    aliased["reasoning_content"] = reasoning;
    return aliased;
  }
  return message;
}

std::tm local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

class LoadedTemplate final : public ChatTemplate {
 public:
  LoadedTemplate(Sources sources, Json special_tokens)
      : sources_(std::move(sources)), special_tokens_(std::move(special_tokens)) {
    for (const auto& [name, source] : sources_)
      templates_.emplace(name, jinja::Template(source.text, source.file));
  }

  Rendered render(const Json& messages, const RenderOptions& options) const override {
    if (!messages.is_array())
      throw Error(ErrorKind::kData,
                  fmt::format("the messages are no list but a {}", messages.type_name()));
    for (size_t i = 0; i < messages.size(); ++i) check_role(messages[i], i);
    const jinja::Template& chosen = choose(options);
    const std::tm now = options.now ? *options.now : local_now();
    const auto text_of = [&](size_t count, bool add_prompt) {
      return chosen.render(variables(messages, count, add_prompt, options), now);
    };
    const jinja::Text whole = text_of(messages.size(), options.add_generation_prompt);
    Rendered rendered;
    rendered.text = whole.bytes;
    rendered.plain = spans_marked(whole, jinja::kFromData);
    if (options.answers == ToldAnswers::kNone) return rendered;
    rendered.answers = chosen.has_generation()
                           ? spans_marked(whole, jinja::kAnswer)
                           : by_prefixes(messages, whole, text_of, options.answers, chosen.file());
    if (options.answers == ToldAnswers::kLast && rendered.answers.size() > 1)
      rendered.answers.erase(rendered.answers.begin(), rendered.answers.end() - 1);
    return rendered;
  }

  // Saving may complete the list of special tokens: those that no template names do not count.
  std::string hash() const override {
    Json all = {{"special_tokens", Json::object()}, {"templates", Json::object()}};
    for (const auto& [name, source] : sources_) {
      all["templates"][name] = source.text;
      for (const auto& [token, text] : special_tokens_.items()) {
        if (source.text.find(token) != std::string::npos) all["special_tokens"][token] = text;
      }
    }
    return sha256(to_text(all));
  }

  const std::string& file() const override {
    const auto usual = sources_.find(kDefault);
    return usual != sources_.end() ? usual->second.file : sources_.begin()->second.file;
  }

  void save(const std::string& folder) const override {
    for (const auto& [name, source] : sources_) {
      if (name == kDefault) {
        write_file((fs::path(folder) / kFile).string(), source.text);
        continue;
      }
      fs::create_directories(fs::path(folder) / kMore);
      write_file((fs::path(folder) / kMore / (name + ".jinja")).string(), source.text);
    }
  }

 private:
  Sources sources_;
  Json special_tokens_;
  std::map<std::string, jinja::Template> templates_;

  const jinja::Template& choose(const RenderOptions& options) const {
    if (const auto tool_use = templates_.find("tool_use");
        tool_use != templates_.end() && !options.tools.is_null())
      return tool_use->second;
    if (const auto usual = templates_.find(kDefault); usual != templates_.end())
      return usual->second;
    if (templates_.size() == 1) return templates_.begin()->second;
    throw Error(ErrorKind::kModel, Where{file()},
                "there are several templates and none is named \"default\"; name a file by the "
                "option chat_template");
  }

  static std::vector<Span> by_prefixes(const Json& messages, const jinja::Text& whole,
                                       const TextOf& text_of, ToldAnswers told,
                                       const std::string& file) {
    try {
      return answers_by_prefixes(messages, whole, text_of, told == ToldAnswers::kLast, file);
    } catch (const Error&) {
      if (told != ToldAnswers::kWhereExact) throw;
      return {};
    }
  }

  // What the template sees of the first `count` messages.
  jinja::Variables variables(const Json& messages, size_t count, bool add_prompt,
                             const RenderOptions& options) const {
    try {
      jinja::Variables variables;
      for (const auto& [name, token] : special_tokens_.items())
        variables.emplace_back(name, Value::of_json(token, 0));
      std::vector<Value> first;
      for (size_t i = 0; i < count; ++i)
        first.push_back(Value::of_json(with_reasoning(messages[i]), jinja::kFromData, "role"));
      variables.emplace_back("messages", Value::list(std::move(first)));
      variables.emplace_back("tools", Value::of_json(options.tools, jinja::kFromData));
      variables.emplace_back("documents", Value::of_json(options.documents, jinja::kFromData));
      variables.emplace_back("add_generation_prompt", Value::boolean(add_prompt));
      for (const auto& [name, value] : options.variables.items())
        variables.emplace_back(name, Value::of_json(value, jinja::kFromData));
      return variables;
    } catch (const jinja::Fault& fault) {
      throw Error(fault.kind, fault.what());
    }
  }
};

}  // namespace

std::vector<std::string> chat_template_names() {
  std::vector<std::string> names;
  for (const BuiltinTemplate& builtin : builtin_templates()) names.emplace_back(builtin.name);
  return names;
}

bool ChatTemplate::is_in(const std::string& folder) {
  const Json config = read_tokenizer_config(folder);
  return !sources_in(folder, {config, (fs::path(folder) / "tokenizer_config.json").string()})
              .empty();
}

std::shared_ptr<const ChatTemplate> ChatTemplate::load(const std::string& folder,
                                                       const std::string& chosen) {
  const Json config = read_tokenizer_config(folder);
  const JsonNode node(config, (fs::path(folder) / "tokenizer_config.json").string());
  Sources sources;
  if (!chosen.empty()) {
    sources[kDefault] = chosen_source(folder, chosen);
  } else {
    sources = sources_in(folder, node);
  }
  if (sources.empty())
    throw Error(ErrorKind::kModel, Where{folder},
                fmt::format("this model has no chat template (looked for {}, and for chat_template "
                            "in tokenizer_config.json); {}",
                            kFile, ways_out()));
  return std::make_shared<LoadedTemplate>(std::move(sources), special_tokens_in(node));
}

}  // namespace hone
