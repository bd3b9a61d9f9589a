// What a record of named-entity recognition says: tokens with tags, or a text with entities.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "data/sample.h"
#include "data/tokenizer/tokenizer.h"
#include "tasks/ner/bio.h"
#include "tasks/ner/options.h"
#include "tasks/text_places.h"
#include "tasks/windows.h"

namespace hone::ner {

// An entity as records and results hold it. Offsets count characters (code points) of the text as
// it was read; for tokens, of the tokens joined by a space.
struct Entity {
  std::string label;
  int64_t start = 0, end = 0;
  double score = 0;
};

bool has_tokens(const Record& record,
                const Options& options);  // else it has a text; Error(kData) where it has neither

std::vector<std::string> tokens_of(const Record& record,
                                   const Options& options);  // Error(kData) where the list is empty
std::vector<std::string> tags_of_record(
    const Record& record,
    const Options& options);  // as many as tokens, each of them a tag; as written

const std::string& text_of(const Record& record, const Options& options);  // as it was read
// The entities of a text, sorted. Each is within the text, apart from the others and seen: bounds
// go by visible_part, so that a blank at an end makes no other entity. Where they may overlap, two
// that are equal are one.
std::vector<Entity> entities_of(const Record& record, const Options& options);
std::vector<Entity> entities_in(const Json& list, const Record& record, const Options& options);

// A long text in windows, as the options say.
std::vector<Window> windows_of(const Encoding& pieces, const Options& options,
                               const Tokenizer& tokenizer);

std::string joined(const std::vector<std::string>& tokens);
std::vector<Span> spans_in_joined(const std::vector<std::string>& tokens);  // bytes

// An entity that no tokens say as it is: it begins or ends inside one, or has none to itself.
struct Misfit {
  Entity entity;
  std::string aligned;  // what the tokens say instead; "" for nothing
};
std::string misfit_text(const Misfit& misfit);                   // what is learned instead
std::string repair_of(const std::vector<std::string>& misfits);  // the first of some; "" of none
// A type that training did not have: of entities, or what `kind` and `plural` call it.
Error unknown_type(const std::string& type, const std::vector<std::string>& known,
                   const std::string& field, const Record& record, const char* kind = "entity type",
                   const char* plural = "entities");

struct Alignment {
  std::vector<TagSpan> spans;
  std::vector<Misfit> misfits;
};
// Entities as spans of tokens (bytes of the text): every token that one touches belongs to it.
Alignment align(const std::vector<Entity>& entities, const std::vector<Span>& tokens,
                const std::string& text);

}  // namespace hone::ner
