#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/random.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

NormalizedText normalized(const std::string& json, std::string_view text) {
  const Json value = parse_json(json, Where{"n.json"}, ErrorKind::kModel);
  const auto normalizer = make_normalizer({value, "n.json"});
  NormalizedText out(text, 0, static_cast<int32_t>(text.size()));
  normalizer->apply(out);
  return out;
}

std::string bert(std::string_view text, bool lowercase = true) {
  const std::string json =
      R"({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": )";
  return std::string(normalized(json + (lowercase ? "true}" : "false}"), text).view());
}

TEST(BertNormalizer, CleansLowersAndStripsAccents) {
  EXPECT_EQ(bert("Caf\u00e9\u0301\tN\u00dcL"), "cafe nul");
  EXPECT_EQ(bert(std::string_view("a\0b\uFFFDc\u200dd\x01", 12)), "abcd");
  EXPECT_EQ(bert("x中y"), "x 中 y");
  EXPECT_EQ(bert("\u2260"), "=");  // its stroke is an accent
}

TEST(BertNormalizer, KeepsAccentsWhereItKeepsCase) {
  EXPECT_EQ(bert("Caf\u00e9", false), "Caf\u00e9");
}

TEST(BertNormalizer, TakesStripAccentsByItsOwnValueWhereGiven) {
  const std::string json =
      R"({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": false, "lowercase": true})";
  EXPECT_EQ(normalized(json, "\u00c9\u0130").view(), "\u00e9i\u0307");
}

TEST(NormalizedText, FollowsEachByteBackToTheText) {
  const std::string text =
      "x\u00e9\u0301 \u4e2dB";  // bytes: x 0, é 1-3, ´ 3-5, blank 5, 中 6-9, B 9
  const NormalizedText out = normalized(
      R"({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true})",
      text);
  EXPECT_EQ(out.view(), "xe  中 b");
  EXPECT_EQ(out.source(1, 2), (Span{1, 3}));
  EXPECT_EQ(out.source(4, 7), (Span{6, 9}));
  EXPECT_EQ(out.source(8, 9), (Span{9, 10}));
}

TEST(NormalizedText, GivesAPartOfACodePointTheWholeOfIt) {
  const NormalizedText text("a\u00e9b", 0, 4);
  EXPECT_EQ(text.source(2, 3), (Span{1, 3}));
  EXPECT_EQ(text.source(0, 2), (Span{0, 3}));
}

TEST(NormalizedText, CountsFromItsPlaceInTheWholeText) {
  NormalizedText text("[SEP]\u00c9", 5, 7);
  text.normalize(false, false);
  text.lowercase();
  EXPECT_EQ(text.view(), "e\u0301");
  EXPECT_EQ(text.source(0, 3), (Span{5, 7}));
}

TEST(Normalizer, DoesEachOfTheSmallOnes) {
  EXPECT_EQ(normalized(R"({"type": "NFC"})", "e\u0301\u0323").view(), "\u1eb9\u0301");
  EXPECT_EQ(normalized(R"({"type": "NFD"})", "\u1ec7").view(), "e\u0323\u0302");
  EXPECT_EQ(normalized(R"({"type": "NFKC"})", "\ufb01\u2460").view(), "fi1");
  EXPECT_EQ(normalized(R"({"type": "NFKD"})", "\u00bd").view(), "1\u20442");
  EXPECT_EQ(
      normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})", " \u3000a ")
          .view(),
      "a ");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " \u3000 ")
                .view(),
            "");
  EXPECT_EQ(
      normalized(R"({"type": "Replace", "pattern": {"String": "aa"}, "content": "b"})", "aaaxaa")
          .view(),
      "baxb");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "\u2581"})", "a").view(), "\u2581a");
  EXPECT_EQ(
      normalized(
          R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]})",
          "\u00c9A")
          .view(),
      "ea");
}

TEST(Normalizer, ReplacesWhatAnExpressionFinds) {
  const auto replaced = [](const std::string& regex, const std::string& by, std::string_view text) {
    const Json value = {{"type", "Replace"}, {"pattern", {{"Regex", regex}}}, {"content", by}};
    return std::string(normalized(value.dump(), text).view());
  };
  EXPECT_EQ(replaced(" {2,}", " ", "a   b c  "), "a b c ");
  EXPECT_EQ(replaced(R"(\s{2,}|[\n\r\t])", " ", "a\n\nb\tc \u3000d e"), "a b c d e");
  EXPECT_EQ(replaced(R"(\p{N}+(?!x))", "#", "12 3x é45"), "# 3x é#");
}

TEST(Normalizer, MakesBlanksAsMachineTranslationDoes) {
  EXPECT_EQ(normalized(R"({"type": "Nmt"})", "a\tb\x01\u2581\u200bc").view(), "a b  c");
}

// A table of two keys: "A" becomes "bc", "é" nothing. Root's children stand at 1 ^ byte.
std::string table_of_two() {
  std::vector<uint32_t> units(256 + 2 + 256, 0);
  const auto label = [](uint32_t byte, uint32_t offset) { return offset << 10 | byte; };
  units[0] = label(0, 256);
  units[256 ^ 'A'] = label('A', (256 ^ 'A') ^ 1) | 1 << 8;
  units[1] = 1U << 31 | 0;
  units[256 ^ 0xC3] = label(0xC3, (256 ^ 0xC3) ^ 0);
  units[0 ^ 0xA9] = label(0xA9, (0 ^ 0xA9) ^ 2) | 1 << 8;
  units[2] = 1U << 31 | 3;
  const auto size = static_cast<uint32_t>(units.size() * 4);
  std::string out(reinterpret_cast<const char*>(&size), 4);
  out.append(reinterpret_cast<const char*>(units.data()), size);
  return out + std::string("bc\0\0", 4);
}

std::string precompiled(const std::string& table) {
  return R"({"type": "Precompiled", "precompiled_charsmap": ")" + to_base64(table) + "\"}";
}

TEST(Precompiled, ReplacesByItsTableAndKeepsPlaces) {
  const NormalizedText out = normalized(precompiled(table_of_two()), "xAy\u00e9B");
  EXPECT_EQ(out.view(), "xbcyB");
  EXPECT_EQ(out.source(1, 3), (Span{1, 2}));
  EXPECT_EQ(out.source(4, 5), (Span{5, 6}));
  // A grapheme begins with a key: the rest of it goes, as in the reference.
  EXPECT_EQ(normalized(precompiled(table_of_two()), "A\u0301").view(), "bc");
}

TEST(Precompiled, RefusesATableCutShortOrDamaged) {
  const std::string table = table_of_two();
  for (size_t size = 0; size < table.size(); ++size) {
    const std::string error =
        error_of([&] { normalized(precompiled(table.substr(0, size)), "A"); });
    ASSERT_TRUE(error.starts_with("n.json: the normaliser table is ")) << size << error;
  }
  EXPECT_EQ(
      error_of([] { normalized(R"({"type": "Precompiled", "precompiled_charsmap": "a"})", ""); }),
      "n.json: \"precompiled_charsmap\": not base64: its letters, in fours");
}

TEST(Precompiled, SurvivesAnyChangeOfItsTable) {
  RandomStream random(3);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string table = table_of_two();
    for (int changes = 0; changes < 3; ++changes)
      table[random.below(table.size())] ^= static_cast<char>(1 << random.below(8));
    try {
      const NormalizedText out = normalized(precompiled(table), "xA\u00e9yB\u00c0 ");
      ASSERT_EQ(invalid_utf8(out.view()), std::string_view::npos);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kModel);
      ++refused;
    }
  }
  EXPECT_GT(refused, 10);
}

TEST(Normalizer, RefusesWhatItDoesNotKnowByName) {
  EXPECT_EQ(error_of([] {
              normalized(R"({"type": "Sequence", "normalizers": [{"type": "ByteLevel"}]})", "");
            }),
            "n.json: \"normalizers[0].type\": \"ByteLevel\" is not a supported normalizer");
}

RC_GTEST_PROP(Normalizer, NeverLeavesTheTextAndNeverGoesBack, ()) {
  const std::string text = *any_text();
  const NormalizedText out = normalized(
      R"({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"}]})",
      text);
  for (int32_t i = 0; i < static_cast<int32_t>(out.view().size()); ++i) {
    const Span span = out.source(i, i + 1);
    RC_ASSERT(span.start >= 0 && span.start <= span.end &&
              span.end <= static_cast<int32_t>(text.size()));
  }
  RC_ASSERT(invalid_utf8(out.view()) == std::string_view::npos);
}

RC_GTEST_PROP(Normalizer, ComposingUndoesDecomposing, ()) {
  const std::string text = *any_text();
  const std::string composed(normalized(R"({"type": "NFC"})", text).view());
  const std::string again(
      normalized(R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "NFC"}]})", text)
          .view());
  RC_ASSERT(composed == again);
}

}  // namespace
}  // namespace hone
