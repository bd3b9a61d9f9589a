// The files of a source: one, those of a list or a pattern, or the texts below a folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/reader.h"

namespace hone {

struct SourceFile {
  std::string path;
  std::shared_ptr<const SourceOptions> options;  // how it is read; their path may be a pattern
  std::vector<std::string> advice = {};          // on the folder that it was found in
};

// In the order in which they are read: as listed, and by name within a pattern or folder.
// Error(kData) where a pattern fits nothing or a folder holds no texts.
std::vector<SourceFile> files_of(const SourceOptions& options);

std::unique_ptr<RecordReader> open_file(const SourceFile& file);

// As it was told, or by its name, or by its first bytes; "" where none of them says, and where they
// cannot be looked at because they come only once.
std::string format_of_file(const SourceFile& file);

// The rows of all files, one file after the other.
std::unique_ptr<RecordReader> read_files(std::vector<SourceFile> files);

}  // namespace hone
