// What every report page carries: its looks and the few lines that sort tables.
#pragma once

namespace hone {

extern const char* const kReportStyle;
extern const char* const kReportScript;

}  // namespace hone
