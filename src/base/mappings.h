// Files that are mapped into memory: where one can be read no more, the system sends SIGBUS, and
// the program ends with one message that names it, as a model's file (exit code 4).
#pragma once

#include <cstddef>
#include <string>

namespace hone {

void note_mapping(const void* data, size_t size, const std::string& path);
void forget_mapping(const void* data);
void end_on_bad_mappings();  // from here on

}  // namespace hone
