"""What the built programs ask the loader for, and in which order."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve().parent


def needed_by(program):
    listing = subprocess.run(
        ["readelf", "--dynamic", str(program)], capture_output=True, text=True, check=True
    ).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", listing)


def programs():
    found = [
        path
        for path in sorted(BUILD.glob("*"))
        if path.is_file() and os.access(path, os.X_OK) and path.read_bytes()[:4] == b"\x7fELF"
    ]
    return {path.name: needed_by(path) for path in found if ".so" not in path.name}


def test_libstdcxx_stands_before_libtorch():
    """Some builds of libtorch export std::filesystem too; whoever stands first is called."""
    with_torch = {
        name: libraries
        for name, libraries in programs().items()
        if any(library.startswith("libtorch") for library in libraries)
    }
    if not with_torch:
        pytest.skip(f"no program in {BUILD} is built on libtorch")
    assert "hone-engine" in with_torch
    for name, libraries in with_torch.items():
        first = next(library for library in libraries if library.startswith(("libtorch", "libc10")))
        assert libraries.index("libstdc++.so.6") < libraries.index(first), (name, libraries)


def test_nothing_of_cuda_is_asked_for_by_name():
    """Driver and compiler are opened when a card is there: without them the programs start."""
    if not programs():
        pytest.skip(f"nothing is built in {BUILD}")
    for name, libraries in programs().items():
        for library in libraries:
            assert not library.startswith(("libcuda.", "libcudart", "libnvrtc")), (name, library)
