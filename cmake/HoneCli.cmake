# The two programs: hone (no libtorch, starts in milliseconds) and hone-engine beside it.

# Starter configurations of `hone init` are the examples' own.
file(GLOB configs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*/config.yaml)
set(starters "")
foreach(config ${configs})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${config})
  get_filename_component(folder ${config} DIRECTORY)
  get_filename_component(task ${folder} NAME)
  file(READ ${config} text)
  string(APPEND starters "      {\"${task}\", R\"yaml(${text})yaml\"},\n")
endforeach()
file(CONFIGURE OUTPUT starters.cpp CONTENT [[
#include "cli/command.h"

namespace hone {

const std::vector<Starter>& starters() {
  static const std::vector<Starter> list = {
@starters@  };
  return list;
}

}  // namespace hone
]] @ONLY)

file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.cpp)
list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/cli/main.cpp)
add_library(hone_cli STATIC ${sources} ${CMAKE_CURRENT_BINARY_DIR}/starters.cpp)
hone_unity(hone_cli ${sources})
hone_options(hone_cli)
target_compile_definitions(hone_cli PUBLIC HONE_VERSION="${PROJECT_VERSION}")
target_link_libraries(hone_cli PUBLIC hone_data hone_base)

add_executable(hone ${PROJECT_SOURCE_DIR}/src/cli/main.cpp)
hone_options(hone)
target_link_libraries(hone PRIVATE hone_cli)

file(GLOB engine_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/engine/*.cpp)
add_executable(hone-engine ${engine_sources})
hone_unity(hone-engine ${engine_sources})
hone_options(hone-engine)
target_link_libraries(hone-engine PRIVATE hone_cli hone_run)
hone_torch(hone-engine)
