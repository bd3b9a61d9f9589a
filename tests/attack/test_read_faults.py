"""Reading fails: each read of a small run and of its answers gets an I/O error, each mapped file is
cut off while it is in use. The program says so in words, with the exit code of what it read."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ATTACK, HONE, ROOT, write_run

LIBRARY = Path(os.environ.get("HONE_FAULTS", HONE.parent / "libfault_injection.so"))
FAULTS = 1000 if ATTACK else 6  # of each command and kind, at most

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason=f"{LIBRARY} is not built")

# What may be told of a file by its name: 2 of a configuration, 3 of data, 4 of a model.
CODES = {".yaml": (2,), ".jsonl": (3,)}


@pytest.fixture(scope="module")
def whole(tiny_model, tmp_path_factory):
    """A folder with all that a run reads, and a model that was trained of it."""
    folder = tmp_path_factory.mktemp("reads") / "whole"
    folder.mkdir()
    shutil.copytree(tiny_model, folder / "base")
    write_run(folder, "base", rows=(16, 8, 8), num_train_epochs=1, threads=1)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(f"{folder}/", ""))
    assert run(folder, "train")[0] == 0
    shutil.move(folder / "run/model", folder / "trained")
    shutil.rmtree(folder / "run")
    return folder


COMMANDS = {
    "train": ["train", "config.yaml"],
    "predict": ["predict", "trained", "test.jsonl"],
    "eval": ["eval", "trained", "test.jsonl"],
    "score": ["score", "classify", "test.jsonl", "test.jsonl"],
    "tokenize": ["tokenize", "base", "test.jsonl"],
}


def run(folder, command, kind=None, point=0, log=None):
    env = dict(os.environ)
    if kind:
        env |= {
            "LD_PRELOAD": str(LIBRARY),
            "FAULT_FOLDER": str(folder),
            "FAULT_KIND": kind,
            "FAULT_POINT": str(point),
            "FAULT_LOG": str(log or ""),
        }
    done = subprocess.run(
        [HONE, *COMMANDS[command]], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stderr


def operations(log):
    return [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("kind", ["unreadable", "cut"])
@pytest.mark.parametrize("command", COMMANDS)
def test_reads_that_fail_are_told(whole, tmp_path, command, kind):
    log = tmp_path / "log"
    first = shutil.copytree(whole, tmp_path / "first")
    assert run(first, command, kind, log=log)[0] == 0
    points = operations(log)
    if kind == "unreadable":
        assert points
    draw = random.Random(f"{command} {kind}")
    for number, name, path in draw.sample(points, min(FAULTS, len(points))):
        folder = shutil.copytree(whole, tmp_path / number)
        code, err = run(folder, command, kind, number)
        what = f"{name} {path}: {err}"
        assert code in CODES.get(Path(path).suffix, (4,)), (code, what)
        assert "internal error" not in err, what
        assert Path(path).name in err, what
        shutil.rmtree(folder)
