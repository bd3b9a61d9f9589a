#include "tune/gpu.h"

#include <fmt/format.h>

#include <array>

#include "models/kernels/gpu/driver.h"

namespace hone {
namespace {

using kernels::gpu::Driver;

Gpu describe(const Driver& driver, int ordinal) {
  int device = 0;
  std::array<char, 256> name = {};
  size_t bytes = 0;
  if (driver.get(&device, ordinal) != 0) return {"unknown"};
  driver.name(name.data(), static_cast<int>(name.size()) - 1, device);
  driver.memory(&bytes, device);
  return {name.data(), static_cast<int64_t>(bytes)};
}

}  // namespace

std::string Gpu::str() const {
  return fmt::format("{}, {:.1f} GiB", name, static_cast<double>(memory_bytes) / (1 << 30));
}

std::vector<Gpu> gpus() {
  const Driver* const driver = kernels::gpu::driver();
  int count = 0;
  if (driver == nullptr || driver->count(&count) != 0) return {};
  std::vector<Gpu> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) found.push_back(describe(*driver, ordinal));
  return found;
}

}  // namespace hone
