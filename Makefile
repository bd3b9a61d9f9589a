# Everything a newcomer needs. `make demo` and `make test` set the machine up first (scripts/setup).

BUILD := build/release
HONE := $(BUILD)/hone
PEERS := .venv-peers/bin/python
CONFIGURE := $(BUILD)/build.ninja

.PHONY: demo test program build configure test-cpp test-python attack conformance adapters-library bench asan format check-format \
        setup setup-peers clean
CPP_FILES = $$(git ls-files '*.cpp' '*.h')
PYTHON_FILES = $$(git ls-files '*.py') bench/run

demo: program  ## fine-tune a small model on the shipped customer messages; prints the report
	$(HONE) train examples/classify/config.yaml --overwrite

test: setup-peers build test-cpp test-python  ## all tests

program: configure  ## hone alone
	cmake --build $(BUILD) --target hone hone-engine

build: configure  ## all: hone, the tests, the benchmarks
	cmake --build $(BUILD)

configure: setup
	@[ -e $(CONFIGURE) ] || cmake --preset release > /dev/null

test-cpp: build
	ctest --test-dir $(BUILD) --output-on-failure -j "$$(nproc)"
	@awk '/^\[  CASES   \].* methods and / {cases += $$4} /^\[  PASSED  \] [0-9]/ {passed += $$4} /^\[  SKIPPED \] [0-9]/ {skipped += $$4} \
	      END {print cases " cases of methods, families and tasks"; print passed " C++ tests passed, " skipped + 0 " skipped"}' \
	  $(BUILD)/Testing/Temporary/LastTest.log

test-python: build setup-peers
	OMP_NUM_THREADS=1 $(PEERS) -m pytest -q -n "$$(nproc)" --dist loadfile tests

attack: build setup-peers  ## the attacks of tests/attack in their long form: faults of files, mutated files, a hostile hub; answers in every kind of batch; damaged data; the lists of examples/suites on their data; every tokenizer on all texts of ../shared/data
	HONE_ATTACK=1 $(PEERS) -m pytest -q tests/attack tests/e2e/test_batches.py tests/e2e/test_stages_and_suites.py
	HONE_ATTACK=1 $(PEERS) -m pytest -q tests/parity/test_tokenizer.py tests/parity/test_tokenizer_bytes.py tests/parity/test_sentencepiece.py
	HONE_ATTACK=1 $(PEERS) -m pytest -q tests/parity/test_encoder_decoders.py -k trained_whisper
	HONE_ATTACK=1 $(BUILD)/models_tests --gtest_filter='*KernelsRows*'
	HONE_ATTACK=1 $(BUILD)/data_tests --gtest_filter='*Damage*'

conformance: build  ## every method of fine-tuning with few weights on every family and task: the whole product of what `make test` takes pairs of
	seq 0 $$(($$(nproc) - 1)) | HONE_CONFORMANCE=1 GTEST_BRIEF=1 GTEST_TOTAL_SHARDS=$$(nproc) \
	  xargs -P 0 -I{} env GTEST_SHARD_INDEX={} $(BUILD)/conformance_tests

adapters-library: build setup-peers  ## bottleneck adapters that hone trained, loaded by the adapters library in an environment of its own
	scripts/setup adapters
	HONE_ADAPTERS_PYTHON=$(CURDIR)/.venv-adapters/bin/python $(PEERS) -m pytest -q tests/parity/test_peft.py -k adapters_library

bench: build setup-peers  ## hone and its peers on the same data, in alternation
	bench/run

asan: setup  ## the C++ tests under address and undefined-behaviour sanitizers
	@[ -e build/asan/build.ninja ] || cmake --preset asan > /dev/null
	cmake --build build/asan
	ctest --test-dir build/asan --output-on-failure -j "$$(nproc)"

format: setup-peers  ## writes every C++ and Python file anew in the project's format
	.venv-peers/bin/clang-format -i $(CPP_FILES)
	.venv-peers/bin/ruff format -q $(PYTHON_FILES)

check-format: setup-peers  ## says which files "make format" would change
	.venv-peers/bin/clang-format --dry-run --Werror $(CPP_FILES)
	.venv-peers/bin/ruff format -q --check $(PYTHON_FILES)

setup:
	scripts/setup

setup-peers:
	scripts/setup peers

clean:
	rm -rf build runs
