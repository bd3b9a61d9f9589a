// Matrices of numbers as numpy keeps them (.npy, format 1.0 to 3.0:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/file.h"

namespace hone {

// Writes float32 rows as they come; the file is there when all are written.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, int64_t width);
  void add(std::span<const float> rows);  // REQUIRES: whole rows
  void commit();

 private:
  AtomicFile file_;
  int64_t width_, rows_ = 0;
};

// A file with a matrix of float32, mapped.
class NpyMatrix {
 public:
  // Error(kData) with what is in the file instead.
  explicit NpyMatrix(const std::string& path);

  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }
  const float* row(int64_t index) const { return values_ + index * width_; }

 private:
  MappedFile file_;
  int64_t rows_ = 0, width_ = 0;
  const float* values_ = nullptr;
};

}  // namespace hone
