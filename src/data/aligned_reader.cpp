// Files whose lines belong together: line i of each is a value of row i.
//
//   seq.in   play some jazz          {"text": "play some jazz", "tags": "O O B-genre",
//   seq.out  O O B-genre      ->      "label": "PlayMusic"}
//   label    PlayMusic
#include <fmt/format.h>

#include "data/row_reader.h"

namespace hone {
namespace {

class AlignedReader : public RowReader {
 public:
  AlignedReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)) {
    for (const auto& [field, path] : options.beside) {
      if (comes_once(path))
        throw Error(ErrorKind::kUsage, Where{path},
                    "can be read only once; lines that stand beside others must be in a file");
      SourceOptions file = options;
      file.path = path;
      beside_.push_back({field, std::make_unique<TextStream>(file)});
    }
  }

 protected:
  bool read_row(Record& record) override {
    std::string_view line;
    const bool is_there = text().next_line(line);
    record.line = is_there ? text().line_number() : 0;
    record.fields = Json::object();
    bytes_ = 0;
    fault_.reset();
    if (is_there) add(text(), "text", line, record);
    for (Beside& file : beside_) {
      if (file.text->next_line(line) != is_there) throw unequal(file, is_there);
      if (is_there) add(*file.text, file.field, line, record);
    }
    if (fault_) throw *fault_;
    return is_there;
  }

 private:
  struct Beside {
    std::string field;
    std::unique_ptr<TextStream> text;
  };

  // All lines of a row are read before a bad one is told: the files stay aligned.
  void add(TextStream& from, const std::string& field, std::string_view line, Record& record) {
    const Where where{*from.file(), from.line_number(), 1};
    bytes_ += line.size();
    if (bytes_ > kLongestRow)
      throw StreamError(
          ErrorKind::kData, where,
          fmt::format("the lines of a row have at most {} MiB in all", kLongestRow >> 20));
    try {
      from.check_text(line, where);
      record.fields[field] = std::string(line);
    } catch (const Error& error) {
      if (!fault_) fault_ = error;
    }
  }

  // One of two files has ended; the lines of the other are counted to their end.
  StreamError unequal(Beside& file, bool first_goes_on) {
    TextStream& longer = first_goes_on ? text() : *file.text;
    const TextStream& ended = first_goes_on ? *file.text : text();
    for (std::string_view line; longer.next_line(line);) {
    }
    return {ErrorKind::kData,
            {*ended.file(), ended.line_number(), 0},
            fmt::format("ends after {} lines, but {} has {}: line by line they do not belong "
                        "together",
                        ended.line_number(), *longer.file(), longer.line_number())};
  }

  std::vector<Beside> beside_;
  size_t bytes_ = 0;  // of the row's lines
  std::optional<Error> fault_;
};

}  // namespace

std::unique_ptr<RecordReader> read_aligned(const SourceOptions& options,
                                           std::unique_ptr<TextStream> text) {
  return std::make_unique<AlignedReader>(options, std::move(text));
}

}  // namespace hone
