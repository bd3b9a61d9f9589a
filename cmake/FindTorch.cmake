# Finds libtorch: the target hone::torch, for this build and for programs that use an installed hone.
#
# Torch_DIR (a cache variable or the environment) names any libtorch's share/cmake/Torch; else the wheel that scripts/setup
# put into .venv is taken. Torch's own TorchConfig.cmake is not used: it refuses a CUDA build of torch on a machine without
# the CUDA toolkit, which a program that calls only ATen does not need.
if(NOT Torch_DIR AND DEFINED ENV{Torch_DIR})
  # Kept: a later run of CMake, which the environment may no longer reach, must not change libtorch.
  set(Torch_DIR $ENV{Torch_DIR} CACHE PATH "share/cmake/Torch of a libtorch")
endif()
if(NOT Torch_DIR)
  file(GLOB Torch_DIR ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch/share/cmake/Torch)
endif()
get_filename_component(HONE_TORCH_ROOT "${Torch_DIR}/../../.." ABSOLUTE)
if(NOT EXISTS ${HONE_TORCH_ROOT}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No libtorch at \"${Torch_DIR}\". Run scripts/setup, or set Torch_DIR to the share/cmake/Torch folder of a libtorch.")
endif()

set(TORCH_INCLUDE_DIRS ${HONE_TORCH_ROOT}/include ${HONE_TORCH_ROOT}/include/torch/csrc/api/include)
set(TORCH_LIBRARIES ${HONE_TORCH_ROOT}/lib/libtorch.so ${HONE_TORCH_ROOT}/lib/libtorch_cpu.so ${HONE_TORCH_ROOT}/lib/libc10.so)
foreach(name torch_cuda c10_cuda)
  if(EXISTS ${HONE_TORCH_ROOT}/lib/lib${name}.so)
    # Nothing refers to it by name, yet it must be loaded for the device to be known.
    list(APPEND TORCH_LIBRARIES -Wl,--no-as-needed ${HONE_TORCH_ROOT}/lib/lib${name}.so -Wl,--as-needed)
  endif()
endforeach()
message(STATUS "libtorch: ${HONE_TORCH_ROOT}")

# Graphs of launches (src/tune/recording.cpp) take the CUDA runtime's headers, of the toolkit or of the packages that pip brings beside a CUDA
# build of torch (nvidia-cuda-runtime, and from CUDA 13 on nvidia-cuda-crt). All else is built without them.
if(EXISTS ${HONE_TORCH_ROOT}/lib/libtorch_cuda.so)
  file(GLOB HONE_CUDA_FOLDERS ${HONE_TORCH_ROOT}/../nvidia/*/include)
  find_path(HONE_CUDA_INCLUDE_DIR crt/host_defines.h HINTS ${HONE_CUDA_FOLDERS} ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES include)
  message(STATUS "CUDA's headers, for graphs of launches: ${HONE_CUDA_INCLUDE_DIR}")
endif()

# Some builds of libtorch export a std::filesystem of their own, compiled by another compiler. The
# loader takes the first library that has a symbol, so libstdc++ must stand before libtorch.
set(TORCH_LINK_OPTIONS LINKER:--push-state,--no-as-needed,-lstdc++,--pop-state)
if(EXISTS ${HONE_TORCH_ROOT}/lib/libtorch_cuda.so)
  # NVIDIA's libraries are needed where the program runs, not where it is linked.
  list(APPEND TORCH_LINK_OPTIONS LINKER:--allow-shlib-undefined)
endif()

# at::parallel_for lives in libtorch's headers, and is a plain loop in a file that is compiled without OpenMP. The library must be the one that
# libtorch uses, else there are two pools of threads.
find_package(OpenMP REQUIRED COMPONENTS CXX)
set(TORCH_COMPILE_OPTIONS ${OpenMP_CXX_FLAGS})
file(GLOB HONE_OPENMP ${HONE_TORCH_ROOT}/lib/libgomp*.so*)
if(HONE_OPENMP)
  list(GET HONE_OPENMP 0 HONE_OPENMP)
else()
  message(WARNING "libtorch at ${HONE_TORCH_ROOT} brings no libgomp; linking ${OpenMP_CXX_LIBRARIES}. If libtorch uses another one, hone's loops and "
    "libtorch's each have threads of their own, and run slowly.")
  set(HONE_OPENMP ${OpenMP_CXX_LIBRARIES})
endif()
list(APPEND TORCH_LIBRARIES ${HONE_OPENMP})

# libtorch's include folder also holds the headers of another fmt, without its library: the system's must be found first.
find_package(fmt REQUIRED)
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/system-fmt)
file(CREATE_LINK ${fmt_include}/fmt ${CMAKE_BINARY_DIR}/system-fmt/fmt SYMBOLIC)
list(PREPEND TORCH_INCLUDE_DIRS ${CMAKE_BINARY_DIR}/system-fmt)

if(NOT TARGET hone::torch)
  add_library(hone::torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(hone::torch INTERFACE ${TORCH_INCLUDE_DIRS})
  target_compile_options(hone::torch INTERFACE ${TORCH_COMPILE_OPTIONS})
  target_link_libraries(hone::torch INTERFACE ${TORCH_LIBRARIES})
  target_link_options(hone::torch INTERFACE ${TORCH_LINK_OPTIONS})
endif()
set(Torch_FOUND TRUE)
