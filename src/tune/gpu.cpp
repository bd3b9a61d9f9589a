#include "tune/gpu.h"

#include <fmt/format.h>

#include <algorithm>
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
  int major = 0, minor = 0;
  driver.attribute(&major, kernels::gpu::kMajorCapability, device);
  driver.attribute(&minor, kernels::gpu::kMinorCapability, device);
  return {name.data(), static_cast<int64_t>(bytes), 10 * major + minor};
}

}  // namespace

// Tensor cores multiply bf16 from this compute capability on.
bool Gpu::has_bf16() const { return capability >= 80; }

std::string Gpu::str() const {
  return fmt::format("{}, {:.1f} GiB{}", name, static_cast<double>(memory_bytes) / (1 << 30),
                     has_bf16() ? "" : ", no bf16");
}

std::vector<Gpu> gpus() {
  const Driver* const driver = kernels::gpu::driver();
  int count = 0;
  if (driver == nullptr || driver->count(&count) != 0) return {};
  std::vector<Gpu> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) found.push_back(describe(*driver, ordinal));
  return found;
}

std::optional<Gpu> gpu_of(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  const std::vector<Gpu> all = gpus();
  const auto number = static_cast<size_t>(std::max<int>(0, device.index()));
  return number < all.size() ? std::optional(all[number]) : std::nullopt;
}

}  // namespace hone
