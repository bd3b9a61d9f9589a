// CSV and TSV: quoting as RFC 4180 has it, or none.
#include <fmt/format.h>

#include <algorithm>

#include "data/row_reader.h"

namespace hone {
namespace {

class DelimitedReader : public RowReader {
 public:
  DelimitedReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)),
        separator_(!options.separator.empty() ? options.separator
                   : options.format == "tsv"  ? "\t"
                                              : ","),
        has_quotes_(options.has_quotes.value_or(options.format != "tsv")),
        columns_(options.columns) {}

 protected:
  bool read_row(Record& record) override {
    if (!is_begun_) begin();
    if (!split_row()) return false;
    record.line = row_.line;
    if (columns_.empty()) number_columns();
    if (values_.size() != columns_.size()) {
      throw Error(
          ErrorKind::kData, surplus_,
          fmt::format("{} columns, but {} has {}; is the separator right, is a quote missing?",
                      values_.size(), origin_, columns_.size()));
    }
    record.fields = Json::object();
    auto& pairs = static_cast<Json::object_t::Container&>(record.fields.get_ref<Json::object_t&>());
    pairs.reserve(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i)
      pairs.emplace_back(columns_[i], std::move(values_[i]));
    return true;
  }

 private:
  void begin() {
    is_begun_ = true;
    if (!columns_.empty()) origin_ = "\"columns\"";
    if (!options().has_header) return refuse_duplicates(Where{*text().file(), 0, 0});
    const bool is_named = !columns_.empty();
    try {
      if (!split_row()) return;
    } catch (const StreamError&) {
      throw;
    } catch (const Error& error) {  // without a header there are no rows to skip to
      throw StreamError(ErrorKind::kData, error.where(), error.message());
    }
    if (is_named) return;
    columns_ = values_;
    origin_ = "the header";
    refuse_duplicates(row_);
  }

  void refuse_duplicates(const Where& where) const {
    std::vector<std::string> sorted = columns_;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice == sorted.end()) return;
    throw StreamError(
        ErrorKind::kData, where,
        fmt::format(
            "two columns are named \"{}\"; is this a row of data (then write has_header: false)?",
            *twice));
  }

  void number_columns() {
    origin_ = "the first row";
    for (size_t i = 0; i < values_.size(); ++i) columns_.push_back(std::to_string(i));
  }

  // Splits the next row that is not blank into values_; it is consumed even where it is bad. False
  // at the end.
  bool split_row() {
    for (;;) {
      row_ = text().here();
      values_.clear();
      surplus_ = row_;
      std::string_view line;
      const bool is_quoted = has_quotes_ && scan_quoted();
      if (is_quoted) return true;
      if (!text().next_line(line)) return false;
      if (line.empty()) continue;
      text().check_text(line, row_);
      split_plain(line);
      return true;
    }
  }

  bool is_last_column() const {
    return options().max_columns > 0 &&
           static_cast<int64_t>(values_.size()) + 1 == options().max_columns;
  }

  void split_plain(std::string_view line) {
    for (size_t start = 0;;) {
      const size_t end = is_last_column() ? line.npos : line.find(separator_, start);
      if (values_.size() == columns_.size()) surplus_.column = static_cast<int64_t>(start) + 1;
      values_.emplace_back(line.substr(start, end - start));
      if (end == line.npos) return;
      start = end + separator_.size();
    }
  }

  // The whole first line is in the window, or the whole text.
  std::string_view first_line() {
    for (size_t scanned = 0;;) {
      const std::string_view window = text().window();
      const size_t end = window.find('\n', scanned);
      if (end != window.npos) return window.substr(0, end + 1);
      scanned = window.size();
      if (!text().more()) return text().window();
    }
  }

  // Reads a row that holds a quote; false where the next line holds none, which is the quick and
  // usual case.
  bool scan_quoted() {
    const std::string_view line = first_line();
    if (line.find('"') == line.npos) return false;
    size_t at = 0;
    try {
      at = scan_row();
    } catch (const StreamError&) {
      throw;
    } catch (const Error&) {
      text().consume(first_line().size());  // the next row is looked for on the next line
      throw;
    }
    const std::string_view row = text().window().substr(0, at);
    struct Consume {
      TextStream& text;
      size_t size;
      ~Consume() { text.consume(size); }
    } const after{text(), at};
    text().check_text(row, row_);
    return true;
  }

  // Fills values_ from the window and gives the row's length, its end included.
  size_t scan_row() {
    size_t at = 0;
    for (;;) {
      if (values_.size() == columns_.size()) surplus_ = text().where(at);
      std::string& value = values_.emplace_back();
      at = has(at) && text().window()[at] == '"' ? scan_quoted_value(at, value)
                                                 : scan_plain_value(at, value);
      if (!has(at)) return at;
      if (text().window()[at] == '\n') return at + 1;
      if (text().window()[at] == '\r') return has(at + 1) ? at + 2 : at + 1;
      at += separator_.size();
    }
  }

  bool has(size_t at) {
    while (at >= text().window().size()) {
      if (!text().more()) return false;
    }
    return true;
  }

  bool is_separator_at(size_t at) {
    return !(options().max_columns > 0 &&
             static_cast<int64_t>(values_.size()) == options().max_columns) &&
           has(at + separator_.size() - 1) &&
           text().window().substr(at, separator_.size()) == separator_;
  }
  bool is_row_end_at(size_t at) {
    const char c = text().window()[at];
    return c == '\n' || (c == '\r' && (!has(at + 1) || text().window()[at + 1] == '\n'));
  }

  size_t scan_plain_value(size_t at, std::string& value) {
    while (has(at) && !is_row_end_at(at) && !is_separator_at(at))
      value.push_back(text().window()[at++]);
    return at;
  }

  // Two quotes in a quoted value stand for one; line breaks belong to the value.
  size_t scan_quoted_value(size_t open, std::string& value) {
    size_t at = open + 1;
    for (;;) {
      if (!has(at))
        throw Error(
            ErrorKind::kData, text().where(open),
            "this quote is never closed (has_quotes: false reads quotes as plain characters)");
      const std::string_view rest = text().window().substr(at);
      const size_t run = std::min(rest.find('"'), rest.size());
      value.append(rest.substr(0, run));
      at += run;
      if (run == rest.size()) continue;
      ++at;
      if (!has(at) || text().window()[at] != '"') break;
      value.push_back('"');
      ++at;
    }
    if (has(at) && !is_row_end_at(at) && !is_separator_at(at)) {
      throw Error(ErrorKind::kData, text().where(at),
                  "text after a closing quote; a quote inside a quoted value is written twice "
                  "(has_quotes: false reads quotes as plain "
                  "characters)");
    }
    return at;
  }

  std::string separator_;
  bool has_quotes_, is_begun_ = false;
  std::vector<std::string> columns_;
  std::string origin_;               // where the columns' names come from, for messages
  std::vector<std::string> values_;  // of the row at hand
  Where row_, surplus_;              // where it begins; where its first value too many begins
};

}  // namespace

std::unique_ptr<RecordReader> read_delimited(const SourceOptions& options,
                                             std::unique_ptr<TextStream> text) {
  return std::make_unique<DelimitedReader>(options, std::move(text));
}

}  // namespace hone
