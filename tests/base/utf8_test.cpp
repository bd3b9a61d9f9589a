#include "base/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hone {
namespace {

TEST(Utf8, DecodesTheEndsOfEachLength) {
  const std::u32string points = {0x0,    0x7F,   0x80,   0x7FF,   0x800,
                                 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
  const std::string text = to_utf8(points);
  EXPECT_EQ(text.size(), 1U + 1 + 2 + 2 + 3 + 3 + 3 + 3 + 4 + 4);
  EXPECT_EQ(from_utf8(text), points);
  EXPECT_EQ(invalid_utf8(text), std::string_view::npos);
  EXPECT_EQ(count_code_points(text), points.size());
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(invalid_utf8("abc\x80"), 3U);           // a continuation alone
  EXPECT_EQ(invalid_utf8("12345678\xC0\x80"), 8U);  // overlong
  EXPECT_EQ(invalid_utf8("\xE0\x9F\xBF"), 0U);      // overlong
  EXPECT_EQ(invalid_utf8("\xED\xA0\x80"), 0U);      // a surrogate
  EXPECT_EQ(invalid_utf8("\xF4\x90\x80\x80"), 0U);  // above 10FFFF
  EXPECT_EQ(invalid_utf8("\xF0\x8F\xBF\xBF"), 0U);  // overlong
  EXPECT_EQ(invalid_utf8("\xF5\x80\x80\x80"), 0U);
  EXPECT_EQ(invalid_utf8("a\xE4\xB8"), 1U);  // cut off
  EXPECT_EQ(invalid_utf8("\xE4\xB8\xAD\xFF"), 3U);
}

TEST(Utf8, ReplacesInvalidBytesOneByOne) {
  EXPECT_EQ(from_utf8("a\xE4\xB8z"), U"a\xFFFD\xFFFDz");
  std::string out;
  append_utf8(out, 0xD800);
  append_utf8(out, 0x110000);
  EXPECT_EQ(out, "\xEF\xBF\xBD\xEF\xBF\xBD");
}

RC_GTEST_PROP(Utf8, RoundTripsAnyText, ()) {
  const auto points = *rc::gen::container<std::u32string>(
      rc::gen::suchThat(rc::gen::inRange<char32_t>(0, 0x110000),
                        [](char32_t c) { return c < 0xD800 || c > 0xDFFF; }));
  RC_ASSERT(from_utf8(to_utf8(points)) == points);
}

RC_GTEST_PROP(Utf8, PassesThroughAnyBytes, (const std::string& bytes)) {
  const bool is_valid = invalid_utf8(bytes) == std::string_view::npos;
  RC_ASSERT(is_valid == (to_utf8(from_utf8(bytes)) == bytes));
}

}  // namespace
}  // namespace hone
