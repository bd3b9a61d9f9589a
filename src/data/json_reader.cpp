// JSON Lines; and JSON documents that hold an array of objects or objects on end, over any number
// of lines.
#include <fmt/format.h>

#include "data/row_reader.h"

namespace hone {
namespace {

constexpr std::string_view kJsonSpace = " \t\r\n";

bool is_json_space(char c) { return kJsonSpace.find(c) != kJsonSpace.npos; }

bool is_blank_line(std::string_view text) {
  return text.find_first_not_of(kJsonSpace) == std::string_view::npos;
}

Json parse_row(std::string_view text, const Where& where) {
  Json value = parse_json(text, where, ErrorKind::kData, kMostValues);
  if (!value.is_object())
    throw Error(ErrorKind::kData, where,
                fmt::format("a row must be a JSON object; found {} {}",
                            value.is_array() ? "an" : "a", value.type_name()));
  return value;
}

class JsonLinesReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  bool read_row(Record& record) override {
    std::string_view line;
    do {
      if (!text().next_line(line)) return false;
    } while (is_blank_line(line));
    record.line = text().line_number();
    const Where start = place(record.line, 1);
    text().check_text(line, start);
    record.fields = parse_row(line, start);
    return true;
  }
};

class JsonReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  bool read_row(Record& record) override {
    if (!is_begun_) begin();
    if (!find_element()) return false;
    const size_t size = element_size();
    const Where start = text().here();
    record.line = start.line;
    record.column = start.column;
    const std::string_view element = text().window().substr(0, size);
    const Consume after{text(), size};  // also where the element turns out to be bad
    text().check_text(element, start);
    record.fields = parse_row(element, start);
    return true;
  }

 private:
  struct Consume {
    TextStream& text;
    size_t size;
    ~Consume() { text.consume(size); }
  };

  [[noreturn]] void fail(const std::string& message) {
    throw StreamError(ErrorKind::kData, text().here(), "not valid JSON: " + message);
  }

  // Passes over white space; the next character, or NUL at the end.
  char skip_space() {
    size_t at = 0;
    while (text().window().find_first_not_of(kJsonSpace, at) == std::string_view::npos) {
      at = text().window().size();
      if (!text().more()) break;
    }
    at = std::min(text().window().find_first_not_of(kJsonSpace, at), text().window().size());
    text().consume(at);  // at once: a line end may not be cut in two
    return text().window().empty() ? '\0' : text().window()[0];
  }

  void begin() {
    is_begun_ = true;
    is_array_ = skip_space() == '[';
    if (is_array_) text().consume(1);
  }

  // Goes to the next element; false at the end.
  bool find_element() {
    if (is_done_) return false;
    char c = skip_space();
    if (!is_array_) return !(is_done_ = text().window().empty());
    if (c != ']' && !text().window().empty() && needs_comma_) {
      if (c != ',') fail(fmt::format("found '{}' where ',' or ']' was expected", c));
      text().consume(1);
      c = skip_space();
      if (c == ']') fail("a ',' before the ']'");
    }
    needs_comma_ = true;
    if (text().window().empty()) fail("the array is not closed; the file seems to be cut off");
    if (c != ']') return true;
    text().consume(1);
    is_done_ = true;
    skip_space();
    if (!text().window().empty()) fail("text after the end of the array");
    return false;
  }

  // The length of the value that begins at the window's start: brackets and strings are matched,
  // nothing else is checked.
  size_t element_size() {
    bool is_in_string = false;
    int64_t depth = 0;
    std::string_view window = text().window();
    for (size_t at = 0;; ++at) {
      while (at >= window.size()) {
        const bool has_more = text().more();
        window = text().window();
        if (!has_more) return window.size();
      }
      const char c = window[at];
      if (is_in_string) {
        if (c == '\\') ++at;
        if (c == '"') is_in_string = false;
      } else if (c == '"') {
        is_in_string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return std::max<size_t>(at, 1);
        if (--depth == 0) return at + 1;
      } else if (depth == 0 && (c == ',' || is_json_space(c))) {
        return std::max<size_t>(at, 1);
      }
    }
  }

  bool is_begun_ = false, is_array_ = false, is_done_ = false, needs_comma_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> read_jsonl(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text) {
  return std::make_unique<JsonLinesReader>(options, std::move(text));
}

std::unique_ptr<RecordReader> read_json(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text) {
  return std::make_unique<JsonReader>(options, std::move(text));
}

}  // namespace hone
