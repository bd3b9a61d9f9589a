#include "data/tokenizer/special_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "data/tokenizer/post_processor.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDecoder = "added_tokens_decoder";
constexpr const char* kLists[] = {"additional_special_tokens", "extra_special_tokens"};

bool is_token(const Json& value) { return value.is_string() || value.is_object(); }

std::string text_of_token(const JsonNode& node) {
  return node.json().is_object() ? node.at("content").text() : node.text();
}

// An entry of "added_tokens" from a string or {"content": …, "lstrip": …}.
Json entry_of(const JsonNode& node, int32_t id, bool is_special) {
  Json out = {{"id", id},
              {"content", text_of_token(node)},
              {"single_word", false},
              {"lstrip", false},
              {"rstrip", false},
              {"normalized", !is_special},
              {"special", is_special}};
  if (!node.json().is_object()) return out;
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"})
    out[flag] = node.boolean_or(flag, out[flag].get<bool>());
  return out;
}

// The tokens of the keys that end in "_token", by key.
std::vector<std::pair<std::string, JsonNode>> named_tokens(const JsonNode& config) {
  std::vector<std::pair<std::string, JsonNode>> out;
  for (const auto& [key, value] : config.object().items()) {
    if (key.ends_with("_token") && is_token(value)) out.emplace_back(key, config.at(key));
  }
  return out;
}

// Those of the lists; "extra_special_tokens" may be an object of names and tokens too.
std::vector<JsonNode> listed_tokens(const JsonNode& config) {
  std::vector<JsonNode> out;
  for (const char* name : kLists) {
    const auto list = config.find(name);
    if (!list) continue;
    if (list->json().is_object()) {
      for (const auto& [key, token] : list->json().items()) out.push_back(list->at(key));
    } else {
      for (const JsonNode& token : list->items()) out.push_back(token);
    }
  }
  return out;
}

// The list under way: each token once, ids as the reference gives them.
class AddedList {
 public:
  AddedList(Json known, const Vocabulary& vocabulary)
      : list_(std::move(known)), vocabulary_(vocabulary), next_id_(vocabulary.end_id()) {
    for (const Json& token : list_) {
      const auto content = token.is_object() ? token.find("content") : token.end();
      if (content != token.end() && content->is_string()) note(content->get<std::string>());
    }
  }

  bool has(const std::string& content) const { return known_.contains(content); }
  bool knows(const std::string& content) const {
    return has(content) || vocabulary_.find(content) != Vocabulary::kNone;
  }
  // `id` as the files have it, or -1 for the id in force.
  void add(const JsonNode& token, bool is_special, int32_t id = -1) {
    const std::string content = text_of_token(token);
    if (has(content)) return;
    const int32_t next = next_id_;
    note(content);
    const int32_t in_vocabulary = vocabulary_.find(content);
    if (id < 0) id = in_vocabulary != Vocabulary::kNone ? in_vocabulary : next;
    list_.push_back(entry_of(token, id, is_special));
  }
  int32_t next_id() const { return next_id_; }
  Json take() { return std::move(list_); }

 private:
  void note(const std::string& content) {
    if (known_.insert(content).second && vocabulary_.find(content) == Vocabulary::kNone) ++next_id_;
  }

  Json list_;
  const Vocabulary& vocabulary_;
  int32_t next_id_;
  std::set<std::string> known_;
};

void add_decoder(const JsonNode& decoder, AddedList& out) {
  std::vector<std::pair<int32_t, JsonNode>> tokens;
  for (const auto& [id, token] : decoder.object().items()) {
    if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos)
      throw decoder.error(fmt::format("\"{}\" is not an id", id));
    tokens.emplace_back(std::stoi(id), decoder.at(id));
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [id, token] : tokens) out.add(token, token.boolean_or("special", false), id);
}

void add_file(const fs::path& file, const std::set<std::string>& special, AddedList& out) {
  if (!fs::exists(file)) return;
  const Json list = read_json(file.string(), ErrorKind::kModel);
  for (const auto& [content, id] : JsonNode(list, file.string()).object().items()) {
    const int64_t number =
        JsonNode(id, file.string(), content).integer(0, Vocabulary::kMostIds - 1);
    const Json text = content;
    out.add({text, file.string(), content}, special.contains(content),
            static_cast<int32_t>(number));
  }
}

bool is_missing(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null();
}

// The file that states `key`: special_tokens_map.json comes over tokenizer_config.json.
std::string file_of(const TokenizerParts& parts, const char* key) {
  const fs::path map = fs::path(parts.config_file).parent_path() / "special_tokens_map.json";
  const bool is_read = !parts.config.contains(kDecoder) && fs::exists(map);
  return is_read && read_json(map.string(), ErrorKind::kModel).contains(key) ? map.string()
                                                                             : parts.config_file;
}

// What the configuration says under `key` against what tokenizer.json has.
void settle(TokenizerParts& parts, const char* key, const Json& in_force) {
  if (is_missing(parts.config, key)) return;
  const JsonNode node(parts.config[key], parts.config_file, key);
  const Json stated = in_force.is_string() ? Json(text_of_token(node)) : node.json();
  if (stated == in_force) return;
  log_warn(
      "{}: \"{}\" is {}, but tokenizer.json has {}; tokenizer.json is followed, where Transformers "
      "may follow the other (its BertTokenizer does)",
      file_of(parts, key), key, stated.dump(), in_force.dump());
  parts.config[key] = in_force;
}

void settle_normalizer(TokenizerParts& parts, const JsonNode& normalizer) {
  if (normalizer.type() != "BertNormalizer") return;
  const bool lowercase = normalizer.at("lowercase").boolean();
  settle(parts, "do_lower_case", lowercase);
  settle(parts, "strip_accents", normalizer.boolean_or("strip_accents", lowercase));
  settle(parts, "tokenize_chinese_chars", normalizer.at("handle_chinese_chars").boolean());
}

std::string token_of(const TokenizerParts& parts, int32_t id) {
  for (const JsonNode& token : JsonNode(parts.added_tokens, parts.file, "added_tokens").items()) {
    if (token.at("id").json() == id) return token.at("content").text();
  }
  return std::string(parts.model->vocabulary().token(id));
}

// The first and the last token that stand around a single text are [CLS] and [SEP]; of one alone
// nobody can tell which it is.
void settle_post_processor(TokenizerParts& parts, const JsonNode& node) {
  const std::vector<int32_t> ids = PostProcessor(node).special_ids();
  if (ids.empty()) return;
  std::set<std::string> around;
  for (const int32_t id : ids) around.insert(token_of(parts, id));
  if (around.size() < 2) return;
  for (const auto& [key, id] : {std::pair{"cls_token", ids.front()}, {"sep_token", ids.back()}}) {
    if (is_missing(parts.config, key)) continue;
    const JsonNode stated(parts.config[key], parts.config_file, key);
    if (!around.contains(text_of_token(stated))) settle(parts, key, token_of(parts, id));
  }
}

}  // namespace

std::string named_token(const Json& config, const char* name) {
  const auto found = config.find(name);
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() ? found->value("content", "") : "";
}

Json read_tokenizer_config(const fs::path& folder) {
  Json config = Json::object();
  const fs::path file = folder / "tokenizer_config.json", map = folder / "special_tokens_map.json";
  if (fs::exists(file)) config = read_json(file.string(), ErrorKind::kModel);
  JsonNode(config, file.string()).object();
  if (config.contains(kDecoder) || !fs::exists(map)) return config;
  const Json found = read_json(map.string(), ErrorKind::kModel);
  for (const auto& [key, value] : JsonNode(found, map.string()).object().items()) {
    const bool has_list = !is_missing(config, kLists[0]) || !is_missing(config, kLists[1]);
    if (key == kLists[0] && has_list) continue;
    if (key == kLists[1] && config.contains(key) && config[key].is_array() && value.is_array()) {
      config[key].insert(config[key].end(), value.begin(), value.end());
    } else {
      config[key] = value;
    }
  }
  return config;
}

std::string token_text(const JsonNode& config, const std::string& name,
                       const std::string& fallback) {
  const auto found = config.find(name);
  return found ? text_of_token(*found) : fallback;
}

Json with_added_tokens(Json known, const JsonNode& config, const fs::path& folder,
                       const Vocabulary& vocabulary, const std::vector<std::string>& usual) {
  const auto named = named_tokens(config);
  const std::vector<JsonNode> listed = listed_tokens(config);
  AddedList out(std::move(known), vocabulary);
  if (const auto decoder = config.find(kDecoder)) {
    add_decoder(*decoder, out);
  } else {
    std::set<std::string> special(usual.begin(), usual.end());
    for (const auto& [key, token] : named) special.insert(text_of_token(token));
    for (const JsonNode& token : listed) special.insert(text_of_token(token));
    add_file(folder / "added_tokens.json", special, out);
  }
  for (const auto& [key, token] : named) {
    if (out.knows(text_of_token(token))) {
      out.add(token, true);
    } else {
      log_warn("{}: \"{}\" is \"{}\", which the vocabulary does not have; it is not used",
               config.file(), key, text_of_token(token));
    }
  }
  for (const Json content : usual) {
    if (out.knows(content.get<std::string>())) out.add({content, config.file()}, true);
  }
  for (const JsonNode& token : listed) {
    if (const std::string content = text_of_token(token); !out.knows(content)) {
      log_warn("{}", token
                         .error(fmt::format("\"{}\" is not in the vocabulary; it gets the id {}, "
                                            "for which the model's embeddings need a row",
                                            content, out.next_id()))
                         .what());
    }
    out.add(token, true);
  }
  return out.take();
}

void settle_conflicts(TokenizerParts& parts, const JsonNode& root) {
  if (const auto normalizer = root.find("normalizer")) settle_normalizer(parts, *normalizer);
  if (const auto unk = root.at("model").find("unk_token")) settle(parts, "unk_token", unk->text());
  if (const auto padding = root.find("padding")) {
    if (const auto pad = padding->find("pad_token")) settle(parts, "pad_token", pad->text());
  }
  if (const auto post_processor = root.find("post_processor"))
    settle_post_processor(parts, *post_processor);
}

}  // namespace hone
