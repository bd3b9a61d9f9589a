"""The precision of a run, and what `auto` means afterwards."""

import json

import pytest
from conftest import sentiment, write_jsonl, write_run


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def run(request, hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    hone("train", write_run(folder, tiny_model, precision=request.param))
    return request.param, folder


def precision_of(hone, model, data, *words):
    done = hone("eval", model, data, "--json", *words)
    report = json.loads(done.stdout)
    return report["environment"]["precision"], report["score"], done.stderr


def computes_in(hone, precision):
    return precision == "fp32" or json.loads(hone("env", "--json").stdout)["bf16"]


def test_auto_is_the_precision_of_the_run_that_trained_the_model(hone, run):
    precision, folder = run
    assert json.loads((folder / "run/model/hone.json").read_text())["precision"] == precision
    used, score, told = precision_of(hone, folder / "run/model", folder / "test.jsonl")
    if computes_in(hone, precision):
        assert used == precision and "precision" not in told
        assert score == json.loads((folder / "run/report.json").read_text())["score"]
    else:
        assert used == "fp32"
        assert "the model was trained in bf16, for which this processor has no instructions" in told


def test_another_precision_is_taken_where_it_is_asked_for(hone, run):
    _, folder = run
    for asked in ("fp32", "bf16", "int8"):
        used, _, _ = precision_of(
            hone, folder / "run/model", folder / "test.jsonl", "--precision", asked
        )
        assert used == asked


def test_answers_of_auto_are_those_of_the_runs_own_predictions(hone, run):
    precision, folder = run
    if not computes_in(hone, precision):
        pytest.skip("this processor has no bf16 instructions")
    answers = hone("predict", folder / "run/model", folder / "test.jsonl").rows
    saved = [
        json.loads(line) for line in (folder / "run/predictions.jsonl").read_text().splitlines()
    ]
    assert len(answers) == len(saved) == 10
    for answer, line in zip(answers, saved):
        assert answer == {key: line[key] for key in answer}
        assert "label" in answer


def test_a_model_that_does_not_say_gets_the_faster_precision_here(hone, run, tmp_path):
    _, folder = run
    path = folder / "run/model/hone.json"
    manifest = json.loads(path.read_text())
    before = path.read_text()
    try:
        del manifest["precision"], manifest["sha256"]
        path.write_text(json.dumps(manifest))
        data = write_jsonl(tmp_path / "data.jsonl", sentiment(6))
        used, _, _ = precision_of(hone, folder / "run/model", data)
        assert used in ("fp32", "bf16")
        path.write_text(json.dumps({**manifest, "precision": "fp16"}))
        assert (
            "is none of fp32, bf16, int8" in hone("eval", folder / "run/model", data, code=4).stderr
        )
    finally:
        path.write_text(before)
