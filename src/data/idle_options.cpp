#include "data/idle_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/files.h"

namespace hone {
namespace {

// A key of a source that only some formats have.
struct FormatKey {
  const char* name;
  std::vector<std::string> formats;
  bool (*is_given)(const SourceOptions& options);
};

const std::vector<FormatKey>& format_keys() {
  using Options = const SourceOptions&;
  static const std::vector<std::string> kTables = {"csv", "tsv"},
                                        kColumns = {"csv", "tsv", "conll"}, kConll = {"conll"},
                                        kNamed = {"csv", "tsv", "conll", "json", "jsonl"},
                                        kTrees = {"json", "xml"}, kAligned = {"aligned"};
  static const std::vector<FormatKey> kKeys = {
      {"separator", kColumns, [](Options o) { return !o.separator.empty(); }},
      {"columns", kNamed, [](Options o) { return !o.columns.empty(); }},
      {"has_header", kTables, [](Options o) { return o.has_header != o.columns.empty(); }},
      {"has_quotes", kTables, [](Options o) { return o.has_quotes.has_value(); }},
      {"max_columns", kTables, [](Options o) { return o.max_columns != 0; }},
      {"comment", kConll, [](Options o) { return !o.comment.empty(); }},
      {"tag_scheme", kConll, [](Options o) { return o.tag_scheme != "auto"; }},
      {"rows", kTrees, [](Options o) { return !o.rows.empty(); }},
      {"beside", kAligned, [](Options o) { return !o.beside.empty(); }},
  };
  return kKeys;
}

// A file as far as its options matter: with its format, "" where that is not known.
struct Told {
  std::shared_ptr<const SourceOptions> options;
  std::string format;
};

// What is said of `key`; "" where it is not given, or some file may have it.
std::string idle_key(const FormatKey& key, const std::vector<Told>& files) {
  std::set<std::string> formats;
  for (const Told& file : files) {
    if (!key.is_given(*file.options)) continue;
    if (file.format.empty() ||
        std::find(key.formats.begin(), key.formats.end(), file.format) != key.formats.end())
      return "";
    formats.insert(file.format);
  }
  if (formats.empty()) return "";
  return fmt::format("{} does nothing in data of the format {}; it is for {}", key.name,
                     fmt::join(formats, ", "), fmt::join(key.formats, ", "));
}

std::vector<std::string> read_twice(const std::vector<SourceFile>& files) {
  std::set<std::filesystem::path> seen;
  std::vector<std::string> sentences;
  for (const SourceFile& file : files) {
    std::error_code error;
    const auto path = std::filesystem::canonical(file.path, error);
    if (!error && !seen.insert(path).second)
      sentences.push_back(
          fmt::format("{} is listed twice: each of its rows counts twice", file.path));
  }
  return sentences;
}

}  // namespace

std::vector<std::string> idle_options(const SourceOptions& options, const std::string& otherwise) {
  const std::vector<SourceFile> files = files_of(options);
  std::vector<std::string> sentences = read_twice(files);
  const auto gives_any = [](const SourceFile& file) {
    return std::any_of(format_keys().begin(), format_keys().end(),
                       [&](const FormatKey& key) { return key.is_given(*file.options); });
  };
  std::vector<Told> told;
  for (const SourceFile& file : files) {
    if (!gives_any(file)) continue;
    const std::string format = format_of_file(file);
    told.push_back({file.options, format.empty() ? otherwise : format});
  }
  for (const FormatKey& key : format_keys()) {
    if (std::string sentence = idle_key(key, told); !sentence.empty())
      sentences.push_back(std::move(sentence));
  }
  return sentences;
}

std::vector<std::string> idle_options(const CleanOptions& options) {
  if (options.near_threshold == CleanOptions().near_threshold || options.near_duplicates == "drop")
    return {};
  return {"clean.near_threshold does nothing unless clean.near_duplicates is drop"};
}

std::vector<std::string> idle_options(const SplitOptions& options) {
  if (options.rule == "random") return {};
  const SplitOptions usual;
  std::vector<std::string> sentences;
  const auto tell = [&](bool is_given, const char* key) {
    if (is_given)
      sentences.push_back(
          fmt::format("split.{} does nothing beside split.rule {}, which goes by row numbers", key,
                      options.rule));
  };
  tell(options.validation != usual.validation, "validation");
  tell(options.test != usual.test, "test");
  tell(!options.stratify.empty(), "stratify");
  tell(options.seed != usual.seed, "seed");
  return sentences;
}

}  // namespace hone
