// What all readers share: bad rows, several rows of one (`each`), the mapping of field names, other
// forms of values, the count of repairs. A format adds `read_row`.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "data/reader.h"
#include "data/row_values.h"
#include "data/text_stream.h"

namespace hone {

// Values of a row (cells, tokens and their tags, entries and keys of JSON). Each costs some 100
// bytes beside its text, so that a row stays below four times kLongestRow in memory, whatever it
// holds.
constexpr size_t kMostValues = size_t{1} << 19;

// Consumes what was read at the end of a scope, also where it turns out to be bad.
struct Consume {
  TextStream& text;
  size_t size;
  ~Consume() { text.consume(size); }
};

class RowReader : public RecordReader {
 public:
  RowReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : options_(options), text_(std::move(text)), values_(options) {}

  std::optional<Record> next() final;
  int64_t bad_count() const final { return bad_count_; }
  const std::vector<BadRow>& bad_rows() const final { return bad_rows_; }
  const std::vector<BadRow>& repaired_rows() const final { return repaired_rows_; }
  std::vector<std::string> advice() const final;
  std::pair<int64_t, int64_t> position() const final { return text_->position(); }

 protected:
  // Reads one row into `record` (fields, line, perhaps column); false at the end. Throws
  // Error(kData) for a bad row, which must be consumed by then, and StreamError where no further
  // row can be found.
  virtual bool read_row(Record& record) = 0;

  virtual std::vector<std::string> reader_advice() const { return {}; }  // what a format adds

  void note_repair(Where where, std::string reason);  // of the row that is read, once
  TextStream& text() { return *text_; }
  const SourceOptions& options() const { return options_; }
  const std::shared_ptr<const std::string>& file() const { return text_->file(); }
  Where place(int64_t line, int64_t column) const { return {*text_->file(), line, column}; }

 private:
  // The next row before its fields are mapped: as read, or one of those that `each` makes of it.
  bool next_row(Record& record);
  void take_elements(Record& record);  // of a row that was read: fills rest_ and elements_
  void map_fields(Record& record) const;
  bool read_whole(Record& record);  // read_row, and whether it was repaired
  void keep_repair();
  Json mapped_value(const Record& record, const std::string& from, const std::string& to) const;

  SourceOptions options_;
  std::unique_ptr<TextStream> text_;
  RowValues values_;
  Record rest_;                    // with `each`: the row without its elements
  Json elements_ = Json::array();  // of it
  size_t next_element_ = 0;
  int64_t without_elements_ = 0;  // rows
  int64_t bad_count_ = 0;
  std::vector<BadRow> bad_rows_, repaired_rows_;
  std::optional<BadRow> noted_;  // of the row that is read
};

// One function per format; reader.cpp lists them. The text stands at its beginning.
std::unique_ptr<RecordReader> read_jsonl(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text);
std::unique_ptr<RecordReader> read_json(
    const SourceOptions& options, std::unique_ptr<TextStream> text);  // an array, or objects on end
std::unique_ptr<RecordReader> read_squad(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text);  // one row: a question
std::unique_ptr<RecordReader> read_delimited(const SourceOptions& options,
                                             std::unique_ptr<TextStream> text);  // csv, tsv
std::unique_ptr<RecordReader> read_conll(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text);
std::unique_ptr<RecordReader> read_semeval(
    const SourceOptions& options, std::unique_ptr<TextStream> text);  // one row: a block of lines
std::unique_ptr<RecordReader> read_brat(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text);  // one row: a document
std::unique_ptr<RecordReader> read_aligned(
    const SourceOptions& options,
    std::unique_ptr<TextStream> text);  // one row: a line of each file
std::unique_ptr<RecordReader> read_xml(const SourceOptions& options,
                                       std::unique_ptr<TextStream> text);  // one row: an element
std::unique_ptr<RecordReader> read_doccano(const SourceOptions& options,
                                           std::unique_ptr<TextStream> text);
std::unique_ptr<RecordReader> read_label_studio(const SourceOptions& options,
                                                std::unique_ptr<TextStream> text);
std::unique_ptr<RecordReader> read_conversations(
    const SourceOptions& options, std::unique_ptr<TextStream> text);  // alpaca, sharegpt
std::unique_ptr<RecordReader> read_text(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text);  // {"text": line}
std::unique_ptr<RecordReader> read_whole(
    const SourceOptions& options,
    std::unique_ptr<TextStream> text);  // one row: {"text": the file, "label": its folder's name}

}  // namespace hone
