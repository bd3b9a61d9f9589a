// A report's sections on its page.
#pragma once

#include <string>

#include "tasks/sections.h"
#include "tasks/short_paths.h"

namespace hone {

// With its heading; "" for one that has nothing to show.
std::string section_html(const Section& section, const ShortPaths& files);

}  // namespace hone
