"""An answer is the same to the last digit alone and in any batch, in any order, on any number of threads, in every precision.

HONE_ATTACK=1: every combination of them, on a model of MiniLM's width."""

import itertools
import json
import random

import pytest
from conftest import ATTACK, WORDS, write_jsonl, write_run

ROWS = 158 if ATTACK else 60
PRECISIONS = ("fp32", "bf16", "int8")
TASKS = {
    "single": "{name: classify}",
    "multi": "{name: classify, type: multi}",
    "number": "{name: classify, type: regression}",
    "ner": "{name: ner}",
}
# What a family has beside BERT.
FAMILIES = {
    "bert": {},
    "albert": {},
    "mpnet": {},
    "modernbert": {"local_attention": 8, "pad_token_id": 0},
}
# Tokens in a forward pass, threads, order of the rows.
WAYS = (
    list(itertools.product((1, 7, 64, 2048), (1, 2, 3), ("as they are", "shuffled")))
    if ATTACK
    else [(1, 3, "shuffled"), (64, 2, "as they are")]
)


def sentence(i):
    length = 1 + i * 7 % 40
    return " ".join(WORDS[(i * 5 + k * (3 + i % 4)) % len(WORDS)] for k in range(length))


def row(kind, i):
    labels = ["first", "second", "third"]
    if kind == "ner":
        tokens = sentence(i).split()
        return {"tokens": tokens, "tags": ["B-PER" if t[0].isupper() else "O" for t in tokens]}
    label = {"single": labels[i % 3], "multi": labels[: 1 + i % 3], "number": i % 11 / 4}[kind]
    return {"text": sentence(i), "label": label}


def make_wide(family, tiny_model, folder):
    """As wide as models are: what depends on the number of rows shows in long sums."""
    import torch
    import transformers

    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    like = transformers.BertConfig.from_pretrained(tiny_model)
    width = 384 if ATTACK else 192
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=like.vocab_size,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=6,
        num_hidden_layers=like.num_hidden_layers,
        max_position_embeddings=like.max_position_embeddings,
        **FAMILIES[family],
    )
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)


@pytest.fixture(scope="module", params=FAMILIES)
def wide_model(request, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    make_wide(request.param, tiny_model, folder)
    return request.param, folder


@pytest.mark.parametrize("kind", TASKS)
def test_an_answer_depends_on_its_row_alone(hone, wide_model, tmp_path, kind):
    family, model = wide_model
    if family != "bert" and kind not in ("single", "ner"):
        pytest.skip("the heads are BERT's")
    config = write_run(tmp_path, model, TASKS[kind], max_steps=4, save_strategy="no")
    rows = [row(kind, i) for i in range(ROWS)]
    for name in ("train", "dev", "test"):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    hone("train", config)
    order = list(range(ROWS))
    random.Random(1).shuffle(order)
    write_jsonl(tmp_path / "shuffled.jsonl", [rows[i] for i in order])

    def answers(precision, tokens, threads, shuffled):
        file = tmp_path / ("shuffled.jsonl" if shuffled else "test.jsonl")
        how = ("--precision", precision, "--max-tokens", tokens, "--threads", threads)
        lines = hone("predict", tmp_path / "run/model", file, *how).stdout.splitlines()
        assert len(lines) == ROWS
        return [lines[order.index(i)] for i in range(ROWS)] if shuffled else lines

    for precision in PRECISIONS:
        expected = answers(precision, 2048, 1, shuffled=False)
        assert len({json.dumps(json.loads(line), sort_keys=True) for line in expected}) > ROWS // 2
        for tokens, threads, how in WAYS:
            found = answers(precision, tokens, threads, how == "shuffled")
            off = [i for i in range(ROWS) if found[i] != expected[i]]
            assert not off, (
                f"{precision}, {tokens} tokens, {threads} threads, {how}: {len(off)} rows differ, "
                f"the first: {found[off[0]]}, expected {expected[off[0]]}"
            )
