"""Processes that fetch and look up one hub model at the same time: each gets it, and the cache is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from hub_server import COMMIT, Hub, environment  # noqa: E402

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer_config.json": b'{"do_lower_case": true}',
    "vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\ngood\n",
    "model.safetensors": bytes(i * 7 % 251 for i in range(300_000)),
}
ROUNDS = 25 if os.environ.get("HONE_ATTACK") else 2  # of four processes, twice


@pytest.fixture
def hub():
    server = Hub({"org/tiny": FILES}).start()
    yield server
    server.stop()


def at_once(hone_program, hub, home, commands):
    running = [
        subprocess.Popen(
            [hone_program, *command],
            env={**os.environ, **environment(hub, home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for command in commands
    ]
    return [
        (process.communicate(timeout=100)[1].decode(), process.returncode) for process in running
    ]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_all_get_the_model(hone, hub, tmp_path, number):
    program = hone("--version").args[0]
    folder = tmp_path / "home/hub/models--org--tiny"
    commands = [["pull", "org/tiny"], ["tokenize", "org/tiny", "-"]] * 2
    for _ in range(2):  # the second time each finds what the first left
        for stderr, code in at_once(program, hub, tmp_path / "home", commands):
            assert code == 0, stderr
        assert sorted(os.listdir(folder / "snapshots" / COMMIT)) == sorted(FILES)
        assert len(os.listdir(folder / "blobs")) == len(FILES)
    for name, content in FILES.items():
        assert (folder / "snapshots" / COMMIT / name).read_bytes() == content
