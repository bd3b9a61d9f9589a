// JSON Lines; and JSON documents that hold an array of objects or objects on end, over any number
// of lines.
#include <fmt/format.h>

#include "data/json_stream.h"
#include "data/row_reader.h"

namespace hone {
namespace {

bool is_blank_line(std::string_view text) { return skip_json_space(text, 0) == text.size(); }

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
  JsonReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), json_(this->text()) {}

 protected:
  bool read_row(Record& record) override {
    if (!find_element()) return false;
    const size_t size = json_.value_size();
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
  // Goes to the next element of the array, or of objects on end; false behind the last one.
  bool find_element() {
    if (is_done_) return false;
    const char c = json_.next();
    if (!is_begun_ && c == '[') array_ = json_.enter();
    is_begun_ = true;
    if (array_ ? json_.next_in(*array_) : !text().window().empty()) return true;
    is_done_ = true;
    json_.next();
    if (!text().window().empty()) json_.fail("text after the end of the array");
    return false;
  }

  JsonStream json_;
  std::optional<JsonStream::Level> array_;
  bool is_begun_ = false, is_done_ = false;
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
