// A private mapping of a whole file: its pages are the system's cache until somebody writes to one
// (copy on write).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

class PrivateMapping {
 public:
  explicit PrivateMapping(const std::string& path);  // Error(kModel)
  ~PrivateMapping();
  PrivateMapping(const PrivateMapping&) = delete;
  PrivateMapping& operator=(const PrivateMapping&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// A contiguous tensor over `bytes` of the mapping, which lives as long as the tensor does. Bytes
// that are not aligned to the element are copied. REQUIRES: bytes.size() is what type and shape
// need.
at::Tensor tensor_over(const std::shared_ptr<PrivateMapping>& mapping, std::string_view bytes,
                       at::ScalarType type, const std::vector<int64_t>& shape);

}  // namespace hone
