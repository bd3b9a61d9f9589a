#include "data/tag_scheme.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace hone {
namespace {

// A tag in one alphabet for all schemes: O, B begins, I goes on, E ends, S is a span of one token.
struct Tag {
  char place = 'O';
  std::string_view type;
};

char common_letter(char letter) {
  switch (letter) {
    case 'M':
      return 'I';
    case 'L':
      return 'E';
    case 'U':
    case 'W':
      return 'S';
    default:
      return letter;
  }
}

std::string_view letters(TagScheme scheme) {
  switch (scheme) {
    case TagScheme::kNone:
      return "";
    case TagScheme::kIob1:
    case TagScheme::kIob2:
      return "BI";
    case TagScheme::kIoe1:
    case TagScheme::kIoe2:
      return "IE";
    case TagScheme::kBmes:
      return "BMES";
    case TagScheme::kBmewo:
      return "BMEW";
    case TagScheme::kBioes:
      return "BIES";
    case TagScheme::kBilou:
      return "BILU";
  }
  return "";
}

// "O", "B-PER", or "B" where spans have no type.
std::optional<Tag> parse_tag(std::string_view text, std::string_view allowed) {
  if (text == "O") return Tag{};
  if (text.empty() || allowed.find(text[0]) == allowed.npos) return std::nullopt;
  if (text.size() == 1) return Tag{common_letter(text[0]), ""};
  if (text.size() == 2 || text[1] != '-') return std::nullopt;
  return Tag{common_letter(text[0]), text.substr(2)};
}

bool is_open(const Tag& tag) { return tag.place == 'B' || tag.place == 'I'; }
bool goes_on(const Tag& tag) { return tag.place == 'I' || tag.place == 'E'; }

// Does `tag` continue the span that `before` stands in?
bool continues(const Tag& before, const Tag& tag) {
  return goes_on(tag) && is_open(before) && before.type == tag.type;
}

// Why the scheme forbids `tag` after `before`; "" where it allows it.
std::string fault(TagScheme scheme, const Tag& before, const Tag& tag) {
  const bool continues_span = continues(before, tag);
  switch (scheme) {
    case TagScheme::kNone:
    case TagScheme::kIoe1:
      return "";
    case TagScheme::kIoe2:
      return is_open(before) && !continues_span ? "comes before the span was ended" : "";
    case TagScheme::kIob1:
      if (tag.place != 'B' || (is_open(before) && before.type == tag.type)) return "";
      return "begins a span with B where no span of the same type ends";
    case TagScheme::kIob2:
      if (tag.place != 'I' || continues_span) return "";
      return "goes on with a span that was not begun";
    default:
      if (is_open(before) && !continues_span) return "comes before the span was ended";
      if (goes_on(tag) && !continues_span) return "goes on with a span that was not begun";
      return "";
  }
}

bool must_end(TagScheme scheme) {
  return scheme != TagScheme::kNone && scheme != TagScheme::kIob1 && scheme != TagScheme::kIob2 &&
         scheme != TagScheme::kIoe1;
}

std::string iob2(const Tag& before, const Tag& tag) {
  if (tag.place == 'O') return "O";
  std::string out(1, continues(before, tag) ? 'I' : 'B');
  if (!tag.type.empty()) out.append("-").append(tag.type);
  return out;
}

constexpr std::array kSchemes = {TagScheme::kNone,  TagScheme::kIob1,  TagScheme::kIob2,
                                 TagScheme::kIoe1,  TagScheme::kIoe2,  TagScheme::kBmes,
                                 TagScheme::kBmewo, TagScheme::kBioes, TagScheme::kBilou};

constexpr std::pair<std::string_view, TagScheme> kOtherNames[] = {
    {"BIO", TagScheme::kIob2},    {"BIO2", TagScheme::kIob2},   {"IOBES", TagScheme::kBioes},
    {"BIESO", TagScheme::kBioes}, {"BMESO", TagScheme::kBmes},  {"BILUO", TagScheme::kBilou},
    {"BIOUL", TagScheme::kBilou}, {"BIOLU", TagScheme::kBilou},
};

}  // namespace

const char* name_of(TagScheme scheme) {
  switch (scheme) {
    case TagScheme::kNone:
      return "none";
    case TagScheme::kIob1:
      return "IOB1";
    case TagScheme::kIob2:
      return "IOB2";
    case TagScheme::kIoe1:
      return "IOE1";
    case TagScheme::kIoe2:
      return "IOE2";
    case TagScheme::kBmes:
      return "BMES";
    case TagScheme::kBmewo:
      return "BMEWO";
    case TagScheme::kBioes:
      return "BIOES";
    case TagScheme::kBilou:
      return "BILOU";
  }
  return "";
}

std::optional<TagScheme> tag_scheme_of(const std::string& name) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (upper == "NONE") return TagScheme::kNone;
  for (const auto& [other, scheme] : kOtherNames) {
    if (upper == other) return scheme;
  }
  for (const TagScheme scheme : kSchemes) {
    if (upper == name_of(scheme)) return scheme;
  }
  return std::nullopt;
}

std::optional<TagFault> to_iob2(TagScheme scheme, std::vector<std::string>& tags) {
  if (scheme == TagScheme::kNone) return std::nullopt;
  std::optional<TagFault> first;
  std::vector<Tag> parsed;
  for (size_t i = 0; i < tags.size(); ++i) {
    const std::optional<Tag> tag = parse_tag(tags[i], letters(scheme));
    if (!tag) {
      return TagFault{
          i,
          fmt::format("the tag \"{}\" is not of the scheme {} (O, or one of {} with -TYPE)",
                      tags[i], name_of(scheme), fmt::join(letters(scheme), " ")),
          false};
    }
    const std::string why =
        first ? "" : fault(scheme, parsed.empty() ? Tag{} : parsed.back(), *tag);
    if (!why.empty())
      first = TagFault{
          i,
          fmt::format("the tag \"{}\" breaks the scheme {}: it {}", tags[i], name_of(scheme), why),
          true};
    parsed.push_back(*tag);
  }
  if (!first && must_end(scheme) && !parsed.empty() && is_open(parsed.back())) {
    first = TagFault{
        tags.size() - 1,
        fmt::format("the tag \"{}\" breaks the scheme {}: the sentence ends within the span",
                    tags.back(), name_of(scheme)),
        true};
  }
  std::vector<std::string> converted;  // apart, since the types are views into `tags`
  converted.reserve(tags.size());
  for (size_t i = 0; i < parsed.size(); ++i)
    converted.push_back(iob2(i == 0 ? Tag{} : parsed[i - 1], parsed[i]));
  tags = std::move(converted);
  return first;
}

void TagSchemeDetector::add(const std::vector<std::string>& tags) {
  Tag before;
  for (const std::string& text : tags) {
    const std::optional<Tag> tag = parse_tag(text, "BIMESLUW");
    if (!tag) ++strangers_;
    if (tag) ++prefixes_[static_cast<unsigned char>(text[0])];
    const Tag now = tag.value_or(Tag{});
    if (!fault(TagScheme::kIob1, before, now).empty()) ++iob1_faults_;
    if (!fault(TagScheme::kIob2, before, now).empty()) ++iob2_faults_;
    before = now;
  }
}

TagScheme TagSchemeDetector::scheme() const {
  const auto count = [this](std::string_view letters) {
    int64_t sum = 0;
    for (const char letter : letters) sum += prefixes_[static_cast<unsigned char>(letter)];
    return sum;
  };
  if (strangers_ > count("BIMESLUW")) return TagScheme::kNone;
  if (count("W") > count("S")) return TagScheme::kBmewo;
  if (count("M") > count("I")) return TagScheme::kBmes;
  if (count("LU") > count("ES")) return TagScheme::kBilou;
  if (count("E") > count("BSW")) return TagScheme::kIoe1;  // IOE2 is read in the same way
  if (count("ES") > 0) return TagScheme::kBioes;
  return iob1_faults_ < iob2_faults_ ? TagScheme::kIob1 : TagScheme::kIob2;
}

}  // namespace hone
