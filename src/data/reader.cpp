#include "data/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/format.h"
#include "data/row_reader.h"
#include "data/tag_scheme.h"

namespace hone {
namespace {

// What cannot be typed well on a command line.
std::string separator_of(const std::string& text) {
  if (text == "\\t" || text == "tab") return "\t";
  if (text == "space") return " ";
  return text;
}

std::optional<bool> read_quotes(Config& section) {
  const std::string value = section.get("has_quotes", "auto");
  if (value == "auto") return std::nullopt;
  return section.get("has_quotes", true);
}

std::map<std::string, std::string> read_fields(Config section) {
  std::map<std::string, std::string> fields;
  for (const std::string& name : section.keys()) fields[name] = section.require(name);
  return fields;
}

std::string format_of(const SourceOptions& options, TextStream& text) {
  if (options.format != "auto") return options.format;
  const std::string by_name = format_of_name(options.path);
  if (!by_name.empty() && by_name != "text") return by_name;
  // ".txt" is any text: CoNLL and JSON files bear that name too, and show clearly what they are.
  const std::string by_text = format_of_text(text);
  if (by_name == "text")
    return by_text == "conll" || by_text == "jsonl" || by_text == "json" ? by_text : by_name;
  if (!by_text.empty()) return by_text;
  throw Error(ErrorKind::kData, Where{*text.file()},
              "cannot tell the format by the name or the first bytes; name it: format: jsonl, "
              "json, csv, tsv, conll or text");
}

}  // namespace

SourceOptions SourceOptions::read(Config& section) {
  SourceOptions options;
  options.path = section.require("path");
  options.format = section.choice("format", options.format,
                                  {"auto", "jsonl", "json", "csv", "tsv", "conll", "text"});
  options.compression =
      section.choice("compression", options.compression, {"auto", "none", "gzip", "zstd"});
  options.encoding = section.get("encoding", options.encoding);
  if (!is_known_encoding(options.encoding)) {
    throw section.error("encoding",
                        fmt::format("the encoding \"{}\" is not known; common ones are utf-8, "
                                    "gb18030, big5, shift_jis, iso-8859-1, windows-1252, utf-16",
                                    options.encoding));
  }
  options.columns = section.get("columns", options.columns);
  options.has_header = section.get("has_header", options.columns.empty());
  options.has_quotes = read_quotes(section);
  options.separator = separator_of(section.get("separator", options.separator));
  options.max_columns = section.get("max_columns", options.max_columns);
  if (options.max_columns < 0)
    throw section.error("max_columns", "\"max_columns\" counts columns; 0 means no limit");
  options.tag_scheme = section.get("tag_scheme", options.tag_scheme);
  if (options.tag_scheme != "auto" && !tag_scheme_of(options.tag_scheme)) {
    section.choice("tag_scheme", "auto",
                   {"auto", "IOB1", "IOB2", "BMES", "BIOES", "BILOU", "none"});  // throws
  }
  options.fields = read_fields(section.section("fields"));
  options.on_bad_row = section.choice("on_bad_row", options.on_bad_row, {"error", "skip"});
  return options;
}

std::unique_ptr<RecordReader> open_reader(const SourceOptions& options) {
  auto text = std::make_unique<TextStream>(options);
  SourceOptions resolved = options;
  resolved.format = format_of(options, *text);
  if (resolved.format == "jsonl") return read_jsonl(resolved, std::move(text));
  if (resolved.format == "json") return read_json(resolved, std::move(text));
  if (resolved.format == "csv" || resolved.format == "tsv")
    return read_delimited(resolved, std::move(text));
  if (resolved.format == "conll") return read_conll(resolved, std::move(text));
  if (resolved.format == "text") return read_text(resolved, std::move(text));
  throw Error(ErrorKind::kUsage, Where{options.path},
              fmt::format("\"{}\" is no format; use auto, jsonl, json, csv, tsv, conll or text",
                          options.format));
}

}  // namespace hone
