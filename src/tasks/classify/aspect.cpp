#include "tasks/classify/aspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/text_places.h"
#include "tasks/truncate.h"
#include "tasks/windows.h"

namespace hone::classify {
namespace {

constexpr const char* kMark = "@";   // that every vocabulary has
constexpr size_t kShownAspect = 60;  // code points

int64_t offset_in(const Json& value, const Record& record, const Options& options) {
  if (!value.is_number_integer())
    throw field_error(record, options.aspect,
                      fmt::format("needs whole numbers as start and end, but has {}", dump(value)));
  return value.get<int64_t>();
}

const Json& member(const Json& object, const char* key, const Record& record,
                   const Options& options) {
  const auto found = object.find(key);
  if (found == object.end())
    throw field_error(record, options.aspect,
                      fmt::format("needs a \"{}\", but is {}", key, dump(object)));
  return *found;
}

struct Claim {
  int64_t start = 0, end = 0;       // characters
  std::optional<std::string> text;  // that should stand there
  bool has_place = true;            // false: it says its text alone
};

Claim claim_of(const Record& record, const Options& options) {
  const Json& value = need_field(record, options.aspect);
  if (value.is_string()) return {0, 0, value.get<std::string>(), false};
  if (value.is_array() && value.size() == 2)
    return {offset_in(value[0], record, options), offset_in(value[1], record, options), {}};
  if (!value.is_object())
    throw field_error(
        record, options.aspect,
        fmt::format("must be a text, {{\"start\": …, \"end\": …}} or [start, end], but is {}",
                    dump(value)));
  Claim claim{offset_in(member(value, "start", record, options), record, options),
              offset_in(member(value, "end", record, options), record, options),
              {}};
  const auto text = value.find("text");
  if (text != value.end() && text->is_string()) claim.text = text->get<std::string>();
  return claim;
}

std::optional<Span> place_of(const Claim& claim, const std::string& text) {
  const Characters characters(text);
  if (claim.start < 0 || claim.start >= claim.end || claim.end > characters.count())
    return std::nullopt;
  const Span bytes = characters.bytes(claim.start, claim.end);
  const std::string there = text.substr(bytes.start, bytes.end - bytes.start);
  return claim.text && there != *claim.text ? std::nullopt : std::optional(bytes);
}

std::string shown_claim(const Claim& claim) {
  if (!claim.has_place) return fmt::format("says \"{}\"", shortened(*claim.text, kShownAspect));
  return claim.text ? fmt::format("says that \"{}\" stands from {} to {}",
                                  shortened(*claim.text, kShownAspect), claim.start, claim.end)
                    : fmt::format("says from {} to {}", claim.start, claim.end);
}

// The only place of the aspect's text.
Aspect moved(const Claim& claim, const std::string& text, const Record& record,
             const Options& options) {
  const size_t first = text.find(*claim.text);
  if (claim.text->empty() || first == text.npos)
    throw field_error(
        record, options.aspect,
        shown_claim(claim) + fmt::format(", but \"{}\" has it nowhere", options.text));
  if (text.find(*claim.text, first + 1) != text.npos)
    throw field_error(
        record, options.aspect,
        shown_claim(claim) + fmt::format("{}, and \"{}\" has it at several places",
                                         claim.has_place ? ", which is not so" : "", options.text));
  const auto start = static_cast<int32_t>(first);
  const Span bytes{start, start + static_cast<int32_t>(claim.text->size())};
  if (!claim.has_place) return {bytes, ""};
  return {bytes,
          fmt::format("\"{}\" {}; it stands at {}, its only place in the text, and is taken there",
                      options.aspect, shown_claim(claim), Characters(text).at_byte(start))};
}

struct Marked {
  Encoding pieces;
  Window aspect;  // with its marks
};

void add_part(const Encoding& from, const Window& window, Encoding& to) {
  const Encoding part = part_of(from, window);
  to.ids.insert(to.ids.end(), part.ids.begin(), part.ids.end());
  to.offsets.insert(to.offsets.end(), part.offsets.begin(), part.offsets.end());
  to.words.insert(to.words.end(), part.words.begin(), part.words.end());
}

int64_t count_of(const Encoding& pieces) { return static_cast<int64_t>(pieces.ids.size()); }

Marked marked(const Encoding& text, const Window& aspect, const Encoding& mark) {
  Marked result;
  add_part(text, {0, aspect.begin}, result.pieces);
  add_part(mark, {0, count_of(mark)}, result.pieces);
  add_part(text, aspect, result.pieces);
  add_part(mark, {0, count_of(mark)}, result.pieces);
  result.aspect = {aspect.begin, count_of(result.pieces)};
  add_part(text, {aspect.end, count_of(text)}, result.pieces);
  return result;
}

// `room` pieces around the aspect, or its beginning where it is longer.
Encoding around(const Encoding& pieces, Window aspect, int64_t room, bool& was_cut) {
  room = std::max<int64_t>(room, 0);
  aspect.end = std::min(aspect.end, aspect.begin + room);
  was_cut = was_cut || count_of(pieces) > room;
  return part_of(pieces, window_around(count_of(pieces), aspect, room));
}

}  // namespace

Aspect aspect_of(const Record& record, const Options& options) {
  const Claim claim = claim_of(record, options);
  const std::string& text = need_text_as_read(record, options.text);
  const std::optional<Span> place = place_of(claim, text);
  if (!place && !claim.text)
    throw field_error(record, options.aspect,
                      shown_claim(claim) + fmt::format(", but \"{}\" has {} characters",
                                                       options.text, Characters(text).count()));
  const Aspect found = place ? Aspect{*place, ""} : moved(claim, text, record, options);
  const Span seen = visible_part(text, found.bytes);
  if (seen.start == seen.end)
    throw field_error(
        record, options.aspect,
        shown_claim(claim) + fmt::format(", where \"{}\" holds nothing but blanks", options.text));
  return found;
}

Sequence aspect_sequence(const Record& record, const Options& options, const Tokenizer& tokenizer,
                         int64_t longest, bool* truncated) {
  const Span bytes = aspect_of(record, options).bytes;
  const Encoding text = encode_field(record, options.text, tokenizer);
  const TokenRange range = tokens_touching(text.offsets, bytes);
  const bool is_pair = options.aspect_as == AspectAs::kPair;
  const int64_t room = longest - tokenizer.special_tokens_added(is_pair);
  bool was_cut = false;
  Sequence sequence;
  if (is_pair) {
    Encoding aspect = tokenizer.encode(std::string_view(need_text_as_read(record, options.text))
                                           .substr(bytes.start, bytes.end - bytes.start));
    was_cut = truncate_longest_first(aspect, nullptr, room / 2);
    const Encoding part = around(text, {range.begin, range.end}, room - count_of(aspect), was_cut);
    sequence = tokenizer.post_process(part, &aspect);
  } else {
    const Marked all = marked(text, {range.begin, range.end}, tokenizer.encode(kMark));
    sequence = tokenizer.post_process(around(all.pieces, all.aspect, room, was_cut));
  }
  if (truncated != nullptr) *truncated = was_cut;
  return sequence;
}

}  // namespace hone::classify
