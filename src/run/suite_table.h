// What a suite gave, as a table: JSON, Markdown, one page, and text.
#pragma once

#include <string>

#include "run/suite.h"

namespace hone {

// suite.json, suite.md and suite.html in options.out.
void write_suite(const SuiteOptions& options, const SuiteResult& result);

Json suite_json(const SuiteOptions& options, const SuiteResult& result);
std::string suite_text(const SuiteResult& result);

}  // namespace hone
