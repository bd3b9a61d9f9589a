# Programs that the benchmarks (and parity tests) drive.
add_executable(tokenizer_bench ${PROJECT_SOURCE_DIR}/bench/tokenizer.cpp)
hone_options(tokenizer_bench)
target_link_libraries(tokenizer_bench PRIVATE hone_data)
