"""Sections and keys that shape training: what they do is told, logged, saved, and refused in words."""

import json
import re

import pytest
from conftest import write_run


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
        "train", config, "--resume", "train.num_train_epochs=3", "regularise.fgm.epsilon=0.1"
    ).stderr
    assert re.search(r'warning: regularise.fgm was {"epsilon":1.0} before', told), told


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
