// CSV and TSV: quoting as RFC 4180 has it, or none.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

  std::vector<std::string> reader_advice() const override {
    if (options().has_quotes || values_in_quotes_ == 0) return {};
    return {
        fmt::format("{}: {} values stand wholly in double quotes and were read with them; if "
                    "these only enclose the values, say has_quotes: true",
                    *file(), values_in_quotes_)};
  }

 protected:
  bool read_row(Record& record) override {
    if (!is_begun_) begin();
    if (!split_row()) return false;
    record.line = row_.line;
    if (columns_.empty()) number_columns();
    if (values_.size() != columns_.size()) throw wrong_width();
    record.fields = Json::object();
    auto& pairs = static_cast<Json::object_t::Container&>(record.fields.get_ref<Json::object_t&>());
    pairs.reserve(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i)
      pairs.emplace_back(columns_[i], std::move(values_[i]));
    return true;
  }

 private:
  Error wrong_width() const {
    return {ErrorKind::kData, surplus_,
            fmt::format("{} columns, but {} has {}; {}", values_.size(), origin_, columns_.size(),
                        likely_cause())};
  }

  const char* likely_cause() const {
    const bool has_single_quotes = std::any_of(values_.begin(), values_.end(),
                                               [](const auto& v) { return v.starts_with('\''); });
    if (origin_ == kHeader && columns_.front().starts_with('#'))
      return "is the first line a comment? It should name the columns";
    if (has_single_quotes && has_quotes_)
      return "do single quotes enclose values? Only double quotes do so here";
    return "is the separator right, is a quote missing?";
  }

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
    columns_ = std::move(values_);
    origin_ = kHeader;
    refuse_duplicates(row_);
    refuse_quoted_header();
  }

  // Quotes may belong to a text here and there; around each name they are quoting.
  void refuse_quoted_header() {
    const auto count = static_cast<size_t>(std::exchange(values_in_quotes_, 0));
    if (has_quotes_ || options().has_quotes || columns_.empty() || count < columns_.size()) return;
    throw StreamError(ErrorKind::kData, row_,
                      "all names of the header stand in double quotes; say has_quotes: true, or "
                      "false where the quotes belong to the values");
  }

  void refuse_duplicates(const Where& where) const {
    std::vector<std::string_view> sorted(columns_.begin(), columns_.end());
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
      read_ += line.size();
      if (line.empty()) continue;
      text().check_text(line, row_);
      split_plain(line);
      return true;
    }
  }

  bool is_last_column() const {
    return options().max_columns > 0 &&
           static_cast<int64_t>(values_.size()) == options().max_columns;
  }

  std::string& add_value() {
    if (values_.size() == kMostValues)
      throw Error(ErrorKind::kData, row_,
                  fmt::format("more than {} columns; is the separator right?", kMostValues));
    return values_.emplace_back();
  }

  void split_plain(std::string_view line) {
    for (size_t start = 0;;) {
      if (values_.size() == columns_.size()) surplus_.column = static_cast<int64_t>(start) + 1;
      std::string& value = add_value();
      const size_t end = is_last_column() ? line.npos : line.find(separator_, start);
      value = line.substr(start, end - start);
      if (is_in_quotes(value)) ++values_in_quotes_;
      if (end == line.npos) return;
      start = end + separator_.size();
    }
  }

  static bool is_in_quotes(std::string_view value) {
    return value.size() > 1 && value.front() == '"' && value.back() == '"';
  }

  // Reads a row that holds a quote; false where the next line holds none, which is the quick and
  // usual case.
  bool scan_quoted() {
    const size_t line = text().first_line().size;
    if (text().window().substr(0, line).find('"') == std::string_view::npos) return false;
    try {
      scan_row();
    } catch (const StreamError&) {
      throw;
    } catch (const Error& error) {
      if (text().first_line().size > kLongestRow)  // there is no next line to go on with
        throw StreamError(error.kind(), error.where(), error.message());
      pass_over_first_line();
      throw;
    }
    read_ += at_;
    const std::string_view row = text().window().substr(0, at_);
    struct Consume {
      TextStream& text;
      size_t size;
      ~Consume() { text.consume(size); }
    } const after{text(), at_};
    text().check_text(row, row_);
    return true;
  }

  // After a row that has no end the next one is looked for on the next line. Such looks may go over
  // the same text again and again; here they end.
  void pass_over_first_line() {
    std::string_view line;
    text().next_line(line);
    read_ += line.size();
    looked_ahead_ += at_ - std::min(at_, line.size());
    if (looked_ahead_ > kLongestRow + 8 * read_)
      throw StreamError(ErrorKind::kData, row_,
                        "too many quotes here and before are not closed, so that rows cannot be "
                        "told apart (has_quotes: false reads quotes as plain characters)");
  }

  // Fills values_ from the window; at_ is then the row's length, its end included.
  void scan_row() {
    at_ = 0;
    for (;;) {
      if (values_.size() == columns_.size()) surplus_ = text().where(at_);
      std::string& value = add_value();
      if (has(at_) && text().window()[at_] == '"') {
        scan_quoted_value(value);
      } else {
        scan_plain_value(value);
      }
      if (!has(at_)) return;
      if (is_row_end()) {
        has(at_ + 2);
        at_ += line_end_length(text().window(), at_);
        return;
      }
      at_ += separator_.size();
    }
  }

  bool has(size_t at) {
    while (at >= text().window().size()) {
      if (!text().more()) return false;
    }
    return true;
  }

  bool is_separator() {
    return !is_last_column() && has(at_ + separator_.size() - 1) &&
           text().window().substr(at_, separator_.size()) == separator_;
  }
  bool is_row_end() { return text().window()[at_] == '\n' || text().window()[at_] == '\r'; }

  void scan_plain_value(std::string& value) {
    while (has(at_) && !is_row_end() && !is_separator()) value.push_back(text().window()[at_++]);
  }

  // Two quotes in a quoted value stand for one; line breaks belong to the value.
  void scan_quoted_value(std::string& value) {
    const size_t open = at_++;
    for (;;) {
      const bool is_too_long = at_ >= text().window().size() && text().is_full();
      if (is_too_long || !has(at_)) throw never_closed(open, is_too_long);
      const std::string_view rest = text().window().substr(at_);
      const size_t run = std::min(rest.find('"'), rest.size());
      value.append(rest.substr(0, run));
      at_ += run;
      if (run == rest.size()) continue;
      ++at_;
      if (!has(at_) || text().window()[at_] != '"') break;
      value.push_back('"');
      ++at_;
    }
    if (has(at_) && !is_row_end() && !is_separator()) {
      throw Error(ErrorKind::kData, text().where(at_),
                  "text after a closing quote; a quote inside a quoted value is written twice "
                  "(has_quotes: false reads quotes as plain "
                  "characters)");
    }
  }

  Error never_closed(size_t open, bool is_too_long) {
    return {ErrorKind::kData, text().where(open),
            fmt::format("{}this quote is never closed (has_quotes: false reads quotes as plain "
                        "characters)",
                        is_too_long ? "a row longer than 64 MiB: " : "")};
  }

  static constexpr const char* kHeader = "the header";

  std::string separator_;
  bool has_quotes_, is_begun_ = false;
  std::vector<std::string> columns_;
  std::string origin_;                  // where the columns' names come from, for messages
  std::vector<std::string> values_;     // of the row at hand
  Where row_, surplus_;                 // where it begins; where its first value too many begins
  size_t at_ = 0;                       // in the window, while a quoted row is scanned
  size_t read_ = 0, looked_ahead_ = 0;  // bytes of rows; bytes looked at for rows without an end
  int64_t values_in_quotes_ = 0;        // that were read with them
};

}  // namespace

std::unique_ptr<RecordReader> read_delimited(const SourceOptions& options,
                                             std::unique_ptr<TextStream> text) {
  return std::make_unique<DelimitedReader>(options, std::move(text));
}

}  // namespace hone
