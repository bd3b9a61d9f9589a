# cmake --install: the two programs, and the rooms as libraries that find_package(hone) gives: hone::run and what lies below it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(rooms base data models tasks tune run)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/hone)
foreach(room ${rooms})
  set_target_properties(hone_${room} PROPERTIES EXPORT_NAME ${room})
  install(TARGETS hone_${room} EXPORT hone ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hone FILES_MATCHING PATTERN "*.h")
endforeach()
install(EXPORT hone NAMESPACE hone:: FILE hone-targets.cmake DESTINATION ${package})

set_target_properties(hone-engine PROPERTIES INSTALL_RPATH ${HONE_TORCH_ROOT}/lib)  # libtorch lies in no folder of the system
install(TARGETS hone hone-engine RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hone-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/hone-config.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/hone-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hone-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/hone-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindTorch.cmake ${PROJECT_SOURCE_DIR}/cmake/HoneDependencies.cmake DESTINATION ${package})
