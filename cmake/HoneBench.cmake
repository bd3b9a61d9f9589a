# Micro-benchmarks of the kernels, each beside the ATen operations it replaces: build/release/kernels_bench [--threads N] [--filter TEXT].
add_executable(kernels_bench ${PROJECT_SOURCE_DIR}/bench/kernels.cpp)
hone_options(kernels_bench)
target_link_libraries(kernels_bench PRIVATE hone_tune)
hone_torch(kernels_bench)

# The tokenizer, driven by bench/tokenizer.py and tests/parity/test_tokenizer.py.
add_executable(tokenizer_bench ${PROJECT_SOURCE_DIR}/bench/tokenizer.cpp)
hone_options(tokenizer_bench)
target_link_libraries(tokenizer_bench PRIVATE hone_data)
