// A report on stdout.
#pragma once

#include <string>

#include "tasks/report.h"

namespace hone {

// For people, or as one JSON line. `rest` says where mistakes stand that the text does not show.
void print_report(const Report& report, const RunSummary& summary, bool as_json,
                  const std::string& rest);

}  // namespace hone
