// What stands in a model folder in place of what was looked for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hone {

// ", but X is there: …; …" for files of a format that is not read, with what to do about it;
// `otherwise` where none of the names tells. `names` may have folders in them ("onnx/model.onnx").
std::string foreign(const std::vector<std::string>& names, const std::string& otherwise);

// The same of a folder.
std::string foreign_in(const std::string& folder, const std::string& otherwise);

// Error(kind) where `bytes`, a file or its beginning, are a Git LFS pointer, a web page or a
// server's refusal that was saved in its place.
void refuse_stand_in(std::string_view bytes, const std::string& path, ErrorKind kind);

}  // namespace hone
