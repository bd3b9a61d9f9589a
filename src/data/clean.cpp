#include "data/clean.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "data/fingerprint.h"
#include "data/places.h"

namespace hone {
namespace {

constexpr size_t kExamples = 100;

bool is_trimmed(UChar32 c) { return c == 0xFEFF || u_isUWhiteSpace(c) != 0; }

// C0 but for tab and line feed, DEL, C1.
bool is_control(UChar32 c) {
  return (c >= 0 && c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7F && c < 0xA0);
}

// The bytes that are not trimmed. Control characters are passed over where they go anyway.
Span inner(const std::string& text, const CleanOptions& options) {
  const auto size = static_cast<int32_t>(text.size());
  Span span{0, size};
  if (!options.trim) return span;
  const auto goes = [&](UChar32 c) {
    return is_trimmed(c) || (options.remove_control && is_control(c));
  };
  UChar32 c;
  for (int32_t at = 0; at < size; span.start = at) {
    U8_NEXT(text.data(), at, size, c);
    if (!goes(c)) break;
  }
  for (int32_t at = size; at > span.start; span.end = at) {
    U8_PREV(text.data(), span.start, at, c);
    if (!goes(c)) break;
  }
  return span;
}

bool has_control(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0)
      return true;
    if (byte < 0x80 && is_control(byte)) return true;
  }
  return false;
}

// Removes the control characters of `span`. Those that are white space part words: they become a
// space, but for the CR of a CR LF.
std::string without_control(const std::string& text, Span span, TextEdits& edits) {
  std::string kept;
  for (int32_t at = span.start, begin = at; at < span.end; begin = at) {
    UChar32 c;
    U8_NEXT(text.data(), at, span.end, c);
    const auto from = static_cast<size_t>(begin), to = static_cast<size_t>(at);
    const bool is_crlf = c == '\r' && at < span.end && text[to] == '\n';
    if (!is_control(c)) {
      kept.append(text, from, to - from);
    } else if (u_isUWhiteSpace(c) != 0 && !is_crlf) {
      edits.cut(from, to - 1);
      kept.push_back(' ');
    } else {
      edits.cut(from, to);
    }
  }
  return kept;
}

bool is_empty(std::string text, const CleanOptions& options) {
  clean_text(text, options);
  return text.empty();
}

// A text without a character, or tokens that are all empty once they are cleaned.
bool is_empty(const Json& value, const CleanOptions& options) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_array() && std::all_of(value.begin(), value.end(), [&](const Json& token) {
           return token.is_string() && is_empty(token.get<std::string>(), options);
         });
}

Json rows_json(const std::vector<BadRow>& rows) {
  Json places = Json::array();
  for (const BadRow& row : rows) {
    places.push_back({{"file", row.where.file},
                      {"line", row.where.line},
                      {"column", row.where.column},
                      {"reason", row.reason}});
  }
  return places;
}

}  // namespace

CleanOptions CleanOptions::read(Config& section, const CleanOptions& defaults) {
  CleanOptions options = defaults;
  options.trim = section.get("trim", options.trim);
  options.remove_control = section.get("remove_control", options.remove_control);
  options.empty_texts =
      section.choice("empty_texts", options.empty_texts, {"drop", "keep", "error"});
  options.duplicates = section.choice("duplicates", options.duplicates, {"keep", "drop"});
  options.near_duplicates =
      section.choice("near_duplicates", options.near_duplicates, {"keep", "drop"});
  options.near_threshold = section.get("near_threshold", options.near_threshold);
  if (options.near_threshold < 0.5 || options.near_threshold > 1) {
    throw section.error("near_threshold",
                        fmt::format("\"near_threshold\" is {}; it must lie between 0.5 and 1",
                                    options.near_threshold));
  }
  return options;
}

std::optional<TextEdits> clean_text(std::string& text, const CleanOptions& options) {
  const Span span = inner(text, options);
  const auto start = static_cast<size_t>(span.start), end = static_cast<size_t>(span.end);
  const bool removes = options.remove_control && has_control(text);
  if (start == 0 && end == text.size() && !removes) return std::nullopt;
  TextEdits edits(text);
  edits.cut(0, start);
  std::string cleaned =
      removes ? without_control(text, span, edits) : text.substr(start, end - start);
  edits.cut(end, text.size());
  text = std::move(cleaned);
  return edits;
}

Json CleanOptions::json() const {
  return {{"trim", trim},
          {"remove_control", remove_control},
          {"empty_texts", empty_texts},
          {"duplicates", duplicates},
          {"near_duplicates", near_duplicates},
          {"near_threshold", near_threshold}};
}

CleanOptions CleanOptions::keeping_all() const {
  CleanOptions options = *this;
  if (empty_texts == "drop") options.empty_texts = "keep";
  options.duplicates = options.near_duplicates = "keep";
  return options;
}

double SplitAudit::unknown_share() const {
  return text_tokens == 0 ? 0
                          : static_cast<double>(unknown_tokens) / static_cast<double>(text_tokens);
}

Json SplitAudit::json() const {
  return {{"rows", rows},
          {"used", used},
          {"dropped", dropped},
          {"repaired", repaired},
          {"truncated", truncated},
          {"reasons", reasons},
          {"examples", rows_json(examples)},
          {"repairs", rows_json(repairs)},
          {"labels", labels},
          {"lengths", lengths},
          {"text_tokens", text_tokens},
          {"unknown_tokens", unknown_tokens},
          {"conflicts", conflicts.json()}};
}

Json Leak::json() const {
  Json places = Json::array(), texts = Json::array();
  for (const LeakExample& e : examples) {
    places.push_back({e.here.str(), e.there.str()});
    texts.push_back({{"text", e.text}, {"other_text", e.other_text}, {"similarity", e.similarity}});
  }
  return {{"split", split},           {"other", other},     {"exact", exact}, {"near", near},
          {"relabelled", relabelled}, {"examples", places}, {"texts", texts}};
}

// The texts seen so far, with the place where each stood first.
struct Cleaner::State {
  CleanOptions options;
  std::vector<std::string> text_fields;
  SplitAudit& audit;
  std::unordered_map<uint64_t, size_t> seen;  // index into places
  NearIndex near;                             // its tags are the same
  Places places;

  State(CleanOptions given, std::vector<std::string> fields, SplitAudit& counts)
      : options(std::move(given)),
        text_fields(std::move(fields)),
        audit(counts),
        near(options.near_threshold) {}

  // The reason and details for dropping the record.
  using Verdict = std::optional<std::pair<std::string, std::string>>;

  void clean(Record& record) const {
    for (const std::string& name : text_fields) {
      const auto it = record.fields.find(name);
      if (it == record.fields.end() || !it->is_string()) continue;
      if (std::optional<TextEdits> edits = clean_text(it->get_ref<std::string&>(), options))
        record.edits.insert_or_assign(name, std::move(*edits));
    }
  }

  Verdict find_empty(const Record& record) const {
    for (const std::string& name : text_fields) {
      const auto it = record.fields.find(name);
      if (it == record.fields.end() || !is_empty(*it, options)) continue;
      const std::string detail = fmt::format("\"{}\" is empty", name);
      if (options.empty_texts == "error")
        throw Error(ErrorKind::kData, record.where(),
                    detail + " (data.clean.empty_texts: drop leaves such rows out)");
      if (options.empty_texts == "drop") return std::pair{"empty text", detail};
    }
    return std::nullopt;
  }

  Verdict find_duplicate(const Record& record) {
    if (options.duplicates == "keep" && options.near_duplicates == "keep") return std::nullopt;
    const std::string text = normalised_text(text_of_fields(record, text_fields));
    const auto [first, is_new] = seen.emplace(hash_bytes(text), places.size());
    if (!is_new && options.duplicates == "drop")
      return std::pair{"duplicate", "the same text as " + place(first->second, record)};
    if (!is_new) return std::nullopt;
    places.add(record);
    if (options.near_duplicates == "keep") return std::nullopt;
    const Sketch sketch = sketch_of(text);
    std::optional<size_t> like;
    near.each(sketch, [&](int64_t index) {
      like = static_cast<size_t>(index);
      return false;
    });
    if (like) return std::pair{"near duplicate", "nearly the same text as " + place(*like, record)};
    near.add(sketch, static_cast<int64_t>(first->second));
    return std::nullopt;
  }

  // "in line 3", or the whole place where that says too little: another file, one of several rows
  // of a line.
  std::string place(size_t index, const Record& record) const {
    const Where where = places.at(index);
    return where.file == record.where().file && where.column == 0
               ? fmt::format("in line {}", where.line)
               : fmt::format("at {}", where.str());
  }
};

Cleaner::Cleaner(CleanOptions options, std::vector<std::string> text_fields, SplitAudit& audit)
    : state_(std::make_shared<State>(std::move(options), std::move(text_fields), audit)) {}

bool Cleaner::accept(Record& record) {
  SplitAudit& audit = state_->audit;
  ++audit.rows;
  state_->clean(record);
  State::Verdict verdict = state_->find_empty(record);
  if (!verdict) verdict = state_->find_duplicate(record);
  if (!verdict) {
    ++audit.used;
    return true;
  }
  ++audit.dropped;
  ++audit.reasons[verdict->first];
  if (audit.examples.size() < kExamples)
    audit.examples.push_back({record.where(), verdict->second});
  return false;
}

uint64_t text_fingerprint(std::string_view text) { return hash_bytes(normalised_text(text)); }

}  // namespace hone
