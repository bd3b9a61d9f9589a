// Plain text: each line is a record {"text": line}, empty ones too, so that the n-th record is the
// n-th line; or the whole file is one record, labelled with the name of its folder.
#include <filesystem>

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
    record.fields["text"] = std::string(line);
    return true;
  }
};

class WholeTextReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  bool read_row(Record& record) override {
    if (is_done_) return false;
    is_done_ = true;
    while (text().more()) {
    }
    const std::string_view whole = text().window();
    record.line = 1;
    text().check_text(whole, place(1, 1));
    record.fields["text"] = std::string(whole);
    record.fields["label"] = std::filesystem::path(*file()).parent_path().filename().string();
    return true;
  }

 private:
  bool is_done_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> read_text(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text) {
  return std::make_unique<TextReader>(options, std::move(text));
}

std::unique_ptr<RecordReader> read_whole(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text) {
  return std::make_unique<WholeTextReader>(options, std::move(text));
}

}  // namespace hone
