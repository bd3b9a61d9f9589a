// Runs hone's own kernels (device/*.cu) on a GPU.
//
// They are compiled by NVRTC, which every CUDA build of libtorch brings, for the card at hand when
// they are first wanted, and kept in the user's cache (compiler.h); nothing of CUDA is needed to
// build hone, or to run it on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <tuple>

namespace hone::kernels::gpu {

using Extent = std::array<unsigned, 3>;

struct Kernel {
  const char* file;  // of device/
  std::string name;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  // On the current stream. `arguments`: where each of the kernel's is. Throws where the card
  // refuses.
  virtual void launch(const Kernel& kernel, Extent blocks, Extent threads,
                      void** arguments) const = 0;
  virtual int processors() const = 0;  // streaming multiprocessors of the card
};

// Of the card that x is on; null on the CPU, and where there are no kernels (missing_kernels).
const Launcher* launcher_of(const at::Tensor& x);
// Why the kernels cannot be had on this device, in words, "" where they can: then what they do is
// composed of ATen operations, several times as slow.
std::string missing_kernels(at::Device device);

// The arguments must be just the kernel's parameters, in their types.
template <class... Arguments>
void launch(const Launcher& on, const Kernel& kernel, Extent blocks, Extent threads,
            Arguments... arguments) {
  void* pointers[] = {static_cast<void*>(&arguments)...};
  on.launch(kernel, blocks, threads, pointers);
}

}  // namespace hone::kernels::gpu
