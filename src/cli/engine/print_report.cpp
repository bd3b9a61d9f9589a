#include "cli/engine/print_report.h"

#include <iostream>

namespace hone {

void print_report(const Report& report, const RunSummary& summary, bool as_json,
                  const std::string& rest) {
  std::cout << (as_json ? to_text(report_json(report, summary)) + "\n"
                        : report_text(report, summary, rest));
}

}  // namespace hone
