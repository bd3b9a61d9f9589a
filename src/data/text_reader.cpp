// Plain text: each line is a record {"text": line}, empty ones too, so that the n-th record is the
// n-th line.
#include "data/row_reader.h"

namespace hone {
namespace {

class TextReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  bool read_row(Record& record) override {
    std::string_view line;
    if (!text().next_line(line)) return false;
    record.line = text().line_number();
    text().check_text(line, place(record.line, 1));
    record.fields = Json{{"text", std::string(line)}};
    return true;
  }
};

}  // namespace

std::unique_ptr<RecordReader> read_text(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text) {
  return std::make_unique<TextReader>(options, std::move(text));
}

}  // namespace hone
