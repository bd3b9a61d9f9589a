#include "base/lines.h"

#include <algorithm>

#include "base/error.h"

namespace hone {

std::string_view take_line(std::string_view text, size_t& at) {
  const size_t begin = at, end = std::min(text.find_first_of("\r\n", begin), text.size());
  at = end + line_end_length(text, end);
  return text.substr(begin, end - begin);
}

}  // namespace hone
