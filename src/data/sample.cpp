#include "data/sample.h"

namespace hone {

int64_t Sample::size() const {
  int64_t tokens = 0;
  for (const Sequence& stream : streams) tokens += stream.size();
  return tokens;
}

}  // namespace hone
