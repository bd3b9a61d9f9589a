#include "tasks/ner/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "tasks/fields.h"

namespace hone::ner {
namespace {

int64_t offset_of(const Json& entity, const char* key, const Record& record,
                  const std::string& field) {
  const auto found = entity.find(key);
  if (found == entity.end() || !found->is_number_integer()) {
    throw field_error(record, field,
                      fmt::format("needs a whole number \"{}\" in every entity, but holds {}", key,
                                  dump(entity)));
  }
  return found->get<int64_t>();
}

Entity parse_entity(const Json& json, const Record& record, const std::string& field) {
  if (!json.is_object())
    throw field_error(
        record, field,
        fmt::format("must hold objects with \"start\", \"end\" and \"label\", but holds {}",
                    dump(json)));
  Entity entity;
  entity.start = offset_of(json, "start", record, field);
  entity.end = offset_of(json, "end", record, field);
  const auto label = json.find("label");
  if (label == json.end() || !label->is_string() || label->get_ref<const std::string&>().empty()) {
    throw field_error(
        record, field,
        fmt::format("needs a text \"label\" in every entity, but holds {}", dump(json)));
  }
  entity.label = label->get<std::string>();
  if (const auto score = json.find("score"); score != json.end() && score->is_number())
    entity.score = score->get<double>();
  return entity;
}

void check_apart(const std::vector<Entity>& entities, int64_t characters, const Record& record,
                 const std::string& field) {
  for (size_t i = 0; i < entities.size(); ++i) {
    const Entity& e = entities[i];
    if (e.start < 0 || e.end <= e.start || e.end > characters) {
      throw field_error(record, field,
                        fmt::format("has the entity \"{}\" at {} to {}, but the text has {} "
                                    "characters (offsets count characters from 0, "
                                    "the end is exclusive)",
                                    e.label, e.start, e.end, characters));
    }
    if (i > 0 && e.start < entities[i - 1].end) {
      throw field_error(
          record, field,
          fmt::format("has entities that overlap: \"{}\" at {} to {} and \"{}\" at {} to {}",
                      entities[i - 1].label, entities[i - 1].start, entities[i - 1].end, e.label,
                      e.start, e.end));
    }
  }
}

}  // namespace

bool has_tokens(const Record& record, const Options& options) {
  if (find_field(record, options.tokens) != nullptr) return true;
  if (find_field(record, options.text) != nullptr) return false;
  need_field(record, options.tokens);
  return true;
}

std::vector<std::string> tokens_of(const Record& record, const Options& options) {
  std::vector<std::string> tokens = need_strings(record, options.tokens);
  if (tokens.empty()) throw field_error(record, options.tokens, "is an empty list");
  return tokens;
}

std::vector<std::string> tags_of_record(const Record& record, const Options& options) {
  std::vector<std::string> tags = need_strings(record, options.tags);
  const size_t tokens = tokens_of(record, options).size();
  if (tags.size() != tokens) {
    throw field_error(
        record, options.tags,
        fmt::format("has {} entries but \"{}\" has {}", tags.size(), options.tokens, tokens));
  }
  for (size_t i = 0; i < tags.size(); ++i) {
    if (is_tag(tags[i])) continue;
    throw field_error(record, options.tags,
                      fmt::format("has the entry \"{}\" (number {}), which is no tag: write O, "
                                  "B-TYPE, I-TYPE (IOB1 and IOB2), or the "
                                  "letters of BIOES, BMES or BILOU",
                                  shortened(tags[i], 40), i + 1));
  }
  return tags;
}

std::vector<Entity> parse_entities(const Json& list, const Record& record,
                                   const std::string& field) {
  if (!list.is_array())
    throw field_error(record, field,
                      fmt::format("must be a list of entities, but is {}", dump(list)));
  std::vector<Entity> entities;
  for (const Json& json : list) entities.push_back(parse_entity(json, record, field));
  std::sort(entities.begin(), entities.end(), [](const Entity& a, const Entity& b) {
    return std::tie(a.start, a.end) < std::tie(b.start, b.end);
  });
  return entities;
}

std::vector<Entity> entities_of(const Record& record, const Options& options) {
  std::vector<Entity> entities =
      parse_entities(need_field(record, options.entities), record, options.entities);
  check_apart(entities, static_cast<int64_t>(count_code_points(need_text(record, options.text))),
              record, options.entities);
  return entities;
}

std::string joined(const std::vector<std::string>& tokens) {
  return fmt::format("{}", fmt::join(tokens, " "));
}

std::vector<Span> spans_in_joined(const std::vector<std::string>& tokens) {
  std::vector<Span> spans;
  int32_t at = 0;
  for (const std::string& token : tokens) {
    spans.push_back({at, at + static_cast<int32_t>(token.size())});
    at = spans.back().end + 1;
  }
  return spans;
}

Characters::Characters(std::string_view text) {
  for (size_t position = 0; position < text.size(); next_code_point(text, position))
    starts_.push_back(static_cast<int64_t>(position));
  starts_.push_back(static_cast<int64_t>(text.size()));
}

int64_t Characters::at_byte(int64_t byte) const {
  return std::upper_bound(starts_.begin(), starts_.end(), byte) - starts_.begin() - 1;
}

std::vector<TagSpan> align(const std::vector<Entity>& entities, const std::vector<Span>& tokens,
                           const Characters& characters, bool* widened) {
  std::vector<TagSpan> spans;
  size_t token = 0;  // entities and tokens both come in order
  for (const Entity& entity : entities) {
    const int64_t start = characters.byte(entity.start), end = characters.byte(entity.end);
    while (token < tokens.size() && tokens[token].end <= start) ++token;
    size_t last = token;
    while (last < tokens.size() && tokens[last].start < end) ++last;
    if (last == token) continue;  // nothing but white space, or pieces that the last entity took
    if (tokens[token].start < start || tokens[last - 1].end > end) *widened = true;
    spans.push_back({entity.label, static_cast<int64_t>(token), static_cast<int64_t>(last)});
    token = last;
  }
  return spans;
}

}  // namespace hone::ner
