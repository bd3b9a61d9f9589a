// Checksums of model folders that have none of their own, as `hone check` saw them. They stand in
// the user's cache (hone/sums in XDG_CACHE_HOME, else in ~/.cache), for a model's folder may be
// another's.
#pragma once

#include <string>

namespace hone {

// Keeps the checksums of the files that are read of a model. Where they cannot be written, a
// warning says so.
void keep_sums(const std::string& folder);

// False where nothing is kept of the folder. Error(kModel) for a file whose bytes are others though
// its size and its date are not: it is damaged. One that was replaced is warned of.
bool verify_kept_sums(const std::string& folder);

}  // namespace hone
