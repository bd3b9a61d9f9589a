// brat's stand-off (Stenetorp et al. 2012): a.ann beside a.txt.
//
//   T1<tab>Person 0 5<tab>Laura          an entity: type, first character, past the last, text
//   R1<tab>Works_for Arg1:T1 Arg2:T2     a relation of two
//
// A record is a document: {"id": "a", "text": …, "entities": [{"id", "start", "end", "label"}],
// "relations": [{"head", "tail", "label"}]}. Events, attributes and notes are passed over.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "data/row_reader.h"
#include "data/text_units.h"

namespace hone {
namespace {

constexpr size_t kMostAnnotations = kMostValues / 8;
constexpr size_t kMostPieces = 1000;  // of an entity
constexpr size_t kMostRelated = 20;   // of a relation, which has three

// What offsets may count: characters as they should, or what other programs make of them.
constexpr std::array<std::pair<TextUnit, const char*>, 4> kUnits = {
    {{TextUnit::kCharacters, "characters"},
     {TextUnit::kOneForCrLf, "characters with CR LF as one"},
     {TextUnit::kUtf16, "UTF-16 units"},
     {TextUnit::kBytes, "bytes"}}};

struct Piece {
  int64_t start, end;  // units of the text
};

struct Annotation {
  std::string id, type, said;  // said: its text, as the file has it
  std::vector<Piece> pieces;
  Where where;
};

// The text of an annotation; nothing where it is not within the text.
std::optional<std::string> text_of(const Annotation& a, std::string_view text,
                                   const TextUnits& units) {
  std::string found;
  int64_t length = 0;
  for (const Piece& piece : a.pieces) {
    if (piece.start < 0 || piece.end < piece.start || piece.end > units.count())
      return std::nullopt;
    length += piece.end - piece.start;
    if (length > units.count()) return std::nullopt;  // pieces that overlap
    if (!found.empty()) found += ' ';
    const size_t start = units.byte(piece.start);
    found += text.substr(start, units.byte(piece.end) - start);
  }
  std::replace_if(found.begin(), found.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return found;
}

int64_t matches(const std::vector<Annotation>& all, std::string_view text, const TextUnits& units) {
  return std::count_if(all.begin(), all.end(),
                       [&](const Annotation& a) { return text_of(a, text, units) == a.said; });
}

// Which units make most annotations say what stands in the text; characters where as many.
size_t likely_unit(const std::vector<Annotation>& all, std::string_view text) {
  size_t best = 0;
  int64_t most = -1;
  for (size_t i = 0; i < kUnits.size(); ++i) {
    const int64_t count = matches(all, text, TextUnits(text, kUnits[i].first));
    if (count <= most) continue;
    most = count;
    best = i;
    if (count == static_cast<int64_t>(all.size())) break;
  }
  return best;
}

std::vector<std::string_view> split(std::string_view text, char separator, size_t most) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < most) {
    const size_t end = text.find(separator);
    if (end == text.npos) break;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

std::optional<int64_t> number_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class BratReader : public RowReader {
 public:
  BratReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)) {}

  std::vector<std::string> reader_advice() const override {
    if (passed_over_ == 0) return {};
    return {fmt::format("{}: {} lines that are neither entities nor relations are passed over",
                        *file(), passed_over_)};
  }

 protected:
  bool read_row(Record& record) override {
    if (is_done_) return false;
    is_done_ = true;
    record.line = 1;
    read_lines();
    if (fault_) throw *fault_;
    std::string text = read_document();
    const size_t unit = likely_unit(entities_, text);
    if (unit != 0)
      add_repair(fmt::format("the offsets count {}; they are turned into characters",
                             kUnits[unit].second));
    Json entities = entities_json(text, TextUnits(text, kUnits[unit].first));
    record.fields["id"] = path().stem().string();
    record.fields["text"] = std::move(text);
    record.fields["entities"] = std::move(entities);
    record.fields["relations"] = std::move(relations_);
    if (repairs_ > 1) repair_ += fmt::format(" (and {} more)", repairs_ - 1);
    if (repairs_ > 0) note_repair(place(1, 0), repair_);
    return true;
  }

 private:
  std::filesystem::path path() const { return *file(); }

  // All of the file, also behind a fault.
  void read_lines() {
    for (std::string_view line; text().next_line(line);) {
      const Where where = place(text().line_number(), 1);
      try {
        text().check_text(line, where);
        read_line(line, where);
      } catch (const Error& error) {
        if (!fault_) fault_ = error;
      }
    }
    for (const auto& [id, where] : related_) {
      if (!fault_ && !ids_.contains(id))
        fault_ =
            Error(ErrorKind::kData, where,
                  events_.contains(id)
                      ? fmt::format("the relation is of {}, an event, and hone reads relations "
                                    "of two entities; leave it out",
                                    id)
                      : fmt::format("the relation is of {}, which the file does not have", id));
    }
  }

  void read_line(std::string_view line, const Where& where) {
    if (line.find_first_not_of(" \t") == line.npos) return;
    bytes_ += line.size();
    if (bytes_ > kLongestRow)
      throw Error(
          ErrorKind::kData, where,
          fmt::format("the annotations of a document have at most {} MiB", kLongestRow >> 20));
    if (entities_.size() + relations_.size() == kMostAnnotations)
      throw Error(
          ErrorKind::kData, where,
          fmt::format("a document has at most {} entities and relations", kMostAnnotations));
    if (line.starts_with('T')) return read_entity(line, where);
    if (line.starts_with('R')) return read_relation(line, where);
    if (line.starts_with('E') && events_.size() < kMostAnnotations)
      events_.emplace(split(line, '\t', 2)[0]);
    ++passed_over_;
  }

  void read_entity(std::string_view line, const Where& where) {
    const std::vector<std::string_view> columns = split(line, '\t', 3);
    Annotation a{std::string(columns[0]), "", "", {}, where};
    const std::vector<std::string_view> type = split(columns.size() == 3 ? columns[1] : "", ' ', 2);
    bool is_sound = columns.size() == 3 && type.size() == 2;
    for (const std::string_view piece :
         is_sound ? split(type[1], ';', kMostPieces) : std::vector<std::string_view>()) {
      const std::vector<std::string_view> ends = split(piece, ' ', 2);
      const auto start = number_of(ends[0]), end = number_of(ends.back());
      is_sound = is_sound && ends.size() == 2 && start && end;
      if (is_sound) a.pieces.push_back({*start, *end});
    }
    if (!is_sound)
      throw Error(ErrorKind::kData, where,
                  "an entity is written \"T1<tab>Type first end<tab>its text\"");
    a.type = std::string(type[0]);
    a.said = std::string(columns[2]);
    if (!ids_.emplace(a.id, where).second)
      throw Error(ErrorKind::kData, where, fmt::format("there are two annotations {}", a.id));
    entities_.push_back(std::move(a));
  }

  void read_relation(std::string_view line, const Where& where) {
    const std::vector<std::string_view> columns = split(line, '\t', 3);
    const std::vector<std::string_view> parts =
        split(columns.size() > 1 ? columns[1] : "", ' ', kMostRelated);
    std::vector<std::string> ids;
    bool is_sound = true;
    for (size_t i = 1; i < parts.size(); ++i) {
      if (parts[i].empty()) continue;
      const size_t colon = parts[i].find(':');
      is_sound = is_sound && colon != parts[i].npos;
      if (is_sound) ids.emplace_back(parts[i].substr(colon + 1));
    }
    if (!is_sound || ids.size() != 2)
      throw Error(
          ErrorKind::kData, where,
          fmt::format("a relation is written \"R1<tab>Type Arg1:T1 Arg2:T2\", and is of two "
                      "entities; found \"{}\"",
                      shown_text(line)));
    for (const std::string& id : ids) related_.emplace_back(id, where);
    relations_.push_back({{"head", ids[0]}, {"tail", ids[1]}, {"label", std::string(parts[0])}});
  }

  // The text beside the annotations.
  std::string read_document() const {
    SourceOptions beside = options();
    beside.path = path().replace_extension(".txt").string();
    if (!std::filesystem::exists(beside.path))
      throw Error(ErrorKind::kData, place(0, 0),
                  fmt::format("needs its text beside it, but there is no {}", beside.path));
    TextStream stream(beside);
    while (stream.more()) {
    }
    stream.check_text(stream.window(), stream.here());
    return std::string(stream.window());
  }

  Json entities_json(const std::string& text, const TextUnits& units) {
    const TextUnits characters(text, TextUnit::kCharacters);
    const auto character_at = [&](int64_t unit) { return characters.unit_at(units.byte(unit)); };
    Json list = Json::array();
    for (const Annotation& a : entities_) {
      check(a, text, units);
      list.push_back({{"id", a.id},
                      {"start", character_at(a.pieces.front().start)},
                      {"end", character_at(a.pieces.back().end)},
                      {"label", a.type}});
    }
    return list;
  }

  // Throws where an entity is not within the text; tells where it is another text, or in pieces.
  void check(const Annotation& a, const std::string& text, const TextUnits& units) {
    const std::optional<std::string> found = text_of(a, text, units);
    if (!found || a.pieces.back().end < a.pieces.front().start)
      throw Error(ErrorKind::kData, a.where,
                  fmt::format("{} is at {} to {}, but the text has {} characters", a.id,
                              a.pieces.front().start, a.pieces.back().end, units.count()));
    if (*found != a.said)
      add_repair(
          fmt::format("line {}: {} says \"{}\", but \"{}\" stands there; its offsets "
                      "are believed",
                      a.where.line, a.id, shown_text(a.said), shown_text(*found)));
    if (a.pieces.size() > 1)
      add_repair(
          fmt::format("line {}: {} is in {} pieces; it is taken from the first to "
                      "the last",
                      a.where.line, a.id, a.pieces.size()));
  }

  void add_repair(std::string reason) {
    if (repairs_++ == 0) repair_ = std::move(reason);
  }

  bool is_done_ = false;
  std::vector<Annotation> entities_;
  std::map<std::string, Where> ids_;                    // of entities
  std::set<std::string> events_;                        // their ids
  std::vector<std::pair<std::string, Where>> related_;  // ids that relations name
  Json relations_ = Json::array();
  std::string repair_;  // the first one
  int64_t repairs_ = 0;
  std::optional<Error> fault_;
  int64_t passed_over_ = 0;
  size_t bytes_ = 0;  // of the annotations
};

}  // namespace

std::unique_ptr<RecordReader> read_brat(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text) {
  return std::make_unique<BratReader>(options, std::move(text));
}

}  // namespace hone
