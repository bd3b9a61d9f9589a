// What a record of relation extraction says: a text, its entities, and how they are related.
//
//   {"text": "The <e1>child</e1> lay in the <e2>cradle</e2>.", "relation":
//   "Content-Container(e1,e2)"}
//   {"text": …, "entities": [{"id": "T1", "start": 4, "end": 9, "label": "Person"}, …],
//    "relations": [{"head": "T1", "tail": "T2", "label": "Located"}, …]}
//
// Offsets count characters of the text as it was read. An entity without an id is known by its
// place in the list, from 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "data/record.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/relation/options.h"

namespace hone::relation {

struct Entity {
  Json id;           // a text, or the place in the list
  std::string type;  // "" where it has none
  Span bytes;        // of Document::text
};

// A text with marks has two entities, e1 and e2; others are in the order of the text, outer ones
// first.
struct Document {
  bool is_marked = false;
  std::string text;  // as it was read; without the marks
  std::vector<Entity> entities;
};

// How two entities are related: which of them the relation begins with.
enum class Direction { kNone, kForward, kBackward };

// A relation of entities first and second of a document, first < second. `label` is without the
// direction; that of a text with marks may have none.
struct Claim {
  size_t first = 0, second = 1;
  std::string label;
  Direction direction = Direction::kNone;
  double score = 0;

  std::string name() const;  // "Cause-Effect(e2,e1)"
  auto parts() const { return std::tie(first, second, label, direction); }
  bool operator==(const Claim& other) const { return parts() == other.parts(); }
  bool operator<(const Claim& other) const { return parts() < other.parts(); }  // by place
};
// From a name as it stands in data.
Claim claim_named(std::string_view name);

bool is_marked(const Record& record, const Options& options);  // it has no list of entities

// Error(kData) for marks or entities that are none.
Document document_of(const Record& record, const Options& options);

// The pieces of the text; their offsets count in Document::text.
Encoding pieces_of(const Document& document, const Record& record, const Options& options,
                   const Tokenizer& tokenizer);

// What a record or a result says; "no relation" is no claim. Error(kData) for a relation to an
// entity that is not there, or of one to itself.
std::vector<Claim> claims_of(const Json& fields, const Document& document, const Record& record,
                             const Options& options);

}  // namespace hone::relation
