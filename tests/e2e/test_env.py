"""`hone env`: what it says of the machine."""

import json
import shutil
import subprocess

import pytest
from conftest import write_run

# The driver of a machine with two GPUs, as far as hone asks it: the second is older than Ampere.
DRIVER = r"""
#include <stdio.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 10 + ordinal; return 0; }
int cuDeviceGetName(char *text, int size, int device) {
  snprintf(text, size, "Test GPU %d", device);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)device << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? (device == 10 ? 8 : 7) : 0; /* the major compute capability */
  return 0;
}
int cuGetErrorString(int error, const char **text) { *text = "not in this test"; return 0; }
int cuDevicePrimaryCtxRetain(void) { return 1; }
int cuCtxGetCurrent(void) { return 1; }
int cuCtxSetCurrent(void) { return 1; }
int cuModuleLoadData(void) { return 1; }
int cuModuleGetFunction(void) { return 1; }
int cuLaunchKernel(void) { return 1; }
"""


@pytest.fixture(scope="module")
def driver_folder(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "driver.c"], check=True)
    return folder


def test_names_each_gpu_with_its_memory_and_one_without_bf16(hone, driver_folder):
    environment = {"LD_LIBRARY_PATH": str(driver_folder)}
    said = json.loads(hone("env", "--json", env=environment).stdout)
    assert said["gpus"] == ["Test GPU 10, 10.0 GiB", "Test GPU 11, 11.0 GiB, no bf16"]
    assert (
        "Test GPU 10, 10.0 GiB, Test GPU 11, 11.0 GiB, no bf16"
        in hone("env", env=environment).stdout
    )


@pytest.mark.parametrize("isa", ["SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_bf16_works_where_the_library_may_not_use_its_instructions(hone, tiny_model, tmp_path, isa):
    config = write_run(tmp_path, tiny_model, precision="bf16", num_train_epochs=1)
    hone("train", config, env={"ONEDNN_MAX_CPU_ISA": isa})
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["environment"]["precision"] == "bf16"
