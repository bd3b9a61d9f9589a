"""Translation from scratch: a tokenizer and a model of random weights, taught, tested, asked; and what cannot be."""

import json
import shutil

import pytest
from conftest import ROOT, write_jsonl

EXAMPLE = ROOT / "examples/seq2seq"
MARIAN = {
    "model_type": "marian",
    "vocab_size": 500,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 64,
    "activation_function": "relu",
    "scale_embedding": True,
    "init_std": 0.12,
    "dropout": 0.0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 0,
    "forced_eos_token_id": None,
}


@pytest.fixture(scope="module")
def blank(hone, tmp_path_factory):
    """A tokenizer learned from both sides of the example, and a configuration: no weights."""
    folder = tmp_path_factory.mktemp("blank") / "model"
    hone(
        "tokenizer", "train", folder, EXAMPLE / "train.jsonl", "vocab_size=500", "text=[source,target]"
    )  # fmt: skip
    (folder / "config.json").write_text(json.dumps(MARIAN))
    return folder


def write_config(folder, model, task=None, data=None, init="random", **sections):
    config = {
        "model": {"path": str(model), "init": init},
        "task": {"name": "seq2seq", "max_new_tokens": 24, **(task or {})},
        "data": data
        or {
            "train": {"path": str(EXAMPLE / "train.jsonl")},
            "validation": {"path": str(EXAMPLE / "dev.jsonl")},
            "test": {"path": str(EXAMPLE / "train.jsonl")},  # learned by heart
            "leakage": "off",
        },
        "train": {
            "max_steps": 1,
            "per_device_train_batch_size": 16,
            "learning_rate": 4e-3,
            "warmup_steps": 20,
            "precision": "fp32",
            "eval_strategy": "no",
            **sections.pop("train", {}),
        },
        "output": {"dir": str(folder / "run")},
        **sections,
    }
    (folder / "run.yaml").write_text(json.dumps(config))
    return folder / "run.yaml"


@pytest.fixture(scope="module")
def taught(hone, blank, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    average = {"average": {"last": 3, "every": 10}}
    hone("train", write_config(folder, blank, regularise=average, train={"max_steps": 160}))
    return folder / "run"


def test_a_model_of_random_weights_learns_the_example_by_heart(taught):
    report = json.loads((taught / "report.json").read_text())
    assert report["metrics"]["bleu"] > 90
    assert report["metrics"]["perplexity"] < 1.5


def test_answers_are_those_of_transformers(hone, taught):
    import torch
    import transformers

    rows = [json.loads(line) for line in (EXAMPLE / "dev.jsonl").read_text().splitlines()]
    asked = "".join(json.dumps({"source": row["source"]}) + "\n" for row in rows).encode()
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(taught / "model").eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(taught / "model/tokenizer.json")
    )
    for beams in (1, 4):
        ours = hone(
            "predict", taught / "model", "-", f"task.num_beams={beams}", "--precision", "fp32", stdin=asked
        ).rows  # fmt: skip
        for row, answer in zip(rows, ours, strict=True):
            ids = torch.tensor([tokenizer(row["source"])["input_ids"]])
            with torch.no_grad():
                found = model.generate(ids, num_beams=beams, max_new_tokens=24, do_sample=False)
            assert answer["target"] == tokenizer.decode(found[0], skip_special_tokens=True), row


def test_eval_scores_with_several_references(hone, taught):
    done = hone("eval", taught / "model", EXAMPLE / "test.jsonl", "--json")
    report = json.loads(done.stdout)
    assert report["n"] == 12
    assert {"bleu", "chrf", "perplexity", "loss"} <= report["metrics"].keys()


def test_two_files_line_by_line(hone, blank, tmp_path):
    (tmp_path / "a.en").write_text("the bread is warm\nthe oven is hot\n" * 20)
    (tmp_path / "a.nl").write_text("het brood is warm\nde oven is heet\n" * 20)
    source = {"path": str(tmp_path / "a.en"), "beside": {"target": str(tmp_path / "a.nl")}, "fields": {"source": "text"}}  # fmt: skip
    hone("train", write_config(tmp_path, blank, data={"train": source}))
    (tmp_path / "a.nl").write_text("het brood is warm\n")
    done = hone("train", tmp_path / "run.yaml", "--overwrite", code=3)
    assert "a.nl" in done.stderr


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"source": "a", "target": ""}, '"target" is empty'),
        ({"source": "a", "target": []}, "without a text"),
        ({"source": "a", "target": ["b", ""]}, "empty text among its references"),
        ({"source": "a", "target": ["b", None]}, "entry 2 is null"),
        ({"source": "a"}, "target"),
    ],
)
def test_bad_rows_are_named(hone, blank, tmp_path, row, complaint):
    write_jsonl(tmp_path / "rows.jsonl", [{"source": "the oven", "target": "de oven"}] * 3 + [row])
    data = {"train": {"path": str(tmp_path / "rows.jsonl")}}
    done = hone("train", write_config(tmp_path, blank, data=data), code=3)
    assert "rows.jsonl:4" in done.stderr
    assert complaint in done.stderr


def test_rows_without_a_source_are_left_out_and_named(hone, blank, tmp_path):
    rows = [{"source": "the oven", "target": "de oven"}, {"source": " ", "target": "a"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    data = {"train": {"path": str(tmp_path / "rows.jsonl")}}
    done = hone("train", write_config(tmp_path, blank, data=data))
    assert "1 of 2 rows are left out" in done.stderr
    assert 'rows.jsonl:2: "source" is empty' in done.stderr


def test_what_is_longer_than_its_limit_is_cut_and_counted(hone, blank, tmp_path):
    hone("train", write_config(tmp_path, blank, {"max_target_length": 5, "metrics": []}))
    audit = json.loads((tmp_path / "run/report.json").read_text())["data"]
    assert audit["train"]["truncated"] == audit["train"]["used"] == 64


def test_an_answer_that_never_ends_ends_at_the_longest(hone, blank, tmp_path):
    hone("train", write_config(tmp_path, blank, task={"metrics": []}))
    asked = b'{"source": "the oven"}\n'
    row = hone(
        "predict", tmp_path / "run/model", "-", "task.min_new_tokens=9", "task.max_new_tokens=9",
        "task.num_beams=900", stdin=asked,
    ).rows[0]  # fmt: skip
    assert row["finish_reason"] == "length"  # no token before the last may end it, nor may that
    assert row["answer_tokens"] == 9


def refused(hone, folder, code, *words):
    done = hone("train", folder / "run.yaml", code=code)
    for word in words:
        assert word in done.stderr, done.stderr


def test_what_cannot_be_is_refused(hone, blank, tiny_model, tmp_path):
    write_config(tmp_path, blank, {"source_language": "en_XX", "target_language": "nl_XX"})
    refused(hone, tmp_path, 2, "source_language", "en_XX")
    write_config(tmp_path, blank, {"max_target_length": 100})
    refused(hone, tmp_path, 2, "max_target_length")
    write_config(tmp_path, tiny_model)
    refused(hone, tmp_path, 2, "bert", "t5")
    write_config(tmp_path, blank, peft={"peft_type": "lora"})
    refused(hone, tmp_path, 2, "init")
    write_config(tmp_path, blank, init="pretrained")
    refused(hone, tmp_path, 4, "no weights")


def test_a_vocabulary_without_an_end_is_refused(hone, blank, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(blank, folder)
    options = json.loads((folder / "tokenizer_config.json").read_text())
    options.pop("eos_token", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    write_config(tmp_path, folder)
    for end in (700, None):
        (folder / "config.json").write_text(json.dumps(MARIAN | {"eos_token_id": end}))
        refused(hone, tmp_path, 4, "eos_token")


def test_a_first_token_that_nothing_names_is_refused(hone, blank, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(blank, folder)
    write_config(tmp_path, folder)
    for start in (500, None):
        (folder / "config.json").write_text(json.dumps(MARIAN | {"decoder_start_token_id": start}))
        refused(hone, tmp_path, 4, "decoder_start_token_id")
