// Reads a table of LevelDB's form: sorted keys with values, in blocks that have checksums.
// https://github.com/google/leveldb/blob/main/doc/table_format.md
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone {

// Keys with their values, which are views of `bytes`. Error(kModel) of `path` for compressed
// blocks, wrong checksums, what lies outside of the file, and more than a checkpoint's names need.
std::vector<std::pair<std::string, std::string_view>> read_table(std::string_view bytes,
                                                                 const std::string& path);

}  // namespace hone
