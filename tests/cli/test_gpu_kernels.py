"""hone's kernels for a GPU compile for the cards that they are for, wherever CUDA's compiler is at hand."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = sorted((ROOT / "src/models/kernels/gpu/device").glob("*.cu"))
NVCC = shutil.which("nvcc")
# Down to the card's own instructions with HONE_ATTACK=1, which takes minutes; else to the form before.
TO = "-cubin" if os.environ.get("HONE_ATTACK") else "-ptx"


def test_there_are_kernels():
    assert len(KERNELS) > 5


@pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.name)
def test_a_kernel_compiles_without_a_header_of_cuda(kernel, architecture, tmp_path):
    run = subprocess.run(
        [NVCC, "-std=c++17", f"-arch={architecture}", TO, "-Werror", "all-warnings"]
        + [str(kernel), "-o", str(tmp_path / "kernel")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "kernel").stat().st_size > 0
    assert "#include <" not in kernel.read_text()
