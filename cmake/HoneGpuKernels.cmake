# The kernels for a GPU are kept in hone as text, and compiled by NVRTC where one is met (src/models/kernels/gpu/compiler.h).
set(folder ${PROJECT_SOURCE_DIR}/src/models/kernels/gpu/device)
file(GLOB kernels CONFIGURE_DEPENDS ${folder}/*.h ${folder}/*.cu)
set(sources "")
foreach(kernel ${kernels})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel})
  get_filename_component(name ${kernel} NAME)
  file(READ ${kernel} text)
  string(APPEND sources "      {\"${name}\", R\"cuda(${text})cuda\"},\n")
endforeach()
file(CONFIGURE OUTPUT gpu_kernel_sources.cpp CONTENT [[
#include "models/kernels/gpu/compiler.h"

namespace hone::kernels::gpu {

const std::vector<Source>& kernel_sources() {
  static const std::vector<Source> list = {
@sources@  };
  return list;
}

}  // namespace hone::kernels::gpu
]] @ONLY)
target_sources(hone_models PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/gpu_kernel_sources.cpp)
