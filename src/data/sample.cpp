#include "data/sample.h"

namespace hone {

int64_t Sample::size() const {
  int64_t rows = 0;
  for (const Sequence& stream : streams) rows += stream.size() + stream.features.rows();
  return rows;
}

}  // namespace hone
