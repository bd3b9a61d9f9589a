"""A tokenizer.json may come from anybody and be as large as its reader lets it be: memory and time grow with it, and no faster."""

import json
import os
import random
import subprocess

import pytest
from conftest import HONE

MIB = 1 << 20


def write_tokenizer(folder, size):
    """Unigram, of pieces that are all different."""
    draw = random.Random(1)
    letters = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=MIB))
    pieces = [["<unk>", 0.0]]
    for number in range(size // 120):
        start = draw.randrange(MIB - 100)
        pieces.append([f"{letters[start : start + 90]}{number}", -1.5])
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces},
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return (folder / "tokenizer.json").stat().st_size


def use_of(folder):
    """Bytes of memory at most and seconds of the processor."""
    process = subprocess.Popen(
        [HONE, "tokenize", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


@pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built")
def test_memory_and_time_grow_with_the_file(tmp_path):
    small = write_tokenizer(tmp_path / "small", 4 * MIB)
    large = write_tokenizer(tmp_path / "large", 32 * MIB)
    (small_memory, small_seconds), (large_memory, large_seconds) = (
        min(use_of(tmp_path / name) for _ in range(2)) for name in ("small", "large")
    )
    assert large_memory - small_memory < 12 * (large - small)
    assert large_seconds < 4 * (large / small) * small_seconds


def test_a_file_of_more_values_than_any_model_has_is_refused(hone, tmp_path):
    """Written as "[]," a value takes three bytes of the file and a hundred of memory."""
    (tmp_path / "tokenizer.json").write_text(
        '{"version": "1.0", "model": [' + "[]," * 4_000_001 + "[]]}"
    )
    assert "more than 4000000 values" in hone("tokenize", tmp_path, stdin=b"", code=4).stderr
