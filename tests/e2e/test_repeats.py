"""Several seeds and folds, two runs beside each other, several models as one, a rate that is looked for."""

import json

import pytest
from conftest import sentiment, write_jsonl, write_run


@pytest.fixture(scope="module")
def seeds(hone, tiny_model, tmp_path_factory):
    """Two runs of one configuration."""
    folder = tmp_path_factory.mktemp("seeds")
    run = hone("train", write_run(folder, tiny_model), "seeds=2")
    return folder, run


def test_seeds_give_one_table_of_all_runs(hone, seeds):
    folder, run = seeds
    assert "spread over runs" in run.stdout and "runs.html" in run.stdout
    table = json.loads((folder / "run/runs.json").read_text())
    each = [
        json.loads((folder / f"run/seed-{seed}/report.json").read_text())["score"]
        for seed in (42, 43)
    ]
    assert [row["score"] for row in table["runs"]] == each
    assert table["score"] == pytest.approx(sum(each) / 2)
    hone("train", folder / "config.yaml", "seeds=2", code=2)
    again = hone("train", folder / "config.yaml", "seeds=2", "--resume", "--json")
    assert json.loads(again.stdout)["runs"] == table["runs"]


def test_folds_test_every_row_once(hone, tiny_model, tmp_path):
    data = write_jsonl(
        tmp_path / "all.jsonl",
        [{**row, "author": i // 3} for i, row in enumerate(sentiment(60))],
    )
    config = write_run(
        tmp_path,
        tiny_model,
        data=f"  path: {data}\n  split: {{validation: 0.2, group: author}}",
        num_train_epochs=1,
    )
    hone("train", config, "folds=3", "--quiet")
    tested = []
    for fold in (1, 2, 3):
        lines = (tmp_path / f"run/fold-{fold}-seed-42/predictions.jsonl").read_text().splitlines()
        tested.append({json.loads(line)["line"] for line in lines})
    assert sum(map(len, tested)) == len(set.union(*tested)) == 60
    authors = [{(line - 1) // 3 for line in fold} for fold in tested]
    assert sum(map(len, authors)) == 20


def test_two_runs_are_compared_row_by_row(hone, seeds, tmp_path):
    folder, _ = seeds
    one, other = folder / "run/seed-42", folder / "run/seed-43"
    report = json.loads(hone("compare", one, other, "--json").stdout)
    assert sum(row["rows"] for row in report["right"]) == 10
    hone("compare", one, other, "--report", tmp_path / "report")
    assert "McNemar" in (tmp_path / "report/report.html").read_text()
    run = hone("compare", one, folder, code=2)
    assert "holds no run that has ended" in run.stderr


@pytest.mark.parametrize("kind", ["probabilities", "soup", "greedy-soup"])
def test_several_models_answer_as_one(hone, seeds, tmp_path, kind):
    folder, _ = seeds
    models = [folder / f"run/seed-{seed}/model" for seed in (42, 43)]
    data = ["--data", folder / "dev.jsonl"] if kind == "greedy-soup" else []
    out = tmp_path / "all"
    told = json.loads(hone("ensemble", out, *models, "--as", kind, *data, "--json").stdout)
    assert [one["model"] for one in told["models"]] != [] and told["model"] == str(out)
    report = json.loads(hone("eval", out, folder / "test.jsonl", "--json").stdout)
    assert report["n"] == 10
    answers = hone("predict", out, folder / "test.jsonl").rows
    if kind == "probabilities":
        each = [hone("predict", model, folder / "test.jsonl").rows for model in models]
        for answer, a, b in zip(answers, *each):
            for label, p in answer["scores"].items():
                assert p == pytest.approx((a["scores"][label] + b["scores"][label]) / 2, abs=2e-6)


def test_what_cannot_be_an_ensemble_is_refused(hone, seeds, tmp_path):
    folder, _ = seeds
    model = folder / "run/seed-42/model"
    assert "two models or more" in hone("ensemble", tmp_path / "a", model, code=2).stderr
    both = ("ensemble", tmp_path / "a", model, model)
    assert "--data FILE" in hone(*both, "--as", "greedy-soup", code=2).stderr
    assert "is there already" in hone("ensemble", folder, model, model, code=2).stderr
    assert "--data names none" in hone(*both, "fields.text=sentence", code=2).stderr


def test_a_rate_is_looked_for(hone, seeds, tmp_path):
    folder, _ = seeds
    out = tmp_path / "rates"
    told = hone(
        "find-lr", folder / "config.yaml", "--steps", 40, "--highest", 10, "--report", out, "--json"
    )
    report = json.loads(told.stdout)
    lines = report["trials"]["lines"]
    assert len(lines["loss"]) == len(lines["smoothed loss"]) <= 40
    assert report["rates"][0]["what"] == "to begin with"
    assert 1e-7 <= float(report["rates"][0]["rate"]) <= 10
    assert "<svg" in (out / "report.html").read_text()
    run = hone("find-lr", folder / "config.yaml", "--lowest", 1, "--highest", 0.1, code=2)
    assert "must be below" in run.stderr


def test_augmented_rows_are_trained_on_and_tested_on_none(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, num_train_epochs=1)
    run = hone("train", config, "augment={copies: 2, by: [swap, typos]}")
    assert "40 training rows with 2 copies each" in run.stderr
    assert json.loads((tmp_path / "run/report.json").read_text())["n"] == 10
    run = hone("train", config, "augment={by: [synonym]}", "output.dir=other", code=2)
    assert 'did you mean "synonyms"' in run.stderr
