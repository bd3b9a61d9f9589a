// CoNLL: a token and its columns on each line, a blank line after each sentence.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "data/format.h"
#include "data/row_reader.h"
#include "data/tag_scheme.h"

namespace hone {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

// "#", "%%", ";", "//": how the line begins, where comments do so in files of others; else "".
std::string_view comment_mark(std::string_view line) {
  constexpr std::string_view kMarks = "#%;/";
  if (line.empty() || kMarks.find(line.front()) == kMarks.npos) return "";
  return line.substr(0, line.find_first_not_of(line.front()));
}

// What to say to a line that seems to be a comment; "" to others.
std::string comment_advice(std::string_view mark) {
  return mark.empty() ? ""
                      : fmt::format(
                            "; where lines that begin with {0} are comments, say comment: "
                            "\"{0}\"",
                            mark);
}

// Which columns become which fields.
struct Layout {
  std::vector<std::string> names;  // by column; "" is left out
  size_t tags = std::string::npos;

  bool keeps(size_t column) const { return column == tags || !names[column].empty(); }
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

// One sentence; its tokens stand on lines without a gap.
struct Sentence {
  int64_t line = 0;                               // of the first token; 0: none yet
  std::vector<std::vector<std::string>> columns;  // [column][token]; empty where it is left out
  size_t bytes = 0, values = 0;
  std::optional<Error> fault;  // of the first line that is bad
  // The first line that begins as a comment and ends in no tag: its token, and its mark.
  size_t odd_token = std::string::npos;
  std::string odd_mark;
};

// Cuts the text into sentences and their lines into columns.
class SentenceScanner {
 public:
  SentenceScanner(TextStream& text, const SourceOptions& options)
      : text_(text), options_(options) {}

  // The next sentence, wholly consumed; false at the end.
  bool next(Sentence& sentence) {
    sentence = Sentence{};
    std::string_view line;
    while (text_.next_line(line)) {
      split(line);
      const bool is_break = values_.empty() || is_document_start(line) || is_comment(line);
      if (is_break && sentence.line > 0) return true;
      if (!is_break) add_line(line, sentence);
    }
    return sentence.line > 0;
  }

  const Layout& layout() const { return layout_; }  // known once a sentence was read

 private:
  static bool is_document_start(std::string_view line) {
    constexpr std::string_view kMark = "-DOCSTART-";
    return line.starts_with(kMark) && (line.size() == kMark.size() || is_space(line[kMark.size()]));
  }

  // "# id = 1", but not a token "#" with its tag.
  bool is_comment(std::string_view line) const {
    return std::any_of(options_.comment.begin(), options_.comment.end(),
                       [&](const std::string& start) { return line.starts_with(start); }) &&
           !(values_.size() > 1 && (width() == 0 || values_.size() == width()) &&
             is_span_tag(values_.back()));
  }

  size_t width() const { return layout_.names.size(); }  // of each line; 0: not known yet

  void add_line(std::string_view line, Sentence& sentence) {
    const Where start{*text_.file(), text_.line_number(), 1};
    if (sentence.line == 0) sentence.line = start.line;
    if (sentence.fault) return;
    try {
      text_.check_text(line, start);
      if (values_.size() > kMostValues)
        throw Error(ErrorKind::kData, start,
                    fmt::format("more than {} columns; is the separator right?", kMostValues));
      if (width() == 0) begin_layout(line);
      if (values_.size() != width()) throw wrong_width(line, start);
      store(line, sentence);
    } catch (const Error& error) {
      sentence.fault = error;
      sentence.columns.clear();
    }
  }

  void begin_layout(std::string_view line) {
    layout_ =
        layout_of(options_, options_.columns.empty() ? values_.size() : options_.columns.size());
    first_mark_ = comment_mark(line);
  }

  Error wrong_width(std::string_view line, const Where& where) const {
    const std::string_view mark = comment_mark(line);
    return {ErrorKind::kData, where,
            fmt::format("{} columns where {} were expected{}", values_.size(), width(),
                        comment_advice(mark.empty() ? first_mark_ : mark))};
  }

  void store(std::string_view line, Sentence& sentence) {
    note_odd(line, sentence);
    sentence.columns.resize(width());
    sentence.bytes += line.size();
    for (size_t i = 0; i < width(); ++i) {
      if (!layout_.keeps(i)) continue;
      sentence.columns[i].emplace_back(values_[i]);
      ++sentence.values;
    }
    if (sentence.bytes <= kLongestRow && sentence.values <= kMostValues) return;
    throw Error(ErrorKind::kData, {*text_.file(), sentence.line},
                fmt::format("a sentence of more than {} MiB or {} values begins here; is it "
                            "sentences without blank lines between them?",
                            kLongestRow >> 20, kMostValues));
  }

  void note_odd(std::string_view line, Sentence& sentence) const {
    if (!sentence.odd_mark.empty() || layout_.tags >= values_.size() ||
        is_span_tag(values_[layout_.tags]))
      return;
    sentence.odd_mark = comment_mark(line);
    sentence.odd_token = static_cast<size_t>(text_.line_number() - sentence.line);
  }

  void split(std::string_view line) {
    values_.clear();
    if (std::all_of(line.begin(), line.end(), is_space)) return;
    if (!options_.separator.empty()) {
      for (size_t start = 0; start != line.npos && values_.size() <= kMostValues;) {
        const size_t end = line.find(options_.separator, start);
        values_.push_back(line.substr(start, end - start));
        start = end == line.npos ? end : end + options_.separator.size();
      }
      return;
    }
    for (size_t at = 0; values_.size() <= kMostValues;) {
      while (at < line.size() && is_space(line[at])) ++at;
      if (at == line.size()) return;
      const size_t start = at;
      while (at < line.size() && !is_space(line[at])) ++at;
      values_.push_back(line.substr(start, at - start));
    }
  }

  TextStream& text_;
  const SourceOptions& options_;
  Layout layout_;
  std::string first_mark_;  // of the line that gave the layout
  std::vector<std::string_view> values_;
};

class ConllReader : public RowReader {
 public:
  ConllReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), scanner_(this->text(), this->options()) {
    is_strict_ = options.tag_scheme != "auto";
    scheme_ = is_strict_ ? tag_scheme_of(options.tag_scheme).value() : detect(options);
  }

 protected:
  bool read_row(Record& record) override {
    Sentence sentence;
    if (!scanner_.next(sentence)) return false;
    record.line = sentence.line;
    if (sentence.fault) throw *sentence.fault;
    const Layout& layout = scanner_.layout();
    if (layout.tags < sentence.columns.size()) convert_tags(sentence);
    record.fields = Json::object();
    for (size_t i = 0; i < sentence.columns.size(); ++i) {
      if (!layout.names[i].empty()) record.fields[layout.names[i]] = list_of(sentence.columns[i]);
    }
    return true;
  }

 private:
  // Moves each text: two copies of a long sentence are too many.
  static Json list_of(std::vector<std::string>& texts) {
    Json list = Json::array();
    auto& items = list.get_ref<Json::array_t&>();
    items.reserve(texts.size());
    for (std::string& text : texts) items.emplace_back(std::move(text));
    texts = {};
    return list;
  }

  // The scheme shows only in the whole file: IOB1 differs from IOB2 in few places.
  TagScheme detect(const SourceOptions& options) {
    if (comes_once(options.path))
      throw Error(
          ErrorKind::kUsage, Where{*text().file()},
          "tag_scheme: auto reads a file twice; name the scheme (IOB1, IOB2, BMES, BIOES, none)");
    TextStream again(options);
    SentenceScanner scanner(again, options);
    TagSchemeDetector detector;
    for (Sentence sentence; scanner.next(sentence);) {
      const size_t tags = scanner.layout().tags;
      if (tags < sentence.columns.size()) detector.add(sentence.columns[tags]);
    }
    log_debug("{}: tags read as {}", options.path, name_of(detector.scheme()));
    return detector.scheme();
  }

  void convert_tags(Sentence& sentence) {
    const std::optional<TagFault> fault =
        to_iob2(scheme_, sentence.columns[scanner_.layout().tags]);
    if (!fault) return;
    const Where where = place(sentence.line + static_cast<int64_t>(fault->index), 0);
    const std::string advice =
        fault->index == sentence.odd_token ? comment_advice(sentence.odd_mark) : "";
    if (is_strict_ || !fault->is_readable)
      throw Error(ErrorKind::kData, where, fault->reason + advice);
    note_repair(where, fault->reason);
  }

  SentenceScanner scanner_;
  TagScheme scheme_ = TagScheme::kNone;
  bool is_strict_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> read_conll(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text) {
  return std::make_unique<ConllReader>(options, std::move(text));
}

}  // namespace hone
