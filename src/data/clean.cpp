#include "data/clean.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <optional>

#include "data/fingerprint.h"

namespace hone {
namespace {

constexpr size_t kExamples = 100;

bool is_trimmed(UChar32 c) { return c == 0xFEFF || u_isUWhiteSpace(c) != 0; }

void trim(std::string& text) {
  const char* bytes = text.data();
  const auto size = static_cast<int32_t>(text.size());
  int32_t start = 0, end = size;
  for (int32_t at = 0; at < size; start = at) {
    UChar32 c;
    U8_NEXT(bytes, at, size, c);
    if (!is_trimmed(c)) break;
  }
  for (int32_t at = size; at > start; end = at) {
    UChar32 c;
    U8_PREV(bytes, start, at, c);
    if (!is_trimmed(c)) break;
  }
  if (start > 0 || end < size)
    text = text.substr(static_cast<size_t>(start), static_cast<size_t>(end - start));
}

// Length of the control character at `at` (C0 but for tab and line feed, DEL, C1), or 0.
size_t control_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned char c = byte(at);
  if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F) return 1;
  return c == 0xC2 && byte(at + 1) >= 0x80 && byte(at + 1) < 0xA0 ? 2 : 0;
}

void remove_control(std::string& text) {
  size_t kept = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = control_length(text, at);
    if (length == 0) text[kept++] = text[at++];
    at += length;
  }
  text.resize(kept);
}

bool is_empty(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_array() && value.empty();
}

}  // namespace

CleanOptions CleanOptions::read(Config& section) {
  CleanOptions options;
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

Json SplitAudit::json() const {
  Json places = Json::array();
  for (const BadRow& row : examples) {
    places.push_back({{"file", row.where.file},
                      {"line", row.where.line},
                      {"column", row.where.column},
                      {"reason", row.reason}});
  }
  return {{"rows", rows},         {"used", used},           {"dropped", dropped},
          {"repaired", repaired}, {"truncated", truncated}, {"reasons", reasons},
          {"examples", places},   {"labels", labels},       {"lengths", lengths}};
}

Json Leak::json() const {
  Json places = Json::array(), texts = Json::array();
  for (const LeakExample& e : examples) {
    places.push_back({e.here.str(), e.there.str()});
    texts.push_back({{"text", e.text}, {"other_text", e.other_text}, {"similarity", e.similarity}});
  }
  return {{"split", split}, {"other", other},     {"exact", exact},
          {"near", near},   {"examples", places}, {"texts", texts}};
}

// The texts seen so far, with the line where each stood first.
struct Cleaner::State {
  CleanOptions options;
  std::vector<std::string> text_fields;
  SplitAudit& audit;
  std::unordered_map<uint64_t, int64_t> seen;
  NearIndex near;

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
      auto& text = it->get_ref<std::string&>();
      if (options.remove_control) remove_control(text);
      if (options.trim) trim(text);
    }
  }

  Verdict find_empty(const Record& record) const {
    for (const std::string& name : text_fields) {
      const auto it = record.fields.find(name);
      if (it == record.fields.end() || !is_empty(*it)) continue;
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
    const auto [first, is_new] = seen.emplace(hash_bytes(text), record.line);
    if (!is_new && options.duplicates == "drop")
      return std::pair{"duplicate", fmt::format("the same text as in line {}", first->second)};
    if (!is_new || options.near_duplicates == "keep") return std::nullopt;
    const Sketch sketch = sketch_of(text);
    int64_t like = 0;
    near.each(sketch, [&](int64_t line) {
      like = line;
      return false;
    });
    if (like > 0)
      return std::pair{"near duplicate", fmt::format("nearly the same text as in line {}", like)};
    near.add(sketch, record.line);
    return std::nullopt;
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
