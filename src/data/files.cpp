#include "data/files.h"

#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "data/format.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// What stands in a folder, by name, without hidden files.
std::vector<fs::directory_entry> entries_of(const std::string& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) entries.push_back(*it);
  }
  if (error)
    throw Error(ErrorKind::kData, Where{folder},
                fmt::format("cannot be read: {}", error.message()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

Error no_file(const std::string& folder) {
  return {ErrorKind::kData, Where{folder},
          fmt::format("is a folder; name a file in it, or a pattern as \"{}\"; where it holds a "
                      "folder of texts for each label, say format: folder",
                      (fs::path(folder) / "*.jsonl").string())};
}

// "pos/0_9.txt", "sci.space/60191": what may be taken for a text without being told.
bool is_text_name(const fs::path& path) {
  return !path.has_extension() || format_of_name(path.string()) == "text";
}

// The texts of one label; false where something else stands among them.
bool add_texts(const std::string& folder, const std::shared_ptr<const SourceOptions>& options,
               bool is_told, std::vector<SourceFile>& files) {
  for (const fs::directory_entry& entry : entries_of(folder)) {
    if (is_told && entry.is_directory())
      throw Error(ErrorKind::kData, Where{entry.path().string()},
                  "is a folder inside the folder of a label, which holds texts only");
    if (!is_told && (entry.is_directory() || !is_text_name(entry.path()))) return false;
    files.push_back({entry.path().string(), options});
  }
  return true;
}

// brat's documents: the annotations, each with its text beside it.
void add_annotations(const std::string& folder, const SourceOptions& options,
                     std::vector<SourceFile>& files) {
  const auto each = std::make_shared<SourceOptions>(options);
  const size_t before = files.size();
  std::set<std::string> annotated;
  std::vector<fs::path> texts;
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".txt") texts.push_back(path);
    if (path.extension() != ".ann") continue;
    annotated.insert(path.stem().string());
    files.push_back({path.string(), each});
  }
  if (files.size() == before)
    throw Error(ErrorKind::kData, Where{folder}, "holds no .ann file, as the format brat has them");
  std::erase_if(texts,
                [&](const fs::path& path) { return annotated.contains(path.stem().string()); });
  if (texts.empty()) return;
  files[before].advice.push_back(
      fmt::format("{}: {} texts have no annotations beside them and are left out, {} the first; "
                  "where it has no "
                  "entities, write an empty {}",
                  folder, texts.size(), texts.front().filename().string(),
                  fs::path(texts.front()).replace_extension(".ann").filename().string()));
}

void add_folder(const std::string& folder, const SourceOptions& options,
                std::vector<SourceFile>& files) {
  if (options.format == "brat") return add_annotations(folder, options, files);
  const bool is_told = options.format == "folder";
  if (!is_told && options.format != "auto") throw no_file(folder);
  auto whole = std::make_shared<SourceOptions>(options);
  whole->format = "folder";
  const size_t before = files.size();
  for (const fs::directory_entry& entry : entries_of(folder)) {
    // Files beside the folders of labels are none of the texts: lists of words, say.
    if (entry.is_directory() && !add_texts(entry.path().string(), whole, is_told, files))
      throw no_file(folder);
  }
  if (is_told && files.size() == before) add_texts(folder, whole, is_told, files);
  if (files.size() == before) throw no_file(folder);
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), GLOB_BRACE, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (paths.empty())
    throw Error(ErrorKind::kData, Where{pattern},
                "no file fits this pattern" + looked_from(pattern));
  return paths;
}

void add_path(const std::string& path, const SourceOptions& options,
              std::vector<SourceFile>& files) {
  std::error_code error;
  if (fs::is_directory(path, error)) return add_folder(path, options, files);
  files.push_back({path, std::make_shared<SourceOptions>(options)});
}

bool is_pattern(const std::string& path) {
  std::error_code error;
  return path.find_first_of("*?[{") != std::string::npos && !fs::exists(path, error);
}

class FilesReader : public RecordReader {
 public:
  explicit FilesReader(std::vector<SourceFile> files) : files_(std::move(files)) {
    for (const SourceFile& file : files_) size_ += size_of(file.path);
  }

  std::optional<Record> next() override {
    for (;; close()) {
      if (!reader_ && opened_ == files_.size()) return std::nullopt;
      if (!reader_) open_next();
      if (std::optional<Record> record = reader_->next()) return record;
    }
  }
  int64_t bad_count() const override { return bad_count_ + (reader_ ? reader_->bad_count() : 0); }
  const std::vector<BadRow>& bad_rows() const override { return bad_rows_; }
  const std::vector<BadRow>& repaired_rows() const override { return repaired_rows_; }
  std::vector<std::string> advice() const override { return advice_; }
  std::pair<int64_t, int64_t> position() const override {
    return {consumed_ + (reader_ ? reader_->position().first : 0), size_};
  }

 private:
  static int64_t size_of(const std::string& path) {
    std::error_code error;
    const auto size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
    return error ? 0 : static_cast<int64_t>(size);
  }

  void open_next() {
    const SourceFile& file = files_[opened_++];
    advice_.insert(advice_.end(), file.advice.begin(), file.advice.end());
    reader_ = open_file(file);
  }

  void close() {
    bad_count_ += reader_->bad_count();
    append(reader_->bad_rows(), bad_rows_);
    append(reader_->repaired_rows(), repaired_rows_);
    for (const std::string& text : reader_->advice()) advice_.push_back(text);
    consumed_ += reader_->position().first;
    reader_.reset();
  }

  static void append(const std::vector<BadRow>& rows, std::vector<BadRow>& all) {
    const size_t room = kKeptBadRows - std::min(kKeptBadRows, all.size());
    all.insert(all.end(), rows.begin(),
               rows.begin() + static_cast<std::ptrdiff_t>(std::min(room, rows.size())));
  }

  std::vector<SourceFile> files_;
  size_t opened_ = 0;
  std::unique_ptr<RecordReader> reader_;             // of the file at hand
  int64_t bad_count_ = 0, consumed_ = 0, size_ = 0;  // of files that are done
  std::vector<BadRow> bad_rows_, repaired_rows_;
  std::vector<std::string> advice_;
};

}  // namespace

bool comes_once(const std::string& path) {
  struct stat status{};
  return path == "-" || (::stat(path.c_str(), &status) == 0 &&
                         (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)));
}

std::vector<SourceFile> files_of(const SourceOptions& options) {
  std::vector<SourceFile> files;
  if (options.parts.empty()) {
    const std::string& path = options.path;
    for (const std::string& file : is_pattern(path) ? matches_of(path) : std::vector{path})
      add_path(file, options, files);
  }
  for (const SourceOptions& part : options.parts) {
    for (SourceFile& file : files_of(part)) files.push_back(std::move(file));
  }
  return files;
}

std::unique_ptr<RecordReader> read_files(std::vector<SourceFile> files) {
  return std::make_unique<FilesReader>(std::move(files));
}

}  // namespace hone
