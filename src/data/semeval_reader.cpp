// The blocks of SemEval-2010 task 8 (Hendrickx et al. 2010):
//
//   1<tab>"The <e1>child</e1> was carefully wrapped into the <e2>cradle</e2>."
//   Content-Container(e1,e2)
//   Comment: …
//   (an empty line)
//
// A record is {"id": "1", "text": the sentence, "relation": …, "comment": …}; the last two stand
// there where the block has them.
#include <fmt/format.h>

#include <optional>

#include "data/row_reader.h"

namespace hone {
namespace {

std::string_view without_blanks(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == line.npos) return "";
  return line.substr(begin, line.find_last_not_of(" \t") + 1 - begin);
}

class SemevalReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  bool read_row(Record& record) override {
    const Block block = next_block();
    if (block.lines.empty()) return false;
    record.line = block.line;
    if (block.fault) throw *block.fault;
    const size_t tab = block.lines[0].find('\t');
    if (tab == std::string::npos || block.lines.size() > kMostLines)
      throw Error(
          ErrorKind::kData, place(block.line, 1),
          fmt::format("a block is a number, a tab and a sentence, then a relation and a "
                      "comment on lines of their own; this one has {}",
                      tab == std::string::npos ? "no tab in its first line" : "more lines"));
    record.fields = {{"id", block.lines[0].substr(0, tab)},
                     {"text", without_quotes(block.lines[0].substr(tab + 1))}};
    if (block.lines.size() > 1) record.fields["relation"] = block.lines[1];
    if (block.lines.size() > 2) record.fields["comment"] = block.lines[2];
    return true;
  }

 private:
  static constexpr size_t kMostLines = 3;

  struct Block {
    std::vector<std::string> lines;  // without blanks at their ends; one more than allowed at most
    int64_t line = 0;
    std::optional<Error> fault;  // the first line that is no text
  };

  // The lines up to the next empty one; none at the end of the file.
  Block next_block() {
    Block block;
    for (std::string_view line; text().next_line(line);) {
      const std::string_view seen = without_blanks(line);
      if (seen.empty() && !block.lines.empty()) break;
      if (seen.empty()) continue;
      if (block.lines.empty()) block.line = text().line_number();
      try {
        text().check_text(line, place(text().line_number(), 1));
      } catch (const Error& error) {
        if (!block.fault) block.fault = error;
      }
      if (block.lines.size() <= kMostLines) block.lines.emplace_back(seen);
    }
    return block;
  }

  static std::string without_quotes(std::string sentence) {
    if (sentence.size() < 2 || !sentence.starts_with('"') || !sentence.ends_with('"'))
      return sentence;
    return sentence.substr(1, sentence.size() - 2);
  }
};

}  // namespace

std::unique_ptr<RecordReader> read_semeval(const SourceOptions& options,
                                           std::unique_ptr<TextStream> text) {
  return std::make_unique<SemevalReader>(options, std::move(text));
}

}  // namespace hone
