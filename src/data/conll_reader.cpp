// CoNLL: a token and its columns on each line, a blank line after each sentence.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "data/row_reader.h"
#include "data/tag_scheme.h"

namespace hone {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

// The columns of one sentence; `fault` is the first line of it that is bad.
struct Sentence {
  int64_t line = 0;
  std::vector<std::vector<std::string>> columns;  // [column][token]
  std::vector<int64_t> lines;                     // of each token
  std::optional<Error> fault;
};

// Cuts the text into sentences and their lines into columns.
class SentenceScanner {
 public:
  SentenceScanner(TextStream& text, const SourceOptions& options)
      : text_(text), separator_(options.separator), wanted_(options.columns.size()) {}

  // The next sentence, wholly consumed; false at the end.
  bool next(Sentence& sentence) {
    sentence = Sentence{};
    std::string_view line;
    while (text_.next_line(line)) {
      const bool is_break =
          std::all_of(line.begin(), line.end(), is_space) || is_document_start(line);
      if (is_break && sentence.line > 0) return true;
      if (!is_break) add_line(line, sentence);
    }
    return sentence.line > 0;
  }

 private:
  static bool is_document_start(std::string_view line) {
    constexpr std::string_view kMark = "-DOCSTART-";
    return line.starts_with(kMark) && (line.size() == kMark.size() || is_space(line[kMark.size()]));
  }

  void add_line(std::string_view line, Sentence& sentence) {
    const Where start{*text_.file(), text_.line_number(), 1};
    if (sentence.line == 0) sentence.line = start.line;
    if (sentence.fault) return;
    try {
      text_.check_text(line, start);
      split(line);
      if (wanted_ == 0) wanted_ = values_.size();
      if (values_.size() != wanted_) {
        throw Error(ErrorKind::kData, start,
                    fmt::format("{} columns where {} were expected", values_.size(), wanted_));
      }
    } catch (const Error& error) {
      sentence.fault = error;
      return;
    }
    sentence.lines.push_back(start.line);
    sentence.columns.resize(wanted_);
    for (size_t i = 0; i < wanted_; ++i) sentence.columns[i].emplace_back(values_[i]);
  }

  void split(std::string_view line) {
    values_.clear();
    if (!separator_.empty()) {
      for (size_t start = 0; start != line.npos;) {
        const size_t end = line.find(separator_, start);
        values_.push_back(line.substr(start, end - start));
        start = end == line.npos ? end : end + separator_.size();
      }
      return;
    }
    for (size_t at = 0;;) {
      while (at < line.size() && is_space(line[at])) ++at;
      if (at == line.size()) return;
      const size_t start = at;
      while (at < line.size() && !is_space(line[at])) ++at;
      values_.push_back(line.substr(start, at - start));
    }
  }

  TextStream& text_;
  std::string separator_;
  size_t wanted_;  // columns of each line: as many as are named, else as the first line has
  std::vector<std::string_view> values_;
};

// Which columns become which fields.
struct Layout {
  std::vector<std::string> names;  // by column; "" is left out
  size_t tags = std::string::npos;
};

Layout layout_of(const SourceOptions& options, size_t columns) {
  Layout layout;
  layout.names = options.columns;
  if (layout.names.empty()) {
    layout.names.assign(columns, "");
    layout.names.front() = "tokens";
    if (columns > 1) layout.names.back() = "tags";
  }
  const auto mapped = options.fields.find("tags");
  const std::string wanted = mapped == options.fields.end() ? "tags" : mapped->second;
  const auto it = std::find(layout.names.begin(), layout.names.end(), wanted);
  if (it != layout.names.end()) {
    layout.tags = static_cast<size_t>(it - layout.names.begin());
  } else if (columns > 1) {
    layout.tags = columns - 1;
  }
  return layout;
}

class ConllReader : public RowReader {
 public:
  ConllReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), scanner_(this->text(), options) {
    is_strict_ = options.tag_scheme != "auto";
    scheme_ = is_strict_ ? tag_scheme_of(options.tag_scheme).value() : detect(options);
  }

 protected:
  bool read_row(Record& record) override {
    Sentence sentence;
    if (!scanner_.next(sentence)) return false;
    record.line = sentence.line;
    if (sentence.fault) throw *sentence.fault;
    if (layout_.names.empty()) layout_ = layout_of(options(), sentence.columns.size());
    if (layout_.tags < sentence.columns.size()) convert_tags(sentence);
    record.fields = Json::object();
    for (size_t i = 0; i < sentence.columns.size(); ++i) {
      if (!layout_.names[i].empty())
        record.fields[layout_.names[i]] = std::move(sentence.columns[i]);
    }
    return true;
  }

 private:
  // The scheme shows only in the whole file: IOB1 differs from IOB2 in few places.
  static TagScheme detect(const SourceOptions& options) {
    if (options.path == "-")
      throw Error(
          ErrorKind::kUsage, Where{"standard input"},
          "tag_scheme: auto reads a file twice; name the scheme (IOB1, IOB2, BMES, BIOES, none)");
    TextStream text(options);
    SentenceScanner scanner(text, options);
    TagSchemeDetector detector;
    for (Sentence sentence; scanner.next(sentence);) {
      if (sentence.columns.empty()) continue;
      const size_t tags = layout_of(options, sentence.columns.size()).tags;
      if (tags < sentence.columns.size()) detector.add(sentence.columns[tags]);
    }
    log_debug("{}: tags read as {}", options.path, name_of(detector.scheme()));
    return detector.scheme();
  }

  void convert_tags(Sentence& sentence) {
    const std::optional<TagFault> fault = to_iob2(scheme_, sentence.columns[layout_.tags]);
    if (!fault) return;
    const Where where = place(sentence.lines[fault->index], 0);
    if (is_strict_ || !fault->is_readable) throw Error(ErrorKind::kData, where, fault->reason);
    note_repair(where, fault->reason);
  }

  SentenceScanner scanner_;
  TagScheme scheme_ = TagScheme::kNone;
  bool is_strict_ = false;
  Layout layout_;
};

}  // namespace

std::unique_ptr<RecordReader> read_conll(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text) {
  return std::make_unique<ConllReader>(options, std::move(text));
}

}  // namespace hone
