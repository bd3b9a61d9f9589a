#include "data/text_bounds.h"

#include <gtest/gtest.h>

#include <string>

namespace hone {
namespace {

std::string seen(const std::string& text) {
  const Span span = visible_part(text, {0, static_cast<int32_t>(text.size())});
  return text.substr(static_cast<size_t>(span.start), static_cast<size_t>(span.end - span.start));
}

TEST(VisiblePart, LeavesOutWhatCannotBeSeenAtTheEnds) {
  EXPECT_EQ(seen(" \u3000Lena\n"), "Lena");
  EXPECT_EQ(seen("\u00ADAcme\u00AD Corp\u200B"), "Acme\u00AD Corp");
  EXPECT_EQ(seen("\u2764\uFE0F"), "\u2764");
  EXPECT_EQ(seen("Jose\u0301"), "Jose") << "a mark that a tokenizer may strip";
  EXPECT_EQ(seen("\u0301"), "\u0301") << "a mark that is all there is";
}

TEST(VisiblePart, IsEmptyWhereNothingIsSeen) {
  for (const char* text : {"", " ", "\t\n", "\u200B\uFEFF", "\u00AD"}) EXPECT_EQ(seen(text), "");
}

TEST(CharacterEnd, TakesMarksAlong) {
  const std::string text = "Jose\u0301 met";
  EXPECT_EQ(character_end(text, 4, static_cast<int32_t>(text.size())), 6);
  EXPECT_EQ(character_end(text, 4, 4), 4) << "not past the limit";
  EXPECT_EQ(character_end(text, 3, static_cast<int32_t>(text.size())), 3);
}

}  // namespace
}  // namespace hone
