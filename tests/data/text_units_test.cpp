#include "data/text_units.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/utf8.h"

namespace hone {
namespace {

TEST(TextUnits, CountAsOtherProgramsDo) {
  const std::string text = "é\r\n🙂a";
  EXPECT_EQ(TextUnits(text, TextUnit::kCharacters).count(), 5);
  EXPECT_EQ(TextUnits(text, TextUnit::kOneForCrLf).count(), 4);
  EXPECT_EQ(TextUnits(text, TextUnit::kUtf16).count(), 6);
  EXPECT_EQ(TextUnits(text, TextUnit::kBytes).count(), 9);
  EXPECT_EQ(TextUnits(text, TextUnit::kOneForCrLf).byte(2), text.find("🙂"));
  EXPECT_EQ(TextUnits(text, TextUnit::kUtf16).byte(4), text.find("🙂")) << "inside the pair";
  EXPECT_EQ(TextUnits(text, TextUnit::kUtf16).byte(5), text.find('a'));
  EXPECT_EQ(TextUnits("", TextUnit::kBytes).byte(0), 0u);
}

RC_GTEST_PROP(TextUnits, PlacesOfCharactersAreFoundBothWays, ()) {
  const auto points =
      *rc::gen::container<std::u32string>(rc::gen::element(U'a', U'é', U'你', U'🙂', U'\r', U'\n'));
  std::u32string longer;  // beyond the places that are kept
  for (int i = 0; i < 40; ++i) longer += points;
  const std::string text = to_utf8(longer);
  for (const TextUnit unit : {TextUnit::kCharacters, TextUnit::kUtf16, TextUnit::kBytes}) {
    const TextUnits units(text, unit);
    int64_t at = 0;
    for (size_t byte = 0; byte < text.size();) {
      RC_ASSERT(units.unit_at(byte) == at);
      RC_ASSERT(units.byte(at) == byte);
      const size_t begin = byte;
      const char32_t c = next_code_point(text, byte);
      at += unit == TextUnit::kBytes   ? static_cast<int64_t>(byte - begin)
            : unit == TextUnit::kUtf16 ? (c > 0xFFFF ? 2 : 1)
                                       : 1;
    }
    RC_ASSERT(units.count() == at);
    RC_ASSERT(units.byte(at) == text.size());
    RC_ASSERT(units.unit_at(text.size()) == at);
  }
}

TEST(TextUnits, ShownTextsAreCutBetweenCharacters) {
  EXPECT_EQ(shown_text("short"), "short");
  std::string sixty;
  for (int i = 0; i < 60; ++i) sixty += "é";
  EXPECT_EQ(shown_text(sixty), sixty);
  EXPECT_EQ(shown_text(sixty + "x"), sixty + "…");
}

}  // namespace
}  // namespace hone
