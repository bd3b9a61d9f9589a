// Compiles the kernels for a card: by NVRTC, a file of them when one of its kernels is first
// wanted, once for each architecture of cards, version of the compiler and text of the kernels;
// then they are in the user's cache (hone/kernels in XDG_CACHE_HOME, else in ~/.cache).
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace hone::kernels::gpu {

struct Source {
  const char* name;
  const char* text;
};
// device/*, embedded when hone is built.
const std::vector<Source>& kernel_sources();

// Why there is no compiler, or what it says.
struct CannotCompile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The kernels of a file ("dropout.cu") for an architecture ("sm_90"), in the form that the driver
// loads.
std::string compiled_kernels(const std::string& file, const std::string& architecture);

}  // namespace hone::kernels::gpu
