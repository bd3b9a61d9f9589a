"""Sections and keys that shape training: what they do is told, logged, saved, and refused in words."""

import json
import re

import pytest
from conftest import write_jsonl, write_run


def steps_of(run):
    lines = [json.loads(line) for line in open(run / "metrics.jsonl")]
    return [line for line in lines if line["event"] == "step"]


def test_a_run_with_all_of_them_is_trained_and_shows_their_numbers(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, logging_steps=2, num_train_epochs=3)
    told = hone(
        "train",
        config,
        "regularise={r_drop: {alpha: 2}, fgm: {epsilon: 0.5}, ema: {decay: 0.9}}",
        "train.freeze=[embeddings.*]",
        "train.groups=[{parameters: classifier.*, learning_rate: 5e-3}]",
    ).stderr
    assert "regularised by r_drop, fgm, ema" in told
    assert re.search(r"frozen: embeddings\.\* \(5 weights", told), told
    for step in steps_of(tmp_path / "run"):
        assert step["r_drop.divergence"] > 0
        assert step["fgm.loss"] > 0
    assert "r_drop.divergence" in (tmp_path / "run/report.html").read_text()
    resolved = (tmp_path / "run/resolved_config.yaml").read_text()
    assert "warmup: true" in resolved and "epsilon: 0.5" in resolved


def test_other_regularisers_are_refused_at_resume(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    hone("train", config, "regularise.fgm={}")
    message = hone("train", config, "--resume", "train.num_train_epochs=3", code=2).stderr
    assert "its regularisers were fgm, now they would be none" in message
    told = hone(
        "train", config, "--resume", "train.num_train_epochs=3", "regularise.fgm.epsilon=0.2"
    ).stderr
    assert re.search(r'warning: regularise.fgm was {"epsilon":0.1} before', told), told


@pytest.mark.parametrize(
    "key, words",
    [
        ("regularise.rdrop={}", 'did you mean "r_drop"'),
        ("regularise.ema.decai=0.5", 'did you mean "decay"'),
        ("regularise.fgm.epsilon=0", '"epsilon" is 0; it must be more than 0'),
        ("regularize={}", 'did you mean "regularise"'),
        ("train.optim=adamv", "adamw"),
        ("train.optimizer=adamw", 'did you mean "optim"'),
        ("train.freeze=[embedings.*]", 'did you mean "embeddings.*"'),
        ("train.freeze='*'", "nothing is left to train"),
        ("train.groups=[{parameters: clasifier.*, factor: 2}]", 'did you mean "classifier.*"'),
    ],
)
def test_what_is_none_gets_the_nearest_right_one(hone, tiny_model, tmp_path, key, words):
    config = write_run(tmp_path, tiny_model)
    assert words in hone("train", config, key, code=2).stderr
    assert not (tmp_path / "run/checkpoints").exists()


def test_classes_are_drawn_equally_often_also_one_without_rows(hone, tiny_model, tmp_path):
    rows = [{"text": f"good film {chr(97 + i)}", "label": "positive"} for i in range(20)]
    rows += [{"text": "bad film", "label": "negative"}]
    write_jsonl(tmp_path / "skewed.jsonl", rows)
    task = "{name: classify, labels: [negative, positive, never]}"
    config = write_run(
        tmp_path,
        tiny_model,
        task=task,
        data=f"  train: {{path: {tmp_path}/skewed.jsonl}}\n  test: {{path: {tmp_path}/skewed.jsonl}}",
        num_train_epochs=6,
    )
    recalls = {}
    for way in ("size", "equal"):
        told = hone("train", config, f"train.class_sampling={way}", "--overwrite")
        assert "no training row has 1 of the 3 labels" in told.stderr
        report = json.loads((tmp_path / "run/report.json").read_text())
        recalls[way] = {row["label"]: row["recall"] for row in report["per_class"]}
    assert recalls["equal"]["negative"] == 1


def test_rows_without_a_class_each_cannot_be_drawn_by_it(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, task="{name: mlm}")
    told = hone("train", config, "train.class_sampling=equal", code=2)
    assert "train.class_sampling is equal" in told.stderr and "mlm" in told.stderr
