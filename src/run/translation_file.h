// What texts became when they were translated there and back, kept on disk: a run that goes on, or
// another one with the same models, does not translate anew.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace hone {

// JSON lines: {"hone_translations": identity}, then {"text", "copy", "translation"} for each text
// and copy; null where it has none. Memory holds 16 bytes for each. Not thread-safe.
class TranslationFile {
 public:
  // Goes on with the file that is there, up to its last whole line. One with another identity is
  // begun anew. Error(kUsage) where the file is none of these, or cannot be written.
  TranslationFile(std::string path, const Json& identity);

  bool has(const std::string& text, int64_t copy) const;
  // Nothing where there is none, or none that is of use.
  std::optional<std::string> find(const std::string& text, int64_t copy) const;
  // Kept on disk from the next flush on.
  void add(const std::string& text, int64_t copy, const std::optional<std::string>& translation);
  void flush();

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void begin(const Json& identity);
  void take_lines();
  void append(const Json& line);

  std::string path_;
  std::unordered_map<uint64_t, int64_t> places_;  // of lines, by the hash of text and copy
  int64_t end_ = 0;                               // bytes of whole lines
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace hone
