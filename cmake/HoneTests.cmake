# Programs that the Python parity tests drive.
# hone_probe(NAME LINK libs…): tests/tools/NAME.cpp.
function(hone_probe name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/tools/${name}.cpp)
  hone_options(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  hone_torch(${name})
endfunction()

hone_probe(model_probe LINK hone_tune)
hone_probe(train_probe LINK hone_tune)
hone_probe(task_probe LINK hone_tasks)
hone_probe(generation_probe LINK hone_tasks)

# Every registered task passes the same trial.
hone_tests(conformance TORCH LINK hone_tasks)

# Preloaded by tests/attack: makes operations on files fail.
add_library(fault_injection SHARED ${PROJECT_SOURCE_DIR}/tests/tools/fault_injection.cpp)
hone_options(fault_injection)
target_link_libraries(fault_injection PRIVATE ${CMAKE_DL_LIBS})
