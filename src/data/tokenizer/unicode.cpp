#include "data/tokenizer/unicode.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include <algorithm>
#include <iterator>

namespace hone::unicode {
namespace {

// ICU knows later code points than the tables followed here; its "age" takes us back.
bool is_older_than(char32_t c, int version) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] > 0 && age[0] <= version;
}

bool in_category(char32_t c, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0;
}

struct Range {
  char32_t first, last;
  char kind;  // L letter, N number, M mark
};

// What \w, \p{L} and \p{N} match in Unicode 16 and Debian's ICU 72 (Unicode 15) does not know yet.
constexpr Range kSixteen[] = {
    {0x897, 0x897, 'M'},     {0x1C89, 0x1C8A, 'L'},   {0xA7CB, 0xA7CD, 'L'},
    {0xA7DA, 0xA7DC, 'L'},   {0x105C0, 0x105F3, 'L'}, {0x10D40, 0x10D49, 'N'},
    {0x10D4A, 0x10D65, 'L'}, {0x10D69, 0x10D6D, 'M'}, {0x10D6F, 0x10D85, 'L'},
    {0x10EC2, 0x10EC4, 'L'}, {0x10EFC, 0x10EFC, 'M'}, {0x11380, 0x11389, 'L'},
    {0x1138B, 0x1138B, 'L'}, {0x1138E, 0x1138E, 'L'}, {0x11390, 0x113B5, 'L'},
    {0x113B7, 0x113B7, 'L'}, {0x113B8, 0x113C0, 'M'}, {0x113C2, 0x113C2, 'M'},
    {0x113C5, 0x113C5, 'M'}, {0x113C7, 0x113CA, 'M'}, {0x113CC, 0x113D0, 'M'},
    {0x113D1, 0x113D1, 'L'}, {0x113D2, 0x113D2, 'M'}, {0x113D3, 0x113D3, 'L'},
    {0x113E1, 0x113E2, 'M'}, {0x116D0, 0x116E3, 'N'}, {0x11BC0, 0x11BE0, 'L'},
    {0x11BF0, 0x11BF9, 'N'}, {0x11F5A, 0x11F5A, 'M'}, {0x13460, 0x143FA, 'L'},
    {0x16100, 0x1611D, 'L'}, {0x1611E, 0x1612F, 'M'}, {0x16130, 0x16139, 'N'},
    {0x16D40, 0x16D6C, 'L'}, {0x16D70, 0x16D79, 'N'}, {0x18CFF, 0x18CFF, 'L'},
    {0x1CCF0, 0x1CCF9, 'N'}, {0x1E5D0, 0x1E5ED, 'L'}, {0x1E5EE, 0x1E5EF, 'M'},
    {0x1E5F0, 0x1E5F0, 'L'}, {0x1E5F1, 0x1E5FA, 'N'}, {0x2EBF0, 0x2EE5D, 'L'},
};

char kind_in_sixteen(char32_t c) {
  const Range* range = std::partition_point(std::begin(kSixteen), std::end(kSixteen),
                                            [c](const Range& r) { return r.last < c; });
  return range != std::end(kSixteen) && c >= range->first ? range->kind : 0;
}

// Later versions of ICU may have assigned other code points too; Unicode 16 is where the reference
// stops.
bool in_category_of_sixteen(char32_t c, uint32_t mask, char kind) {
  return kind_in_sixteen(c) == kind || (in_category(c, mask) && is_older_than(c, 16));
}

uint32_t letter_mask_of_sixteen(char32_t c) {
  const auto is_in = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (c == 0x1C89 || is_in(0xA7CB, 0xA7CC) || c == 0xA7DA || c == 0xA7DC || is_in(0x10D50, 0x10D65))
    return U_GC_LU_MASK;
  if (c == 0x1C8A || c == 0xA7CD || c == 0xA7DB || is_in(0x10D70, 0x10D85)) return U_GC_LL_MASK;
  if (c == 0x10D4E || c == 0x10D6F || is_in(0x16D40, 0x16D42) || is_in(0x16D6B, 0x16D6C))
    return U_GC_LM_MASK;
  return U_GC_LO_MASK;
}

// Lower case of the capitals that came with Unicode 16 and 17.
char32_t lower_of_seventeen(char32_t c) {
  if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
  if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
  switch (c) {
    case 0x1C89:
      return 0x1C8A;
    case 0xA7CB:
      return 0x264;
    case 0xA7CC:
      return 0xA7CD;
    case 0xA7CE:
      return 0xA7CF;
    case 0xA7D2:
      return 0xA7D3;
    case 0xA7D4:
      return 0xA7D5;
    case 0xA7DA:
      return 0xA7DB;
    case 0xA7DC:
      return 0x19B;
    default:
      return 0;
  }
}

const UNormalizer2* normalizer(bool is_compatible) {
  UErrorCode status = U_ZERO_ERROR;
  return is_compatible ? unorm2_getNFKDInstance(&status) : unorm2_getNFDInstance(&status);
}

constexpr int kCategories = 8;     // Unicode version of the reference's categories
constexpr int kNormalization = 9;  // and of its normalisation

}  // namespace

bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }

bool is_other(char32_t c) {
  return in_category(c, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK) &&
         is_older_than(c, kCategories);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return u_ispunct(static_cast<UChar32>(c)) || in_category(c, U_GC_S_MASK);
  if (c == 0x111C9 || c == 0x166D) return true;  // became Mn and So later
  return in_category(c, U_GC_P_MASK) && is_older_than(c, kCategories);
}

bool is_nonspacing_mark(char32_t c) {
  switch (c) {
    case 0x1734:
      return true;  // became Mc later
    case 0x1885:
    case 0x1886:
    case 0xA9BD:
    case 0x111C9:
      return false;  // were Lo, Lo, Mc and Po
    default:
      return in_category(c, U_GC_MN_MASK) && is_older_than(c, kCategories);
  }
}

bool is_combining_mark(char32_t c) {
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // became Lo later
  return c != 0x111C9 && in_category(c, U_GC_M_MASK) && is_older_than(c, kNormalization);
}

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
         (c >= 0x2B920 && c <= 0x2CEAF) ||  // B820 to B91F are left out, as there
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_letter(char32_t c) { return in_category_of_sixteen(c, U_GC_L_MASK, 'L'); }
bool is_number(char32_t c) { return in_category_of_sixteen(c, U_GC_N_MASK, 'N'); }

uint32_t category_mask(char32_t c) {
  switch (kind_in_sixteen(c)) {
    case 'L':
      return letter_mask_of_sixteen(c);
    case 'N':
      return U_GC_ND_MASK;
    case 'M':
      return U_GC_MN_MASK;
  }
  return is_older_than(c, 16) ? U_GET_GC_MASK(static_cast<UChar32>(c)) : U_GC_CN_MASK;
}

bool is_word(char32_t c) {
  if (kind_in_sixteen(c) != 0) return true;
  const UChar32 code = static_cast<UChar32>(c);
  const bool is_word = u_isUAlphabetic(code) || u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) ||
                       in_category(c, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK);
  return is_word && is_older_than(c, 16);
}

std::array<char32_t, 2> to_lower(char32_t c) {
  if (c == 0x130) return {U'i', 0x307};
  if (const char32_t lower = lower_of_seventeen(c)) return {lower, 0};
  return {static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))), 0};
}

int combining_class(char32_t c) {
  const int now = u_getCombiningClass(static_cast<UChar32>(c));
  return now != 0 && is_older_than(c, kNormalization) ? now : 0;
}

void append_decomposition(char32_t c, bool is_compatible, std::u32string& out) {
  UChar units[32];  // the longest, U+FDFA, has 18
  UErrorCode status = U_ZERO_ERROR;
  const int32_t size = c < 0x80 || !is_older_than(c, kNormalization)
                           ? -1
                           : unorm2_getDecomposition(normalizer(is_compatible),
                                                     static_cast<UChar32>(c), units, 32, &status);
  if (size < 0 || U_FAILURE(status)) {
    out.push_back(c);
    return;
  }
  for (int32_t i = 0; i < size;) {
    UChar32 code;
    U16_NEXT(units, i, size, code);
    out.push_back(static_cast<char32_t>(code));
  }
}

char32_t compose(char32_t first, char32_t second) {
  UErrorCode status = U_ZERO_ERROR;
  const UChar32 code = unorm2_composePair(
      unorm2_getNFCInstance(&status), static_cast<UChar32>(first), static_cast<UChar32>(second));
  return code >= 0 && is_older_than(static_cast<char32_t>(code), kNormalization)
             ? static_cast<char32_t>(code)
             : 0;
}

}  // namespace hone::unicode
