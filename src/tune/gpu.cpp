#include "tune/gpu.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

namespace hone {
namespace {

// Five functions of the CUDA driver API, which has kept their form since CUDA 3.2. All return 0 for
// success. https://docs.nvidia.com/cuda/cuda-driver-api/
struct Driver {
  int (*init)(unsigned flags);
  int (*count)(int* devices);
  int (*get)(int* device, int ordinal);
  int (*name)(char* text, int size, int device);
  int (*memory)(size_t* bytes, int device);
};

template <typename Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

bool load(Driver& driver) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);  // never closed: libtorch uses it too
  return library && find(library, "cuInit", driver.init) &&
         find(library, "cuDeviceGetCount", driver.count) &&
         find(library, "cuDeviceGet", driver.get) &&
         find(library, "cuDeviceGetName", driver.name) &&
         find(library, "cuDeviceTotalMem_v2", driver.memory) && driver.init(0) == 0;
}

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
  Driver driver = {};
  int count = 0;
  if (!load(driver) || driver.count(&count) != 0) return {};
  std::vector<Gpu> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) found.push_back(describe(driver, ordinal));
  return found;
}

}  // namespace hone
