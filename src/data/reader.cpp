#include "data/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/lines.h"
#include "base/utf8.h"
#include "data/files.h"
#include "data/format.h"
#include "data/row_reader.h"
#include "data/tag_scheme.h"
#include "data/value_forms.h"

namespace hone {
namespace {

struct Format {
  const char* name;
  std::unique_ptr<RecordReader> (*open)(const SourceOptions& options,
                                        std::unique_ptr<TextStream> text);
};

// One line each.
constexpr Format kFormats[] = {
    {"jsonl", read_jsonl},
    {"json", read_json},
    {"squad", read_squad},
    {"csv", read_delimited},
    {"tsv", read_delimited},
    {"conll", read_conll},
    {"text", read_text},
    {"semeval", read_semeval},
    {"brat", read_brat},
    {"folder", read_whole},
    {"aligned", read_aligned},
    {"xml", read_xml},
    {"doccano", read_doccano},
    {"label_studio", read_label_studio},
    {"alpaca", read_conversations},
    {"sharegpt", read_conversations},
};

// What `format` may say.
std::vector<std::string> format_names() {
  std::vector<std::string> names = {"auto"};
  for (const Format& format : kFormats) names.emplace_back(format.name);
  return names;
}

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

std::map<std::string, std::string> read_texts_by_name(Config section) {
  std::map<std::string, std::string> texts;
  for (const std::string& name : section.keys()) texts[name] = section.require(name);
  return texts;
}

// A name on each line.
std::vector<std::string> names_in(const std::string& path) {
  const std::string bytes = read_file(path, ErrorKind::kData);
  if (const size_t bad = invalid_utf8(bytes); bad != bytes.npos)
    throw Error(ErrorKind::kData, advance({path, 1, 1}, bytes, bad), "the names must be UTF-8");
  std::string_view text = bytes;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> names;
  for (size_t at = 0; at < text.size();) names.emplace_back(take_line(text, at));
  return names;
}

void check_names(const Config& section, const std::string& field, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (names.empty() || names.front().empty())
    throw section.error(field,
                        "there must be a name for each number from 0 on, and none may be empty");
  if (twice != names.end())
    throw section.error(field, fmt::format("the name \"{}\" stands twice", *twice));
}

// Field -> list of names, or the file that has one on each line.
std::map<std::string, std::vector<std::string>> read_names(Config section) {
  std::map<std::string, std::vector<std::string>> names;
  for (const std::string& field : section.keys()) {
    names[field] = section.is_list(field) ? section.get(field, std::vector<std::string>())
                                          : names_in(section.require(field));
    check_names(section, field, names[field]);
  }
  return names;
}

std::map<std::string, std::string> read_forms(Config section) {
  std::map<std::string, std::string> forms = read_texts_by_name(section);
  for (const auto& [field, form] : forms) {
    if (const std::string fault = fault_of(ValueForm::parse(form)); !fault.empty())
      throw section.error(field, fault);
  }
  return forms;
}

// "data/{id}.txt": each { has its }, with a name between them.
std::map<std::string, std::string> read_patterns(Config section) {
  std::map<std::string, std::string> patterns = read_texts_by_name(section);
  for (const auto& [field, pattern] : patterns) {
    bool has_name = false, is_sound = true;
    for (size_t at = pattern.find('{'); at != pattern.npos && is_sound;) {
      const size_t close = pattern.find('}', at);
      is_sound = close != pattern.npos && close > at + 1;
      has_name = true;
      at = is_sound ? pattern.find('{', close) : at;
    }
    if (!has_name || !is_sound)
      throw section.error(field,
                          fmt::format("\"{}\" needs the name of a field in braces, which says "
                                      "each row's file: data/{{id}}.txt",
                                      pattern));
  }
  return patterns;
}

// What only some formats have, and what they cannot do without.
void read_places(Config& section, SourceOptions& options) {
  options.beside = read_texts_by_name(section.section("beside"));
  options.rows = section.get("rows", options.rows);
  options.each = section.get("each", options.each);
  options.texts = read_patterns(section.section("texts"));
  options.forms = read_forms(section.section("forms"));
  options.names = read_names(section.section("names"));
  if (!options.beside.empty() && section.is_list("path"))
    throw section.error("beside", "\"beside\" goes with one file as \"path\"");
  if (!options.beside.empty() && options.format == "auto") options.format = "aligned";
  if (options.format == "aligned" && options.beside.empty())
    throw section.error("format",
                        "the format aligned needs \"beside\", the further files: "
                        "beside: {label: labels.txt}");
  if (options.format == "xml" && options.rows.empty())
    throw section.error("format",
                        "the format xml needs \"rows\", the path of the elements that are "
                        "rows, from the outermost: rows: reviews.review");
}

// "" may stand any number of times: columns that conll leaves out.
void refuse_names_twice(const Config& section, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  for (size_t i = 1; i < names.size(); ++i) {
    if (!names[i].empty() && names[i] == names[i - 1])
      throw section.error("columns", fmt::format("\"columns\" names \"{}\" twice", names[i]));
  }
}

// By the file's name alone; "" where its content decides.
std::string told_format(const SourceOptions& options) {
  if (options.format != "auto") return options.format;
  const std::string by_name = format_of_name(options.path);
  return by_name == "text" || by_name == "json" ? "" : by_name;
}

// "" where nothing fits.
std::string format_of(const SourceOptions& options, TextStream& text) {
  const std::string told = told_format(options);
  if (!told.empty()) return told;
  // ".txt" is any text: CoNLL and JSON files bear that name too, and show clearly what they are.
  // ".json" is any JSON.
  const std::string by_text = format_of_text(text), by_name = format_of_name(options.path);
  if (by_name == "json") return by_text == "squad" ? "squad" : "json";
  if (by_name != "text") return by_text;
  return by_text == "conll" || by_text == "jsonl" || by_text == "json" || by_text == "squad"
             ? by_text
             : "text";
}

SourceOptions options_of(const SourceFile& file) {
  SourceOptions options = *file.options;
  options.path = file.path;
  return options;
}

// Options whose path is a list: a part for each.
void read_paths(Config& section, SourceOptions& options) {
  const std::vector<std::string> paths = section.get("path", std::vector<std::string>());
  if (paths.empty()) throw section.error("path", "\"path\" lists no file");
  options.path = fmt::format("{}", fmt::join(paths, ", "));
  const SourceOptions whole = options;
  for (const std::string& path : paths) options.parts.emplace_back(whole).path = path;
}

}  // namespace

SourceOptions SourceOptions::read(Config& section) {
  SourceOptions options;
  const bool is_list = section.is_list("path");
  if (!is_list) options.path = section.require("path");
  options.format = section.choice("format", options.format, format_names());
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
  refuse_names_twice(section, options.columns);
  options.has_header = section.get("has_header", options.columns.empty());
  options.has_quotes = read_quotes(section);
  options.separator = separator_of(section.get("separator", options.separator));
  options.max_columns = section.get("max_columns", options.max_columns);
  if (options.max_columns < 0)
    throw section.error("max_columns", "\"max_columns\" counts columns; 0 means no limit");
  options.comment = section.get("comment", options.comment);
  if (std::count(options.comment.begin(), options.comment.end(), "") > 0)
    throw section.error("comment", "\"comment\" is empty: all lines would be comments");
  options.tag_scheme = section.get("tag_scheme", options.tag_scheme);
  if (options.tag_scheme != "auto" && !tag_scheme_of(options.tag_scheme)) {
    section.choice("tag_scheme", "auto",
                   {"auto", "IOB1", "IOB2", "IOE1", "IOE2", "BMES", "BMEWO", "BIOES", "BILOU",
                    "none"});  // throws
  }
  options.fields = read_texts_by_name(section.section("fields"));
  read_places(section, options);
  options.on_bad_row = section.choice("on_bad_row", options.on_bad_row, {"error", "skip"});
  if (is_list) read_paths(section, options);
  return options;
}

SourceOptions SourceOptions::read_split(Config& data, const std::string& split) {
  if (!data.is_list(split)) {
    Config section = data.section(split);
    return read(section);
  }
  SourceOptions options;
  for (Config& section : data.sections(split)) {
    options.parts.push_back(read(section));
    const SourceOptions& part = options.parts.back();
    options.path += (options.path.empty() ? "" : ", ") + part.path;
    if (part.on_bad_row != options.parts.front().on_bad_row)
      throw section.error("on_bad_row", "\"on_bad_row\" must be the same for all files of a split");
    options.on_bad_row = part.on_bad_row;
  }
  if (options.parts.empty()) throw data.error(split, fmt::format("\"{}\" lists no file", split));
  return options;
}

std::unique_ptr<RecordReader> open_reader(const SourceOptions& options) {
  std::vector<SourceFile> files = files_of(options);
  if (files.size() == 1 && files.front().advice.empty()) return open_file(files.front());
  return read_files(std::move(files));
}

std::string format_of_file(const SourceFile& file) {
  const SourceOptions options = options_of(file);
  const std::string told = told_format(options);
  if (!told.empty() || comes_once(file.path)) return told;
  TextStream text(options);
  return format_of(options, text);
}

std::unique_ptr<RecordReader> open_file(const SourceFile& file) {
  SourceOptions options = options_of(file);
  auto text = std::make_unique<TextStream>(options);
  options.format = format_of(options, *text);
  if (options.format.empty())
    throw Error(ErrorKind::kData, Where{*text->file()},
                "cannot tell the format by the name or the first bytes; name it: format: jsonl, "
                "json, squad, csv, tsv, conll or text");
  for (const Format& format : kFormats) {
    if (options.format == format.name) return format.open(options, std::move(text));
  }
  throw Error(ErrorKind::kUsage, Where{options.path},
              fmt::format("\"{}\" is no format; use one of {}", options.format,
                          fmt::join(format_names(), ", ")));
}

}  // namespace hone
