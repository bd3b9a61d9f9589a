// JSON Lines; and JSON documents that hold an array of rows or objects on end, over any number of
// lines. Rows that are lists get their names from `columns`.
#include <fmt/format.h>

#include "data/json_rows.h"
#include "data/row_reader.h"

namespace hone {
namespace {

bool is_blank_line(std::string_view text) { return skip_json_space(text, 0) == text.size(); }

// ["a text", "x"] as {"text": …, "label": …}.
void name_columns(const std::vector<std::string>& columns, Record& record) {
  if (columns.empty() || !record.fields.is_array()) return;
  if (record.fields.size() != columns.size())
    throw Error(
        ErrorKind::kData, record.where(),
        fmt::format("{} values, but \"columns\" names {}", record.fields.size(), columns.size()));
  Json object = Json::object();
  for (size_t i = 0; i < columns.size(); ++i) object[columns[i]] = std::move(record.fields[i]);
  record.fields = std::move(object);
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
    record.fields = parse_json(line, start, ErrorKind::kData, kMostValues);
    name_columns(options().columns, record);
    need_object(record.fields, start);
    return true;
  }
};

class JsonReader : public RowReader {
 public:
  JsonReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), rows_(this->text(), options.rows) {}

 protected:
  bool read_row(Record& record) override {
    if (!rows_.next(record)) return false;
    name_columns(options().columns, record);
    need_object(record.fields, record.where());
    return true;
  }

 private:
  JsonRows rows_;
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
