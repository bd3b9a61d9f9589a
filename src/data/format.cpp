#include "data/format.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/lines.h"

namespace hone {
namespace {

constexpr size_t kLooked = size_t{64} << 10;  // bytes looked at
constexpr std::string_view kSpace = " \t";

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return extension;
}

// Whole lines of the text, without the one that the look-ahead cuts in two.
std::vector<std::string_view> lines_of(std::string_view text, bool is_whole) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = take_line(text, at);
    const bool is_cut = line.end() == text.end() && !is_whole;
    if (!is_cut || lines.empty()) lines.push_back(line);
  }
  return lines;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(kSpace) == line.npos; }

// Lines of at least two columns, as many on each, the last of them tags.
bool looks_like_conll(const std::vector<std::string_view>& lines) {
  size_t columns = 0, seen = 0;
  for (const std::string_view line : lines) {
    if (is_blank(line) || line.starts_with("-DOCSTART-")) continue;
    size_t count = 0;
    std::string_view last;
    for (size_t start = line.find_first_not_of(kSpace); start != line.npos; ++count) {
      const size_t end = std::min(line.find_first_of(kSpace, start), line.size());
      last = line.substr(start, end - start);
      start = line.find_first_not_of(kSpace, end);
    }
    if (seen++ == 0) columns = count;
    if (count < 2 || count != columns || !is_span_tag(last)) return false;
  }
  return seen > 0;
}

bool looks_like_columns(const std::vector<std::string_view>& lines, char separator) {
  std::ptrdiff_t columns = -1;
  for (const std::string_view line : lines) {
    if (line.empty()) continue;
    if (separator == ',' && line.find('"') != line.npos)
      return columns > 0;  // quoted values may hold anything
    const std::ptrdiff_t count = std::count(line.begin(), line.end(), separator);
    if (columns < 0) columns = count;
    if (count == 0 || count != columns) return false;
  }
  return columns > 0;
}

bool is_json_object(std::string_view line) {
  try {
    return parse_json(line, Where{}, ErrorKind::kData).is_object();
  } catch (const Error&) {
    return false;
  }
}

// SQuAD's object: a list "data" of articles with paragraphs.
bool looks_like_squad(std::string_view text) {
  const size_t data = text.find("\"data\"");
  return data != text.npos && text.find("\"paragraphs\"", data) != text.npos;
}

std::string json_kind(std::string_view text, const std::vector<std::string_view>& lines) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return "";
  if (text[first] == '{') {
    if (looks_like_squad(text)) return "squad";
    const auto line = std::find_if(lines.begin(), lines.end(),
                                   [](std::string_view candidate) { return !is_blank(candidate); });
    return line != lines.end() && is_json_object(*line) ? "jsonl" : "json";
  }
  const size_t second = text.find_first_not_of(" \t\r\n", first + 1);
  const bool is_array =
      text[first] == '[' && second != text.npos && (text[second] == '{' || text[second] == ']');
  return is_array ? "json" : "";
}

}  // namespace

bool is_span_tag(std::string_view text) {
  return text == "O" || (text.size() > 2 && text[1] == '-' &&
                         std::string_view("BIMESLU").find(text[0]) != std::string_view::npos);
}

std::string format_of_name(const std::string& path) {
  static const std::map<std::string, std::string> kFormats = {
      {".jsonl", "jsonl"}, {".ndjson", "jsonl"}, {".jsonlines", "jsonl"}, {".json", "json"},
      {".csv", "csv"},     {".tsv", "tsv"},      {".tab", "tsv"},         {".conll", "conll"},
      {".bio", "conll"},   {".iob", "conll"},    {".iob2", "conll"},      {".bmes", "conll"},
      {".bioes", "conll"}, {".txt", "text"}};
  std::filesystem::path name(path);
  for (const std::string top : {".gz", ".gzip", ".zst", ".zstd"}) {
    if (lower_extension(name) == top) {
      name = name.stem();
      break;
    }
  }
  const auto it = kFormats.find(lower_extension(name));
  return it == kFormats.end() ? "" : it->second;
}

std::string format_of_text(TextStream& text) {
  bool is_whole = false;
  while (text.window().size() < kLooked && !(is_whole = !text.more())) {
  }
  const std::vector<std::string_view> lines = lines_of(text.window(), is_whole);
  const std::string json = json_kind(text.window(), lines);
  if (!json.empty()) return json;
  if (looks_like_conll(lines)) return "conll";
  if (looks_like_columns(lines, '\t')) return "tsv";
  if (looks_like_columns(lines, ',')) return "csv";
  return "";
}

}  // namespace hone
