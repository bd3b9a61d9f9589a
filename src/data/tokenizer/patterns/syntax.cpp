#include "data/tokenizer/patterns/syntax.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/uset.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace hone {
namespace {

using NodeKind = PatternNode::Kind;

constexpr int kMostDepth = 50, kMostRepeats = 1000;
constexpr char32_t kLastCode = 0x10FFFF;

constexpr std::array<std::pair<const char*, uint32_t>, 38> kCategories{{
    {"L", U_GC_L_MASK},   {"Lu", U_GC_LU_MASK}, {"Ll", U_GC_LL_MASK}, {"Lt", U_GC_LT_MASK},
    {"Lm", U_GC_LM_MASK}, {"Lo", U_GC_LO_MASK}, {"M", U_GC_M_MASK},   {"Mn", U_GC_MN_MASK},
    {"Mc", U_GC_MC_MASK}, {"Me", U_GC_ME_MASK}, {"N", U_GC_N_MASK},   {"Nd", U_GC_ND_MASK},
    {"Nl", U_GC_NL_MASK}, {"No", U_GC_NO_MASK}, {"P", U_GC_P_MASK},   {"Pc", U_GC_PC_MASK},
    {"Pd", U_GC_PD_MASK}, {"Ps", U_GC_PS_MASK}, {"Pe", U_GC_PE_MASK}, {"Pi", U_GC_PI_MASK},
    {"Pf", U_GC_PF_MASK}, {"Po", U_GC_PO_MASK}, {"S", U_GC_S_MASK},   {"Sm", U_GC_SM_MASK},
    {"Sc", U_GC_SC_MASK}, {"Sk", U_GC_SK_MASK}, {"So", U_GC_SO_MASK}, {"Z", U_GC_Z_MASK},
    {"Zs", U_GC_ZS_MASK}, {"Zl", U_GC_ZL_MASK}, {"Zp", U_GC_ZP_MASK}, {"C", U_GC_C_MASK},
    {"Cc", U_GC_CC_MASK}, {"Cf", U_GC_CF_MASK}, {"Co", U_GC_CO_MASK}, {"Cn", U_GC_CN_MASK},
    {"Cs", U_GC_CS_MASK}, {"Any", UINT32_MAX},
}};

CharacterSet one(char32_t first, char32_t last) { return {.ranges = {{first, last}}}; }

// With the characters that are the same in another case; those that are several there are left out.
CharacterSet any_case(const CharacterSet& set) {
  USet* closed = uset_openEmpty();
  for (const auto& [first, last] : set.ranges)
    uset_addRange(closed, static_cast<UChar32>(first), static_cast<UChar32>(last));
  uset_closeOver(closed, USET_CASE_INSENSITIVE);
  CharacterSet out = set;
  out.ranges.clear();
  for (int32_t i = 0; i < uset_getItemCount(closed); ++i) {
    UChar32 first = 0, last = 0;
    UErrorCode status = U_ZERO_ERROR;
    if (uset_getItem(closed, i, &first, &last, nullptr, 0, &status) == 0)
      out.ranges.push_back({static_cast<char32_t>(first), static_cast<char32_t>(last)});
  }
  uset_close(closed);
  return out;
}

class PatternParser {
 public:
  explicit PatternParser(const JsonNode& node) : node_(node), text_(from_utf8(node.text())) {}

  PatternTree run() {
    PatternNode root = read_choice();
    if (at_ < text_.size()) fail("a ) without its (");
    return {std::move(root), std::move(sets_)};
  }

 private:
  const JsonNode& node_;
  std::u32string text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool is_any_case_ = false;
  std::vector<CharacterSet> sets_;

  [[noreturn]] void fail(const std::string& what) const {
    throw node_.error(fmt::format("{} (character {} of the regular expression)", what, at_ + 1));
  }

  bool is_at_end() const { return at_ >= text_.size(); }
  bool sees(std::u32string_view word) const {
    return std::u32string_view(text_).substr(at_).starts_with(word);
  }
  bool take(std::u32string_view word) {
    if (!sees(word)) return false;
    at_ += word.size();
    return true;
  }
  char32_t take_any() {
    if (is_at_end()) fail("it ends too early");
    return text_[at_++];
  }

  PatternNode node_of(CharacterSet set, NodeKind kind = NodeKind::kSet) {
    const auto known = std::find(sets_.begin(), sets_.end(), set);
    const auto index = static_cast<int>(known - sets_.begin());
    if (known == sets_.end()) {
      if (sets_.size() >= kMostSets) fail("more different sets of characters than there may be");
      sets_.push_back(std::move(set));
    }
    return {kind, index};
  }

  PatternNode read_choice() {
    if (++depth_ > kMostDepth) fail("more groups in each other than it may have");
    PatternNode out{NodeKind::kChoice};
    do out.parts.push_back(read_sequence());
    while (take(U"|"));
    --depth_;
    return out.parts.size() == 1 ? std::move(out.parts[0]) : out;
  }

  PatternNode read_sequence() {
    PatternNode out{NodeKind::kSequence};
    while (!is_at_end() && !sees(U"|") && !sees(U")")) out.parts.push_back(read_repeat());
    return out.parts.size() == 1 ? std::move(out.parts[0]) : out;
  }

  PatternNode read_repeat() {
    PatternNode part = read_atom();
    PatternNode out{NodeKind::kRepeat};
    if (!read_quantifier(out)) return part;
    if (part.kind == NodeKind::kAhead) fail("nothing that could be repeated");
    out.is_lazy = take(U"?");
    if (sees(U"*") || sees(U"+") || sees(U"?")) fail("a quantifier of a quantifier");
    out.parts.push_back(std::move(part));
    return out;
  }

  bool read_quantifier(PatternNode& out) {
    if (take(U"*")) return true;
    if (take(U"+")) {
      out.least = 1;
      return true;
    }
    if (take(U"?")) {
      out.most = 1;
      return true;
    }
    const bool has_bounds =
        sees(U"{") && at_ + 1 < text_.size() && (text_[at_ + 1] == ',' || is_digit(text_[at_ + 1]));
    if (has_bounds) read_bounds(out);
    return has_bounds;
  }

  void read_bounds(PatternNode& out) {
    take(U"{");
    if (!sees(U",")) out.least = read_number();
    out.most = out.least;
    if (take(U",")) out.most = sees(U"}") ? PatternNode::kNoLimit : read_number();
    if (!take(U"}")) fail("a { without its }");
    if (out.most != PatternNode::kNoLimit && out.most < out.least) fail("a range upside down");
  }

  static bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
  int read_number() {
    int out = 0;
    if (is_at_end() || !is_digit(text_[at_])) fail("a number was expected");
    for (; !is_at_end() && is_digit(text_[at_]); ++at_) {
      out = 10 * out + static_cast<int>(text_[at_] - '0');
      if (out > kMostRepeats) fail(fmt::format("more than {} times", kMostRepeats));
    }
    return out;
  }

  PatternNode read_atom() {
    const char32_t c = take_any();
    if (c == '(') return read_group();
    if (c == '[') return node_of(read_class());
    if (c == '\\') return node_of(in_case(read_escape()));
    if (c == '.') return node_of({.ranges = {{'\n', '\n'}}, .is_negated = true});
    --at_;
    if (c == '*' || c == '+' || c == '?') fail("nothing that could be repeated");
    if (c == '^' || c == '$') fail("^ and $ are not supported");
    ++at_;
    return node_of(in_case(one(c, c)));
  }

  CharacterSet in_case(CharacterSet set) const { return is_any_case_ ? any_case(set) : set; }

  PatternNode read_group() {
    const bool was_any_case = is_any_case_;
    const bool is_negative = sees(U"?!");
    const bool is_ahead = take(U"?!") || take(U"?=");
    if (!is_ahead && take(U"?i:")) {
      is_any_case_ = true;
    } else if (!is_ahead && !take(U"?:") && sees(U"?")) {
      fail("this kind of group is not supported");
    }
    PatternNode out = read_choice();
    if (!take(U")")) fail("a ( without its )");
    is_any_case_ = was_any_case;
    if (!is_ahead) return out;
    if (out.kind != NodeKind::kSet)
      fail("looking ahead further than one character is not supported");
    out.kind = NodeKind::kAhead;
    out.is_negative = is_negative;
    return out;
  }

  // After its [.
  CharacterSet read_class() {
    if (++depth_ > kMostDepth) fail("more classes in each other than it may have");
    CharacterSet out;
    out.is_negated = take(U"^");
    for (bool is_first = true; is_first || !sees(U"]"); is_first = false) {
      if (sees(U"[:") || sees(U"&&")) fail("not supported in a class");
      if (take(U"[")) {
        out.parts.push_back(read_class());
      } else {
        out.parts.push_back(in_case(read_range()));
      }
    }
    take(U"]");
    --depth_;
    return out;
  }

  CharacterSet read_range() {
    CharacterSet first = read_member();
    if (!sees(U"-") || at_ + 1 >= text_.size() || text_[at_ + 1] == ']') return first;
    take(U"-");
    const CharacterSet last = read_member();
    if (!is_one(first) || !is_one(last) || last.ranges[0].last < first.ranges[0].first)
      fail("not a range of characters");
    return one(first.ranges[0].first, last.ranges[0].last);
  }

  static bool is_one(const CharacterSet& set) {
    return set.ranges.size() == 1 && set.ranges[0].first == set.ranges[0].last && !set.is_negated;
  }

  CharacterSet read_member() {
    const char32_t c = take_any();
    return c == '\\' ? read_escape() : one(c, c);
  }

  // After its backslash.
  CharacterSet read_escape() {
    const char32_t c = take_any();
    switch (c) {
      case 's':
      case 'S':
        return {.has_spaces = true, .is_negated = c == 'S'};
      case 'w':
      case 'W':
        return {.has_words = true, .is_negated = c == 'W'};
      case 'd':
      case 'D':
        return {.categories = U_GC_ND_MASK, .is_negated = c == 'D'};
      case 'p':
      case 'P':
        return read_property(c == 'P');
      case 'n':
        return one('\n', '\n');
      case 'r':
        return one('\r', '\r');
      case 't':
        return one('\t', '\t');
      case 'f':
        return one('\f', '\f');
      case 'v':
        return one('\v', '\v');
      case 'x':
        return take(U"{") ? read_code(8, true) : read_code(2, false);
      case 'u':
        return read_code(4, false);
      default:
        if (is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
          --at_;
          fail(fmt::format("\"\\{}\" is not supported", static_cast<char>(c)));
        }
        return one(c, c);
    }
  }

  static int hex_digit(char32_t c) {
    if (is_digit(c)) return static_cast<int>(c - '0');
    const char32_t letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? static_cast<int>(letter - 'a') + 10 : -1;
  }

  CharacterSet read_code(int digits, bool is_braced) {
    char32_t code = 0;
    int count = 0;
    for (; count < digits && !is_at_end() && hex_digit(text_[at_]) >= 0; ++at_, ++count)
      code = code * 16 + static_cast<char32_t>(hex_digit(text_[at_]));
    if (count == 0 || (is_braced ? !take(U"}") : count < digits) || code > kLastCode)
      fail("not the number of a character");
    return one(code, code);
  }

  CharacterSet read_property(bool is_negated) {
    if (!take(U"{")) fail("a name in { } was expected");
    if (take(U"^")) is_negated = !is_negated;
    std::string name;
    while (!sees(U"}")) append_utf8(name, take_any());
    take(U"}");
    for (const auto& [known, mask] : kCategories) {
      if (name == known) return {.categories = mask, .is_negated = is_negated};
    }
    fail(fmt::format("\\p{{{}}} is not supported; the general categories are (L, Lu, N, …)", name));
  }
};

}  // namespace

bool CharacterSet::contains(const CharacterTraits& character) const {
  const auto in_range = [&](const Range& range) {
    return character.code >= range.first && character.code <= range.last;
  };
  const bool is_in =
      (categories & character.category) != 0 || (has_spaces && character.is_space) ||
      (has_words && character.is_word) || std::any_of(ranges.begin(), ranges.end(), in_range) ||
      std::any_of(parts.begin(), parts.end(),
                  [&](const CharacterSet& part) { return part.contains(character); });
  return is_in != is_negated;
}

PatternTree parse_pattern(const JsonNode& node) { return PatternParser(node).run(); }

}  // namespace hone
