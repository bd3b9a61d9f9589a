#include "tasks/ner/bio.h"

namespace hone::ner {
namespace {

// The letter of a tag in BIOES; other schemes' letters are read as those of the same meaning.
char letter_of(std::string_view tag) {
  switch (tag.empty() ? 'O' : tag.front()) {
    case 'M':
      return 'I';
    case 'L':
      return 'E';
    case 'U':
    case 'W':
      return 'S';
    default:
      return tag.empty() ? 'O' : tag.front();
  }
}

struct Tag {
  char letter = 'O';
  std::string_view type;
};

// seqeval's reading: what follows the first hyphen after the letter, "_" where nothing does.
Tag parse(std::string_view tag) {
  std::string_view rest = tag.empty() ? tag : tag.substr(1);
  const size_t hyphen = rest.find('-');
  if (hyphen != std::string_view::npos) rest.remove_prefix(hyphen + 1);
  return {letter_of(tag), rest.empty() ? std::string_view("_") : rest};
}

bool ends_between(const Tag& before, const Tag& now) {
  const bool is_open = before.letter == 'B' || before.letter == 'I';
  if (before.letter == 'E' || before.letter == 'S') return true;
  if (is_open && (now.letter == 'B' || now.letter == 'S' || now.letter == 'O')) return true;
  return before.letter != 'O' && before.type != now.type;
}

bool starts_at(const Tag& before, const Tag& now) {
  if (now.letter == 'B' || now.letter == 'S') return true;
  const bool is_inside = now.letter == 'I' || now.letter == 'E';
  if (is_inside && (before.letter == 'E' || before.letter == 'S' || before.letter == 'O'))
    return true;
  return now.letter != 'O' && before.type != now.type;
}

}  // namespace

bool is_tag(std::string_view tag) {
  if (tag == "O") return true;
  return tag.size() > 2 && tag[1] == '-' &&
         std::string_view("BIESMLUW").find(tag[0]) != std::string_view::npos;
}

std::vector<TagSpan> spans_of(const std::vector<std::string>& tags) {
  std::vector<TagSpan> spans;
  Tag before{'O', ""};
  int64_t begin = 0;
  for (size_t i = 0; i <= tags.size(); ++i) {
    const Tag now = i < tags.size() ? parse(tags[i]) : Tag{'O', "_"};
    if (ends_between(before, now))
      spans.push_back({std::string(before.type), begin, static_cast<int64_t>(i)});
    if (starts_at(before, now)) begin = static_cast<int64_t>(i);
    before = now;
  }
  return spans;
}

std::vector<TagSpan> strict_spans_of(const std::vector<std::string>& tags) {
  std::vector<TagSpan> spans;
  for (size_t i = 0; i < tags.size();) {
    const Tag first = parse(tags[i]);
    size_t end = i + 1;
    if (first.letter == 'B') {
      while (end < tags.size() && parse(tags[end]).letter == 'I' &&
             parse(tags[end]).type == first.type)
        ++end;
      spans.push_back(
          {std::string(first.type), static_cast<int64_t>(i), static_cast<int64_t>(end)});
    }
    i = end;
  }
  return spans;
}

std::vector<std::string> tags_of(const std::vector<TagSpan>& spans, int64_t tokens) {
  std::vector<std::string> tags(tokens, "O");
  for (const TagSpan& span : spans) {
    for (int64_t i = span.start; i < span.end; ++i)
      tags[i] = (i == span.start ? "B-" : "I-") + span.label;
  }
  return tags;
}

Iob2 to_iob2(const std::vector<std::string>& tags) {
  Iob2 result{tags_of(spans_of(tags), static_cast<int64_t>(tags.size())), 0};
  for (size_t i = 0; i < tags.size(); ++i)
    result.repaired += tags[i].starts_with('I') && result.tags[i].starts_with('B');
  return result;
}

std::string_view type_of(std::string_view tag) {
  return tag.size() > 2 ? tag.substr(2) : std::string_view();
}

}  // namespace hone::ner
