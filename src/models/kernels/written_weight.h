// A weight that stands in another form than its numbers. A product has them written a panel at a
// time, where its threads need them, so that they are never all there.
#pragma once

#include <cstdint>

namespace hone::kernels {

struct WeightBox {
  int64_t row, rows, column, columns;  // so many from these on
};

class WrittenWeight {
 public:
  WrittenWeight(int64_t rows, int64_t columns) : rows_(rows), columns_(columns) {}
  virtual ~WrittenWeight() = default;

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // The numbers of a box, row after row, to `out`: fp32, or bf16, rounded once. Threads call it at
  // the same time; it uses no Scratch.
  virtual void write(const WeightBox& box, void* out, bool is_bf16) const = 0;

 private:
  int64_t rows_, columns_;
};

}  // namespace hone::kernels
