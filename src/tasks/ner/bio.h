// Tags and spans: pure functions. Inside, tags are IOB2 (B-X begins an entity, I-X goes on, O is
// none); what is read may be IOB1, IOE, BIOES, BMES, BMEWO or BILOU as well, told apart by their
// letters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone::ner {

// Tokens [start, end) are an entity.
struct TagSpan {
  std::string label;
  int64_t start = 0, end = 0;
  bool operator==(const TagSpan&) const = default;
  auto operator<=>(const TagSpan&) const = default;
};

// True for "O" and for a letter of a known scheme, a hyphen and a type.
bool is_tag(std::string_view tag);

// Entities as seqeval's default mode finds them (the rules of conlleval): an I-X that does not go
// on from an X begins one.
std::vector<TagSpan> spans_of(const std::vector<std::string>& tags);

// As seqeval's strict mode with IOB2: only B-X begins an entity. REQUIRES: only the letters B, I
// and O.
std::vector<TagSpan> strict_spans_of(const std::vector<std::string>& tags);

// IOB2. REQUIRES: spans within `tokens`, none overlapping.
std::vector<std::string> tags_of(const std::vector<TagSpan>& spans, int64_t tokens);

struct Iob2 {
  std::vector<std::string> tags;
  int64_t repaired = 0;  // I-X (IOB2 and IOB1 alike) that began an entity and became B-X
};
Iob2 to_iob2(const std::vector<std::string>& tags);

// The type of a tag, "" for O.
std::string_view type_of(std::string_view tag);

}  // namespace hone::ner
