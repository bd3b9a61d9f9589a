#include "models/kernels/gpu/driver.h"

#include "models/kernels/gpu/symbols.h"

namespace hone::kernels::gpu {
namespace {

bool open_driver(Driver& driver) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);  // never closed: libtorch uses it too
  return library && find_symbol(library, "cuInit", driver.init) &&
         find_symbol(library, "cuDeviceGetCount", driver.count) &&
         find_symbol(library, "cuDeviceGet", driver.get) &&
         find_symbol(library, "cuDeviceGetName", driver.name) &&
         find_symbol(library, "cuDeviceTotalMem_v2", driver.memory) &&
         find_symbol(library, "cuDeviceGetAttribute", driver.attribute) &&
         find_symbol(library, "cuDevicePrimaryCtxRetain", driver.retain) &&
         find_symbol(library, "cuCtxGetCurrent", driver.current) &&
         find_symbol(library, "cuCtxSetCurrent", driver.make_current) &&
         find_symbol(library, "cuModuleLoadData", driver.load) &&
         find_symbol(library, "cuModuleGetFunction", driver.find) &&
         find_symbol(library, "cuLaunchKernel", driver.launch) &&
         find_symbol(library, "cuGetErrorString", driver.describe) && driver.init(0) == 0;
}

}  // namespace

const Driver* driver() {
  static Driver opened = {};
  static const bool is_there = open_driver(opened);
  return is_there ? &opened : nullptr;
}

}  // namespace hone::kernels::gpu
