// NVIDIA's driver, opened at run time: hone is built without CUDA's headers and starts without its
// libraries.
#pragma once

#include <cstddef>

namespace hone::kernels::gpu {

// Functions of the CUDA driver API in the form that they have kept since CUDA 7.0. All return 0 for
// success. https://docs.nvidia.com/cuda/cuda-driver-api/
struct Driver {
  using Handle = void*;
  int (*init)(unsigned flags);
  int (*count)(int* devices);
  int (*get)(int* device, int ordinal);
  int (*name)(char* text, int size, int device);
  int (*memory)(size_t* bytes, int device);
  int (*attribute)(int* value, int attribute, int device);
  int (*retain)(Handle* context, int device);  // that of the device which libtorch works in
  int (*current)(Handle* context);
  int (*make_current)(Handle context);
  int (*load)(Handle* module, const void* image);
  int (*find)(Handle* function, Handle module, const char* name);
  int (*launch)(Handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                Handle stream, void** arguments, void** extra);
  int (*describe)(int error, const char** text);
};

// Numbers of attributes that do not change between versions.
constexpr int kProcessors = 16, kMajorCapability = 75, kMinorCapability = 76;

// Null where there is no driver, or no device that it would work with.
const Driver* driver();

}  // namespace hone::kernels::gpu
