#include "tasks/relation/gold.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/labels.h"
#include "tasks/text_places.h"

namespace hone::relation {
namespace {

constexpr std::string_view kForwardName = "(e1,e2)", kBackwardName = "(e2,e1)";

// ---- texts with marks

struct Mark {
  std::string_view text;
  size_t at;  // in the text with marks
};

// The four marks in the order of <e1>, </e1>, <e2>, </e2>.
std::array<Mark, 4> marks_of(const std::string& text, const Record& record,
                             const Options& options) {
  std::array<Mark, 4> marks{{{"<e1>", 0}, {"</e1>", 0}, {"<e2>", 0}, {"</e2>", 0}}};
  for (Mark& mark : marks) {
    mark.at = text.find(mark.text);
    if (mark.at == text.npos)
      throw field_error(record, options.text,
                        fmt::format("has no {}: it must mark two entities, as in \"the <e1>child"
                                    "</e1> in the <e2>cradle</e2>\", or stand beside \"{}\"",
                                    mark.text, options.entities));
    if (text.find(mark.text, mark.at + 1) != text.npos)
      throw field_error(record, options.text, fmt::format("has {} twice", mark.text));
  }
  for (const size_t open : {0, 2}) {
    if (marks[open + 1].at < marks[open].at)
      throw field_error(record, options.text,
                        fmt::format("has {} before {}", marks[open + 1].text, marks[open].text));
  }
  return marks;
}

Document marked_document(const Record& record, const Options& options) {
  const std::string& text = need_text(record, options.text);
  std::array<Mark, 4> marks = marks_of(text, record, options);
  std::array<int32_t, 4> places{};
  std::array<size_t, 4> order = {0, 1, 2, 3};
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return marks[a].at < marks[b].at; });
  Document document{true, "", {}};
  size_t at = 0;
  for (const size_t i : order) {
    document.text += text.substr(at, marks[i].at - at);
    places[i] = static_cast<int32_t>(document.text.size());
    at = marks[i].at + marks[i].text.size();
  }
  document.text += text.substr(at);
  for (const size_t open : {0, 2}) {
    const Span bytes = visible_part(document.text, {places[open], places[open + 1]});
    if (bytes.start >= bytes.end)
      throw field_error(
          record, options.text,
          fmt::format("has nothing between {} and {}", marks[open].text, marks[open + 1].text));
    document.entities.push_back({static_cast<int64_t>(open / 2), "", bytes});
  }
  return document;
}

// ---- texts with lists

int64_t offset_in(const Json& entity, const char* key, const Record& record,
                  const Options& options) {
  const auto found = entity.find(key);
  const bool is_offset = found != entity.end() && found->is_number_integer() &&
                         !(found->is_number_unsigned() &&
                           found->get<uint64_t>() > std::numeric_limits<int64_t>::max());
  if (!is_offset)
    throw field_error(record, options.entities,
                      fmt::format("needs a whole number \"{}\" in every entity, but holds {}", key,
                                  dump(entity)));
  return found->get<int64_t>();
}

Entity entity_of(const Json& json, const Characters& characters, const std::string& text,
                 const Record& record, const Options& options) {
  if (!json.is_object())
    throw field_error(
        record, options.entities,
        fmt::format("must hold objects with \"start\" and \"end\", but holds {}", dump(json)));
  const int64_t start = offset_in(json, "start", record, options),
                end = offset_in(json, "end", record, options);
  if (start < 0 || end > characters.count() || start > end)
    throw field_error(record, options.entities,
                      fmt::format("has {}, but the text has {} characters (offsets count "
                                  "characters from 0, the end is exclusive)",
                                  dump(json), characters.count()));
  const Span seen = visible_part(text, characters.bytes(start, end));
  if (seen.start == seen.end)
    throw field_error(
        record, options.entities,
        fmt::format("has {}, where the text has nothing that can be seen", dump(json)));
  const auto type = json.find("label");
  return {json.value("id", Json()),
          type != json.end() && type->is_string()
              ? trimmed_label(type->get_ref<const std::string&>())
              : "",
          seen};
}

void refuse_ids_twice(const std::vector<Entity>& entities, const Record& record,
                      const Options& options) {
  std::set<Json> ids;
  for (const Entity& entity : entities) {
    if (!ids.insert(entity.id).second)
      throw field_error(record, options.entities,
                        fmt::format("has two entities with the id {}", dump(entity.id)));
  }
}

Document listed_document(const Record& record, const Options& options) {
  Document document{false, need_text_as_read(record, options.text), {}};
  const Json& list = need_field(record, options.entities);
  if (!list.is_array())
    throw field_error(record, options.entities,
                      fmt::format("must be a list of entities, but is {}", dump(list)));
  const Characters characters(document.text);
  for (size_t i = 0; i < list.size(); ++i) {
    document.entities.push_back(entity_of(list[i], characters, document.text, record, options));
    if (document.entities.back().id.is_null()) document.entities.back().id = i;
  }
  refuse_ids_twice(document.entities, record, options);
  std::stable_sort(
      document.entities.begin(), document.entities.end(), [](const Entity& a, const Entity& b) {
        return std::pair(a.bytes.start, -a.bytes.end) < std::pair(b.bytes.start, -b.bytes.end);
      });
  return document;
}

// ---- relations

const std::string& label_in(const Json& json, const char* key, const Record& record,
                            const std::string& field) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string() || found->get_ref<const std::string&>().empty())
    throw field_error(
        record, field,
        fmt::format("needs a text \"{}\" in every relation, but holds {}", key, dump(json)));
  return found->get_ref<const std::string&>();
}

using PlacesById = std::map<Json, size_t>;  // of the entities of a document

PlacesById places_by_id(const Document& document) {
  PlacesById places;
  for (size_t i = 0; i < document.entities.size(); ++i) places.emplace(document.entities[i].id, i);
  return places;
}

size_t entity_named(const Json& relation, const char* key, const PlacesById& places,
                    const Record& record, const Options& options) {
  const auto id = relation.find(key);
  const auto found = id == relation.end() ? places.end() : places.find(*id);
  if (found != places.end()) return found->second;
  throw field_error(
      record, options.relations,
      fmt::format("has {}, but \"{}\" has no entity {}", dump(relation), options.entities,
                  id == relation.end() ? fmt::format("as its \"{}\"", key) : dump(*id)));
}

Claim listed_claim(const Json& json, const PlacesById& places, const Record& record,
                   const Options& options) {
  if (!json.is_object())
    throw field_error(record, options.relations,
                      fmt::format("must hold objects with \"head\", \"tail\" and \"label\", but "
                                  "holds {}",
                                  dump(json)));
  const size_t head = entity_named(json, "head", places, record, options),
               tail = entity_named(json, "tail", places, record, options);
  if (head == tail)
    throw field_error(record, options.relations,
                      fmt::format("relates an entity to itself: {}", dump(json)));
  Claim claim{std::min(head, tail), std::max(head, tail),
              trimmed_label(label_in(json, "label", record, options.relations)),
              head < tail ? Direction::kForward : Direction::kBackward};
  if (const auto score = json.find("score"); score != json.end() && score->is_number())
    claim.score = score->get<double>();
  return claim;
}

const Json& field_of(const Json& fields, const std::string& name, const Record& record) {
  const auto found = fields.find(name);
  if (found == fields.end() || found->is_null())
    throw field_error(record, name, found == fields.end() ? "is not there" : "is null");
  return *found;
}

std::vector<Claim> marked_claims(const Json& fields, const Record& record, const Options& options) {
  const Json& name = field_of(fields, options.relation, record);
  if (!name.is_string() || trimmed_label(name.get_ref<const std::string&>()).empty())
    throw field_error(record, options.relation,
                      fmt::format("must be the name of a relation, but is {}", dump(name)));
  const std::string label = trimmed_label(name.get_ref<const std::string&>());
  if (label == options.no_relation) return {};
  Claim claim = claim_named(label);
  if (const auto score = fields.find("score"); score != fields.end() && score->is_number())
    claim.score = score->get<double>();
  return {claim};
}

}  // namespace

std::string Claim::name() const {
  if (direction == Direction::kNone) return label;
  return label + std::string(direction == Direction::kForward ? kForwardName : kBackwardName);
}

Claim claim_named(std::string_view name) {
  Claim claim;
  for (const auto& [suffix, direction] : {std::pair(kForwardName, Direction::kForward),
                                          std::pair(kBackwardName, Direction::kBackward)}) {
    if (name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
    claim.direction = direction;
    name.remove_suffix(suffix.size());
    break;
  }
  claim.label = std::string(name);
  return claim;
}

bool is_marked(const Record& record, const Options& options) {
  return find_field(record, options.entities) == nullptr;
}

Document document_of(const Record& record, const Options& options) {
  return is_marked(record, options) ? marked_document(record, options)
                                    : listed_document(record, options);
}

Encoding pieces_of(const Document& document, const Record& record, const Options& options,
                   const Tokenizer& tokenizer) {
  if (document.is_marked) return tokenizer.encode(document.text);
  return encode_field(record, options.text, tokenizer);
}

std::vector<Claim> claims_of(const Json& fields, const Document& document, const Record& record,
                             const Options& options) {
  if (document.is_marked) return marked_claims(fields, record, options);
  const Json& list = field_of(fields, options.relations, record);
  if (!list.is_array())
    throw field_error(record, options.relations,
                      fmt::format("must be a list of relations, but is {}", dump(list)));
  const PlacesById places = places_by_id(document);
  std::vector<Claim> claims;
  std::set<Claim> seen;
  for (const Json& json : list) {
    Claim claim = listed_claim(json, places, record, options);
    if (seen.insert(claim).second) claims.push_back(std::move(claim));
  }
  return claims;
}

}  // namespace hone::relation
