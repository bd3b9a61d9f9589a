# hone_room(NAME [TORCH] LINK libs…): one static library per folder of src/; sources are found, so a new task or family edits no list.
# hone_tests(NAME LINK libs…): one test program per folder of tests/.
include_guard()

function(hone_options target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<INSTALL_INTERFACE:include/hone>)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-unused-parameter $<$<BOOL:${HONE_WERROR}>:-Werror>)
  if(HONE_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=address,undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

# Torch headers cost seconds per file; one precompiled header serves all rooms that see tensors.
function(hone_torch target)
  target_link_libraries(${target} PUBLIC hone::torch)
  if(TARGET hone_pch)
    target_precompile_headers(${target} REUSE_FROM hone_pch)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)  # -fPIE, and with it a program could not use the header made with -fPIC
    target_compile_options(${target} PRIVATE ${TORCH_COMPILE_OPTIONS} -fPIC)
  endif()
endfunction()

# Reading headers is most of the compiler's work here: with CMAKE_UNITY_BUILD (the release preset) neighbours of one folder, four at a time,
# are compiled as one. A file that includes itself again for each instruction set (*_simd.cpp) stays alone.
function(hone_unity target)
  foreach(source ${ARGN})
    if(source MATCHES "_simd\\.cpp$")
      set_source_files_properties(${source} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
      continue()
    endif()
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
    cmake_path(REMOVE_FILENAME folder)
    string(MAKE_C_IDENTIFIER ${folder} folder)
    if(NOT DEFINED place_${folder})
      set(place_${folder} 0)
    endif()
    math(EXPR place_${folder} "${place_${folder}} + 1")
    math(EXPR group "(${place_${folder}} - 1) / 4")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${folder}${group})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
  # GCC takes a file that another one includes for a header, whose anonymous namespace would be a mistake.
  target_compile_options(${target} PRIVATE $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage>)
endfunction()

function(hone_room name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  add_library(hone_${name} STATIC ${sources})
  hone_unity(hone_${name} ${sources})
  hone_options(hone_${name})
  target_link_libraries(hone_${name} PUBLIC ${ARG_LINK})
  if(ARG_TORCH)
    hone_torch(hone_${name})
  endif()
endfunction()

function(hone_tests name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${name}/*.cpp)
  add_executable(${name}_tests ${sources})
  hone_unity(${name}_tests ${sources})
  hone_options(${name}_tests)
  target_include_directories(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(${name}_tests PRIVATE $<$<CONFIG:Release>:-O1>)  # after -O2, a quarter of the compiler's time for nothing in tests
  target_link_libraries(${name}_tests PRIVATE ${ARG_LINK} rapidcheck GTest::gmock GTest::gtest_main)
  if(ARG_TORCH)
    hone_torch(${name}_tests)
  endif()
  gtest_discover_tests(${name}_tests TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    PROPERTIES LABELS ${name} TIMEOUT 600)
endfunction()
