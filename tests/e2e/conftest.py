"""End-to-end tests: the command as a user runs it. HONE_BIN names the program; else build/release/hone."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HONE = Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve()
SHARED = Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
MINILM = ROOT / "models/all-MiniLM-L6-v2"
ATTACK = os.environ.get("HONE_ATTACK") == "1"  # the long form of the tests in tests/attack

WORDS = "good bad fine awful the a film was plot actor very not and it is my card lost order late Anna Smith Paris Berlin Acme Corp lives in works at".split()


class Result(subprocess.CompletedProcess):
    @property
    def rows(self):
        return [json.loads(line) for line in self.stdout.splitlines()]


def start_training(config):
    """A run in the background, whose messages are read from `stderr`."""
    return subprocess.Popen(
        [HONE, "train", config],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
    )


@pytest.fixture(scope="session")
def hone(tmp_path_factory):
    """Runs hone and returns code, stdout and stderr; `code` is what is expected."""
    if not HONE.exists():
        pytest.skip(f"{HONE} is not built")
    cache = str(tmp_path_factory.mktemp("cache"))

    def run(*arguments, code=0, stdin=None, env=None, cwd=ROOT):
        done = subprocess.run(
            [str(HONE), *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "XDG_CACHE_HOME": cache, **(env or {})},
            timeout=600,
        )
        result = Result(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert result.returncode == code, (
            f"exit code {result.returncode}, expected {code}\n{result.stdout}\n{result.stderr}"
        )
        return result

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A BERT of random weights, small enough to train in a moment."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *map(str.lower, WORDS),
        *"abcdefghijklmnopqrstuvwxyz",
        *("##" + c for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 64}
        )
    )
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(set(vocabulary)),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def write_jsonl(path, rows):
    Path(path).write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def sentiment(count, start=0):
    """Rows that a tiny model learns: the first word tells the class."""
    rows = []
    for i in range(start, start + count):
        good = i % 2 == 0
        rows.append(
            {
                "text": f"{'good' if good else 'bad'} {WORDS[4 + i % 9]} {WORDS[4 + (i * 7) % 11]} {WORDS[6 + i % 5]} {chr(97 + i % 26)}{chr(97 + i // 26 % 26)}",
                "label": "positive" if good else "negative",
            }
        )
    return rows


def write_run(
    folder, model, task="{name: classify}", data="", rows=(40, 10, 10), output="run", **train
):
    """A configuration and its data in `folder`; returns the configuration's path."""
    folder = Path(folder)
    start = 0
    for name, count in zip(("train", "dev", "test"), rows):
        write_jsonl(folder / f"{name}.jsonl", sentiment(count, start))
        start += count
    data = data or "\n".join(
        f"  {split}: {{path: {folder}/{name}.jsonl}}"
        for split, name in (("train", "train"), ("validation", "dev"), ("test", "test"))
    )
    options = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "learning_rate": "1e-3",
        "precision": "fp32",
        "device": "cpu",
        **train,
    }
    listed = ", ".join(f"{key}: {value}" for key, value in options.items())
    path = folder / "config.yaml"
    path.write_text(
        f"model: {{path: {model}}}\ntask: {task}\ndata:\n{data}\n"
        f"train: {{{listed}}}\n"
        f"output: {{dir: {folder / output}}}\n"
    )
    return path
