// hone.json, the manifest of a saved model: what Hugging Face's files do not say of it, and the
// checksums of all files of its folder. docs/file-formats.md describes it.
#pragma once

#include <string>

#include "base/json.h"

namespace hone {

std::string manifest_path(const std::string& folder);

// What stands in a folder's manifest: {"task", "state", "data", …}. Error(kModel) where there is
// none, where it is of a newer format, and where it or a file that it lists is not what was saved.
Json read_manifest(const std::string& folder);

// Adds the format and the checksums of the files that are there: so it is written last.
void write_manifest(const std::string& folder, const Json& content);

// The same checks of a base model's files where the folder has a manifest; else it is told that
// nobody can know.
void verify_source(const std::string& folder);

}  // namespace hone
