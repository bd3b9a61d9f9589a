#include "run/input_rows.h"

#include "data/files.h"
#include "data/format.h"
#include "data/row_reader.h"

namespace hone {
namespace {

constexpr size_t kRowsAtOnce = 1024;

// Unlike labelled data, what is to be predicted is lines of text unless its name or first character
// says otherwise: a text with commas in it is no CSV.
std::unique_ptr<RecordReader> open_inputs(const SourceOptions& source) {
  const std::vector<SourceFile> files = files_of(source);
  const bool is_told = files.front().options->format != "auto";
  if (is_told || files.size() > 1 || !format_of_name(files.front().path).empty())
    return open_reader(source);
  SourceOptions file = source;
  file.path = files.front().path;  // a pattern may fit one file
  auto text = std::make_unique<TextStream>(file);
  size_t first;
  while ((first = text->window().find_first_not_of(" \t\r\n")) == std::string_view::npos &&
         text->more()) {
  }
  const char c = first == std::string_view::npos ? '\0' : text->window()[first];
  if (c == '{') return read_jsonl(file, std::move(text));
  return read_text(file, std::move(text));
}

// A plain line stands for the task's first text.
void name_plain_text(Record& record, const std::vector<std::string>& text_fields) {
  if (record.fields.size() != 1 || !record.fields.contains("text")) return;
  for (const std::string& name : text_fields) {
    if (record.fields.contains(name)) return;
  }
  record.fields = {{text_fields.front(), record.fields["text"]}};
}

// A reader that passes over bad rows would lose their places.
SourceOptions each_row(SourceOptions source) {
  source.on_bad_row = "error";
  return source;
}

}  // namespace

InputRows::InputRows(const Reading& reading, std::vector<std::string> text_fields)
    : text_fields_(std::move(text_fields)),
      reader_(open_inputs(each_row(reading.source))),
      cleaner_(reading.clean.keeping_all(), text_fields_, audit_) {}

std::vector<InputRow> InputRows::next() {
  std::vector<InputRow> rows;
  while (rows.size() < kRowsAtOnce && !broken_) {
    InputRow row;
    try {
      std::optional<Record> record = reader_->next();
      if (!record) break;
      row.record = std::move(*record);
      name_plain_text(row.record, text_fields_);
      cleaner_.accept(row.record);
    } catch (const StreamError& error) {  // no row can be found behind this place
      broken_ = error;
      break;
    } catch (const Error& error) {
      row.error = error;
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty() && broken_) throw *broken_;
  return rows;
}

}  // namespace hone
