// Options that were given and change nothing, as sentences for the user.
#pragma once

#include <string>
#include <vector>

#include "data/clean.h"
#include "data/reader.h"

namespace hone {

// Keys that no file's format has, and files that are read twice. `otherwise` is the format of a
// file that neither its name nor its content tells, "" where that is not known. Opens the files.
std::vector<std::string> idle_options(const SourceOptions& options,
                                      const std::string& otherwise = "");
std::vector<std::string> idle_options(const CleanOptions& options);
std::vector<std::string> idle_options(const SplitOptions& options);

}  // namespace hone
