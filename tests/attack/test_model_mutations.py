"""Damaged files of a model folder, through the command: an answer or one message, never a crash, never memory without end."""

import json
import os
import random
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from measured import run_measured  # noqa: E402

ROUNDS = 200 if os.environ.get("HONE_ATTACK") else 3
MOST_MEGABYTES = 1024  # the test process itself counts too: a child begins as a copy of it
TOKENS = [b"0", b"-1", b"1e999", b"9999999999", b"null", b"[]", b"{}", b'"x"', b"true", b"[[[["]


def mutated(data, draw):
    """One to four changes: a byte, a bit, a piece removed, repeated or overwritten, a JSON value for a number or text."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not data:
            break
        # Headers stand first, and are what the rest is read by.
        at = draw.randrange(len(data) if draw.random() < 0.5 else min(len(data), 4096))
        size = draw.randint(1, 8)
        change = draw.randrange(6)
        if change == 0:
            data[at] = draw.randrange(256)
        elif change == 1:
            data[at] ^= 1 << draw.randrange(8)
        elif change == 2:
            del data[at : at + size]
        elif change == 3:
            data[at:at] = data[at : at + size] * draw.choice([1, 100])
        elif change == 4:
            data[at : at + size] = b"\xff" * size
        else:
            data[at : at + size] = draw.choice(TOKENS)
    return bytes(data)


@pytest.fixture(scope="module")
def trained(hone, tiny_model, write_run_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    hone("train", write_run_of(folder, tiny_model))
    return folder / "run/model"


@pytest.fixture(scope="module")
def write_run_of():
    from conftest import write_run

    return lambda folder, model: write_run(folder, model, num_train_epochs=1)


def pickled(folder):
    """The same weights as torch.save writes them."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def damage_pickle(path, draw):
    """The pickle inside of the archive, whose own records stay right."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, mutated(data, draw) if name.endswith("data.pkl") else data)


def damage_file(path, draw):
    path.write_bytes(mutated(path.read_bytes(), draw))


KINDS = [
    ("config.json", damage_file),
    ("hone.json", damage_file),
    ("tokenizer.json", damage_file),
    ("tokenizer_config.json", damage_file),
    ("vocab.txt", damage_file),
    ("model.safetensors", damage_file),
    ("pytorch_model.bin", damage_file),
    ("pytorch_model.bin", damage_pickle),
]


def damaged_copies(trained, folder, name, damage):
    """(seed, copy) of the model, damaged in another way each; the copy is gone after its turn."""
    manifest = (trained / "hone.json").read_text()
    for seed in range(ROUNDS):
        copy = shutil.copytree(trained, folder / str(seed))
        if name == "pytorch_model.bin":
            pickled(copy)
        # The checksums would find any change.
        (copy / "hone.json").write_text(without_checksums(manifest))
        damage(copy / name, random.Random(f"{name} {damage.__name__} {seed}"))
        yield seed, copy
        shutil.rmtree(copy)


def check(result, seed, codes):
    what = f"seed {seed}: {result.stderr}"
    assert result.code in codes, what
    assert "internal error" not in result.stderr, what
    assert result.megabytes < MOST_MEGABYTES, what


@pytest.mark.parametrize("name, damage", KINDS)
def test_damage_gets_an_answer_or_a_message(hone, trained, tmp_path, name, damage):
    program = hone("--version").args[0]
    for seed, folder in damaged_copies(trained, tmp_path, name, damage):
        row = b'{"text": "good film"}\n'
        check(run_measured([program, "predict", folder, "-"], stdin=row), seed, (0, 4))


@pytest.mark.parametrize("name, damage", [kind for kind in KINDS if kind[0] != "hone.json"])
def test_damage_of_a_base_model_does_so_in_training(
    hone, trained, write_run_of, tmp_path, name, damage
):
    program = hone("--version").args[0]
    (tmp_path / "run").mkdir()
    config = write_run_of(tmp_path / "run", "damaged")
    for seed, folder in damaged_copies(trained, tmp_path, name, damage):
        (folder / "hone.json").unlink()  # another program's model
        words = [f"model.path={folder}", "train.max_steps=1", "--overwrite"]
        result = run_measured([program, "train", config, *words])
        # A weight of 1e38 shows as rows whose gradient is no number.
        check(result, seed, (0, 3, 4))
        assert result.code != 3 or "the base model's" in result.stderr, f"seed {seed}"


def without_checksums(manifest):
    content = json.loads(manifest)
    content["files"] = {}
    content.pop("sha256", None)
    return json.dumps(content)
