"""eval and predict read, clean and encode as the run did; what is left out is counted and named."""

import json
import re

import pytest
from conftest import sentiment, write_jsonl, write_run

MODEL = "run/model"


def read_rows(path):
    return [json.loads(line) for line in open(path)]


def trained(hone, folder, model, *words, rows=None, task="{name: classify}"):
    """A run whose test data are `rows` beside the usual ones."""
    config = write_run(folder, model, task=task, num_train_epochs=1)
    if rows:
        with open(folder / "test.jsonl", "a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    hone("train", config, *words)
    return json.loads((folder / "run/report.json").read_text())


@pytest.fixture(scope="module")
def model(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    trained(hone, folder, tiny_model)
    return folder / MODEL


def evaluate(hone, model, data, *words, **options):
    return json.loads(
        hone("eval", model, data, "--json", "--precision", "fp32", *words, **options).stdout
    )


ODD = [
    {"text": "  good film \u0007", "label": "positive"},
    {"text": " \t", "label": "positive"},
    {"text": "bad plot", "label": "negative"},
    {"text": "BAD  plot", "label": "negative"},
    {"text": "bad plot ", "label": "positive"},
]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["data.clean.trim=false", "data.clean.remove_control=false"],
        ["data.clean.duplicates=drop"],
        ["data.clean.empty_texts=keep", "data.clean.near_duplicates=drop"],
    ],
)
def test_eval_of_the_runs_test_file_gives_the_runs_report(hone, tiny_model, tmp_path, words):
    report = trained(hone, tmp_path, tiny_model, *words, rows=ODD)
    again = evaluate(
        hone, tmp_path / MODEL, tmp_path / "test.jsonl", "--report", tmp_path / "again"
    )
    for key in ("n", "metrics", "confusion", "per_class"):
        assert again[key] == report[key], key
    assert again["data"]["test"] == report["data"]["test"]
    assert sum(again["data"]["test"]["lengths"]) == report["n"]
    assert read_rows(tmp_path / "again/predictions.jsonl") == read_rows(
        tmp_path / "run/predictions.jsonl"
    )


def test_words_of_the_command_line_stand_in_for_the_models_cleaning(hone, model, tmp_path):
    data = write_jsonl(tmp_path / "d.jsonl", sentiment(4) + ODD)
    assert evaluate(hone, model, data)["n"] == 8
    assert evaluate(hone, model, data, "clean.duplicates=drop")["n"] == 6
    assert evaluate(hone, model, data, "data.clean.empty_texts=keep")["n"] == 9
    assert "empty_texts" in hone("eval", model, data, "clean.empty_text=keep", code=2).stderr


def test_eval_reads_standard_input_once(hone, model, tmp_path):
    data = write_jsonl(tmp_path / "d.jsonl", sentiment(6) + ODD)
    piped = evaluate(hone, model, "-", "format=jsonl", stdin=data.read_bytes())
    assert piped["metrics"] == evaluate(hone, model, data)["metrics"]


BAD = [
    '{"text": null, "label": "positive"}',
    '{"text": 7, "label": "positive"}',
    '{"text": "good", "label": null}',
    '{"text": "good", "label": "unheard of"}',
    '{"text": "cut',
    "[1, 2]",
    '{"label": "positive"}',
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_row_ends_eval_or_is_left_out_counted_and_named(hone, model, tmp_path, bad):
    rows = [json.dumps(row) for row in sentiment(4)]
    (tmp_path / "d.jsonl").write_text("\n".join([*rows[:2], bad, *rows[2:]]) + "\n")
    assert re.search(r"d\.jsonl:3", hone("eval", model, tmp_path / "d.jsonl", code=3).stderr)
    result = hone("eval", model, tmp_path / "d.jsonl", "--json", "on_bad_row=skip")
    audit = json.loads(result.stdout)["data"]["test"]
    assert (audit["rows"], audit["used"], audit["dropped"]) == (5, 4, 1)
    assert [row["line"] for row in audit["examples"]] == [3]
    assert re.search(r"warning: .*1 of 5 rows are left out .*d\.jsonl:3.*--report", result.stderr)


def test_eval_without_a_good_row_says_so(hone, model, tmp_path):
    (tmp_path / "d.jsonl").write_text("\n".join(BAD) + "\n")
    message = hone("eval", model, tmp_path / "d.jsonl", "on_bad_row=skip", code=3).stderr
    assert re.search(r"error: .*d\.jsonl: ", message) and "internal" not in message


def test_unknown_labels_can_be_counted_as_the_message_says(hone, model, tmp_path):
    rows = [*sentiment(4), {"text": "good", "label": "unheard of"}]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    message = hone("eval", model, data, code=3).stderr
    (advice,) = re.findall(r"task\.unknown_labels=count", message)
    assert evaluate(hone, model, data, advice)["n"] == 5
    hint = hone("eval", model, data, "task.unknown_label=count", code=2).stderr
    assert 'did you mean "unknown_labels"' in hint
    assert "count" in hone("eval", model, data, "task.unknown_labels=cuont", code=2).stderr
    assert "single" in hone("eval", model, data, "task.type=multi", code=2).stderr


def test_predict_answers_every_row_in_its_place(hone, model, tmp_path):
    good = ["good film", "bad plot", "the actor", "late order"]
    lines = [json.dumps({"id": 1, "text": good[0]}), '{"text": "cut', '{"id": 3, "text": null}']
    lines += [json.dumps({"text": good[1]}), "[1]", json.dumps({"text": good[2]})]
    lines += ['{"text": ["a"]}', '{"txt": "a"}', json.dumps({"text": good[3]})]
    result = hone("predict", model, stdin="\n".join(lines).encode(), code=3)
    rows = result.rows
    assert len(rows) == len(lines)
    answered = [i for i, row in enumerate(rows) if "label" in row]
    assert answered == [0, 3, 5, 8]
    for i, row in enumerate(rows):
        assert ("error" in row) == (i not in answered)
        if "error" in row:
            assert f":{i + 1}" in row["error"]
    assert rows[2]["id"] == 3
    alone = hone("predict", model, stdin="\n".join(good).encode()).rows
    assert [rows[i]["scores"] for i in answered] == [row["scores"] for row in alone]
    assert re.search(r"error: 5 of 9 rows have no answer.*:2:\d+: not valid JSON", result.stderr)
    skipped = hone("predict", model, "-", "on_bad_row=skip", stdin="\n".join(lines).encode())
    assert skipped.rows == rows
    assert "warning: 5 of 9 rows have no answer" in skipped.stderr


def test_predict_leaves_out_neither_empty_nor_equal_texts(hone, tiny_model, tmp_path):
    trained(hone, tmp_path, tiny_model, "data.clean.duplicates=drop")
    texts = ["good film", "", "good film", "  bad plot"]
    stdin = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    rows = hone("predict", tmp_path / MODEL, stdin=stdin).rows
    assert [row["text"] for row in rows] == texts
    assert all("label" in row for row in rows)


def test_predict_answers_what_comes_before_a_broken_file(hone, model, tmp_path):
    rows = sentiment(4)
    (tmp_path / "d.json").write_text(json.dumps(rows)[:-1] + " ; ")
    result = hone("predict", model, tmp_path / "d.json", code=3)
    assert len(result.rows) == 4 and "not valid JSON" in result.stderr


@pytest.fixture(scope="module")
def tagger(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ner")
    good = [{"tokens": ["anna", "lives"], "tags": ["B-PER", "O"]}] * 8
    for name in ("train", "test"):
        write_jsonl(folder / f"{name}.jsonl", good)
    (folder / "config.yaml").write_text(
        f"model: {{path: {tiny_model}}}\ntask: {{name: ner}}\n"
        f"data:\n  train: {{path: {folder}/train.jsonl}}\n  test: {{path: {folder}/test.jsonl}}\n"
        f"train: {{num_train_epochs: 1, precision: fp32}}\noutput: {{dir: {folder}/run}}\n"
    )
    hone("train", folder / "config.yaml")
    return folder


def test_eval_of_entities_counts_types_and_leaves_out_bad_rows(hone, tagger, tmp_path):
    report = json.loads((tagger / "run/report.json").read_text())
    rows = read_rows(tagger / "test.jsonl")
    rows[3:3] = [
        {"tokens": ["anna", "lives"], "tags": ["B-PER"]},
        {"tokens": "anna", "tags": ["O"]},
    ]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    assert re.search(r"d\.jsonl:4", hone("eval", tagger / MODEL, data, code=3).stderr)
    again = evaluate(hone, tagger / MODEL, data, "on_bad_row=skip")
    assert again["metrics"] == report["metrics"]
    audit = again["data"]["test"]
    assert audit["labels"] == report["data"]["test"]["labels"] == {"PER": 8}
    assert [row["line"] for row in audit["examples"]] == [4, 5]


def test_predict_of_entities_names_bad_rows_in_their_place(hone, tagger):
    lines = [{"tokens": ["anna"]}, {"tokens": ["anna", 5]}, {"tokens": []}, {"tokens": ["paris"]}]
    stdin = "".join(json.dumps(line) + "\n" for line in lines).encode()
    rows = hone("predict", tagger / MODEL, stdin=stdin, code=3).rows
    assert ["error" in row for row in rows] == [False, True, True, False]
    assert rows[0]["tokens"] == ["anna"] and rows[3]["tags"][0] in ("O", "B-PER")
