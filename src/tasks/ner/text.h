// What a record of named-entity recognition says: tokens with tags, or a text with entities.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "data/sample.h"
#include "tasks/ner/bio.h"
#include "tasks/ner/options.h"

namespace hone::ner {

// An entity as records and results hold it. Offsets count characters (code points) of the text; for
// tokens, of the tokens joined by a space.
struct Entity {
  std::string label;
  int64_t start = 0, end = 0;
  double score = 0;
  std::string key() const {
    return label + ' ' + std::to_string(start) + ' ' + std::to_string(end);
  }
};

bool has_tokens(const Record& record,
                const Options& options);  // else it has a text; Error(kData) where it has neither

std::vector<std::string> tokens_of(const Record& record,
                                   const Options& options);  // Error(kData) where the list is empty
std::vector<std::string> tags_of_record(
    const Record& record,
    const Options& options);  // as many as tokens, each of them a tag; as written
std::vector<Entity> entities_of(const Record& record,
                                const Options& options);  // sorted, within the text, apart
std::vector<Entity> parse_entities(const Json& list, const Record& record,
                                   const std::string& field);

std::string joined(const std::vector<std::string>& tokens);
std::vector<Span> spans_in_joined(const std::vector<std::string>& tokens);  // bytes

// Bytes to characters and back, for one text.
class Characters {
 public:
  explicit Characters(std::string_view text);
  int64_t count() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t at_byte(int64_t byte) const;  // the character that holds the byte; count() at the end
  int64_t byte(int64_t character) const { return starts_[character]; }

 private:
  std::vector<int64_t> starts_;  // byte where each character starts, and the text's length
};

// Entities as spans of tokens (bytes of the text): every token that one touches belongs to it.
// `widened`: one began or ended inside a token.
std::vector<TagSpan> align(const std::vector<Entity>& entities, const std::vector<Span>& tokens,
                           const Characters& characters, bool* widened);

}  // namespace hone::ner
