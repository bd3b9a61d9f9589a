// Numbers as people read them: 591 MiB, 3 min 20 s, 12,345.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace hone {

std::string human_count(int64_t count);      // with separators
std::string human_bytes(double bytes);       // KiB, MiB, GiB
std::string human_duration(double seconds);  // "0.42 s", "12 min 5 s", "1 h 3 min"
std::string human_score(double value);       // four decimals; whole numbers above 1 as counts

// A fact {"peak_memory_bytes": 619491328}: "peak memory" and "591 MiB". The unit ends the key.
std::string human_name(const std::string& key);
std::string human_value(const std::string& key, const Json& value);

}  // namespace hone
