#include "tasks/ner/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/labels.h"
#include "tasks/truncate.h"

namespace hone::ner {
namespace {

int64_t offset_of(const Json& entity, const char* key, const Record& record,
                  const std::string& field) {
  const auto found = entity.find(key);
  const bool is_too_large = found != entity.end() && found->is_number_unsigned() &&
                            found->get<uint64_t>() > std::numeric_limits<int64_t>::max();
  if (found == entity.end() || !found->is_number_integer() || is_too_large) {
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
  if (label != json.end() && label->is_string())
    entity.label = trimmed_label(label->get_ref<const std::string&>());
  if (entity.label.empty()) {
    throw field_error(
        record, field,
        fmt::format("needs a text \"label\" in every entity, but holds {}", dump(json)));
  }
  if (const auto score = json.find("score"); score != json.end() && score->is_number())
    entity.score = score->get<double>();
  return entity;
}

std::string place_of(const Entity& e) {
  return fmt::format("the entity \"{}\" at {} to {}", e.label, e.start, e.end);
}

// What offsets may have counted that run past the characters of a text; "" where all are as many.
std::string other_units(const std::string& text, int64_t characters) {
  const auto bytes = static_cast<int64_t>(text.size());
  if (bytes == characters) return "";
  const auto beyond_16_bits = std::count_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xF0; });
  return fmt::format("; it is {} UTF-16 units or {} bytes long: are the offsets in these?",
                     characters + beyond_16_bits, bytes);
}

// What is wrong with the bounds of an entity; "" where nothing is.
std::string fault_of(const Entity& e, const std::string& text, const Characters& characters) {
  if (e.end < e.start)
    return fmt::format(
        "has {}: it ends before it begins (offsets are first character, one past "
        "the last)",
        place_of(e));
  if (e.start < 0 || e.end > characters.count())
    return fmt::format(
        "has {}, but the text has {} characters (offsets count characters from 0, "
        "the end is exclusive{})",
        place_of(e), characters.count(), other_units(text, characters.count()));
  if (e.end == e.start)
    return fmt::format("has {}, which is empty: the end is exclusive, so one character is {} to {}",
                       place_of(e), e.start, e.start + 1);
  const Span seen = visible_part(text, characters.bytes(e.start, e.end));
  if (seen.start == seen.end)
    return fmt::format(
        "has {}, where the text has nothing but white space or "
        "characters that cannot be seen",
        place_of(e));
  return "";
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

// Of entities in their order.
bool is_among(const Entity& entity, const std::vector<Entity>& before) {
  for (auto other = before.rbegin(); other != before.rend() && other->start == entity.start;
       ++other) {
    if (other->end == entity.end && other->label == entity.label) return true;
  }
  return false;
}

}  // namespace

bool has_tokens(const Record& record, const Options& options) {
  if (options.tokens.empty()) return false;
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
    tags[i] = trimmed_label(tags[i]);
    if (is_tag(tags[i])) continue;
    throw field_error(record, options.tags,
                      fmt::format("has the entry \"{}\" (number {}), which is no tag: write O, "
                                  "B-TYPE, I-TYPE (IOB1 and IOB2), or the "
                                  "letters of BIOES, BMES, BMEWO or BILOU",
                                  shortened(tags[i], 40), i + 1));
  }
  return tags;
}

const std::string& text_of(const Record& record, const Options& options) {
  return need_text_as_read(record, options.text);
}

std::vector<Entity> entities_in(const Json& list, const Record& record, const Options& options) {
  const std::string& text = text_of(record, options);
  const Characters characters(text);
  std::vector<Entity> result;
  for (const Entity& e : parse_entities(list, record, options.entities)) {
    if (const std::string fault = fault_of(e, text, characters); !fault.empty())
      throw field_error(record, options.entities, fault);
    const Span seen = visible_part(text, characters.bytes(e.start, e.end));
    const Entity entity{e.label, characters.at_byte(seen.start), characters.at_byte(seen.end),
                        e.score};
    if (!options.may_overlap && !result.empty() && entity.start < result.back().end)
      throw field_error(record, options.entities,
                        fmt::format("has entities that overlap: {} and {}; the task "
                                    "\"nested_ner\" learns such entities",
                                    place_of(result.back()), place_of(e)));
    if (!options.may_overlap || !is_among(entity, result)) result.push_back(entity);
  }
  return result;
}

std::vector<Entity> entities_of(const Record& record, const Options& options) {
  return entities_in(need_field(record, options.entities), record, options);
}

std::vector<Window> windows_of(const Encoding& pieces, const Options& options,
                               const Tokenizer& tokenizer) {
  const int64_t longest = length_limit(options.max_seq_length, tokenizer),
                room = std::max<int64_t>(longest - tokenizer.special_tokens_added(false), 1);
  return cut_windows(pieces.words, room, options.stride >= 0 ? options.stride : longest / 4);
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

std::string misfit_text(const Misfit& misfit) {
  const Entity& e = misfit.entity;
  const std::string entity = fmt::format("the entity \"{}\" at {} to {}", e.label, e.start, e.end);
  if (misfit.aligned.empty()) return entity + " has no token of its own, and is not learned";
  return fmt::format("{} begins or ends inside a token, and is learned as \"{}\"", entity,
                     shortened(misfit.aligned, 60));
}

std::string repair_of(const std::vector<std::string>& misfits) {
  if (misfits.empty()) return "";
  return misfits.size() == 1 ? misfits.front()
                             : fmt::format("{} (and {} more)", misfits.front(), misfits.size() - 1);
}

Error unknown_type(const std::string& type, const std::vector<std::string>& known,
                   const std::string& field, const Record& record, const char* kind,
                   const char* plural) {
  const std::string suggestion = did_you_mean(type, known);
  return field_error(
      record, field,
      fmt::format("has the {} \"{}\", which the training data does not have; known: {}{} In "
                  "validation and test data task.unknown_labels=count scores such {} as missed "
                  "instead",
                  kind, type, fmt::join(known, ", "), suggestion.empty() ? "." : suggestion,
                  plural));
}

Alignment align(const std::vector<Entity>& entities, const std::vector<Span>& tokens,
                const std::string& text) {
  Alignment result;
  const Characters characters(text);
  int64_t next = 0;  // entities and tokens both come in order
  for (const Entity& entity : entities) {
    const Span bytes = characters.bytes(entity.start, entity.end);
    const TokenRange range = tokens_touching(tokens, bytes, next);
    if (range.is_empty()) {  // the tokenizer makes nothing of it, or its token went to the one
                             // before
      result.misfits.push_back({entity, ""});
      continue;
    }
    const Span taken{tokens[range.begin].start, tokens[range.end - 1].end};
    if (visible_part(text, taken) != bytes)
      result.misfits.push_back({entity, text.substr(taken.start, taken.end - taken.start)});
    result.spans.push_back({entity.label, range.begin, range.end});
    next = range.end;
  }
  return result;
}

}  // namespace hone::ner
