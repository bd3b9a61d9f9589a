// Two entities of a text as one sample: the text around them, each of them between marks. The marks
// are punctuation that every vocabulary has, and may say the type (Zhou and Chen 2021, "An improved
// baseline for sentence-level relation extraction"):
//
//   @ * Person * Ann @ lives in # ^ City ^ Paris #
#pragma once

#include <array>
#include <string>

#include "tasks/relation/gold.h"

namespace hone::relation {

// Ids of the marks of a first or second entity.
struct EntityMarks {
  std::vector<int32_t> open, close;
};
EntityMarks entity_marks(bool is_second, const std::string& type, const Tokenizer& tokenizer);

struct PairPieces {
  Encoding pieces;                  // with the marks, whose offsets are empty
  std::array<int64_t, 2> starts{};  // where each entity's opening mark begins
  bool is_cut = false;  // of what lies between both marks, or in them, something is gone
};

// At most `room` pieces, as much of the text before and after the entities as there is room for.
// `entities`: bytes of the text, of the first and of the second. REQUIRES: room > 1.
PairPieces pair_pieces(const Encoding& text, const std::array<Span, 2>& entities,
                       const std::array<EntityMarks, 2>& marks, int64_t room);

}  // namespace hone::relation
