"""What a user is told about a slip: each message names the place, what was found, and what to write instead."""

import csv
import json

import pytest
from conftest import sentiment, write_jsonl, write_run


def write_table(path, rows, separator=",", header=("text", "label")):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows(([header] if header else []) + list(rows))
    return path


def rows_of(count):
    return [(row["text"], row["label"]) for row in sentiment(count)]


def run_of(folder, model, path, task="{name: classify}", more=""):
    return write_run(folder, model, task=task, data=f"  train: {{path: {path}{more}}}")


def complaint(hone, config, *words, code=3):
    return hone("check", config, *words, code=code).stderr


def test_a_forgotten_header_is_asked_for(hone, tiny_model, tmp_path):
    path = write_table(tmp_path / "a.csv", rows_of(20), header=None)
    assert "begin without a header row?" in complaint(hone, run_of(tmp_path, tiny_model, path))
    numbered = run_of(tmp_path, tiny_model, path, more=", has_header: false")
    assert "columns without names are numbered" in complaint(hone, numbered)


@pytest.mark.parametrize("separator, word", [(";", ";"), ("\t", "tab"), ("|", "|")])
def test_a_wrong_separator_is_asked_for(hone, tiny_model, tmp_path, separator, word):
    path = write_table(tmp_path / "a.csv", rows_of(20), separator)
    config = run_of(tmp_path, tiny_model, path)
    assert f"is \"separator: '{word}'\" missing?" in complaint(hone, config)
    done = hone("check", config, f"data.train.separator={word}", "--json")
    assert json.loads(done.stdout)["data"]["train"]["used"] == 20


def test_punctuation_on_the_command_line_is_a_value(hone, tiny_model, tmp_path):
    path = write_table(tmp_path / "a.csv", [(text, f"{label},x") for text, label in rows_of(20)])
    config = run_of(tmp_path, tiny_model, path)
    words = ("data.train.separator=,", "task.label_separator=,")
    labels = json.loads(hone("check", config, *words, "--json").stdout)["data"]["train"]["labels"]
    assert labels == {"positive, x": 10, "negative, x": 10}


def test_a_configuration_of_one_comma_ends(hone, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(",")
    assert "put it in quotes" in hone("check", path, code=2).stderr


def test_training_data_under_another_name_are_asked_about(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, data=f"  train_file: {{path: {tmp_path}/train.jsonl}}")
    assert 'is "train_file" meant to be "train"?' in hone("check", config, code=2).stderr


def test_a_relative_path_says_where_it_starts(hone, tiny_model, tmp_path):
    config = run_of(tmp_path, tiny_model, "train.jsonl")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = hone("check", config, cwd=elsewhere, code=3)
    assert f"train.jsonl: no such file (looked for from {elsewhere}" in done.stderr


@pytest.mark.parametrize(
    "word, code",
    [
        ("data.train.path=nowhere/*.jsonl", 3),
        ("task.labels=names.txt", 2),
        ("model.path=models/nowhere/else", 4),
    ],
)
def test_other_relative_paths_say_where_they_start_too(hone, tiny_model, tmp_path, word, code):
    config = write_run(tmp_path, tiny_model)
    message = hone("check", config, word, cwd=tmp_path, code=code).stderr
    assert f"(looked for from {tmp_path}, where hone runs)" in message


def test_control_characters_of_labels_and_names_do_not_reach_the_terminal(
    hone, tiny_model, tmp_path
):
    rows = sentiment(20)
    for row in rows:
        row["label"] += "\x1b[31m\x9b2J\n!"
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    test = write_jsonl(tmp_path / "te\x1b[2Jst.jsonl", rows[:4])
    config = write_run(
        tmp_path,
        tiny_model,
        data=f'  train: {{path: {path}}}\n  test: {{path: "{tmp_path}/te\\e[2Jst.jsonl"}}',
    )
    checked = hone("check", config)
    trained = hone("train", config)
    unknown = write_jsonl(
        tmp_path / "unknown.jsonl", [{"text": "a", "label": "x\x1b]0;title\x07x"}]
    )
    refused = hone("eval", tmp_path / "run/model", unknown, code=3)
    for text in (
        checked.stdout,
        checked.stderr,
        trained.stdout,
        trained.stderr,
        refused.stderr,
        (tmp_path / "run/report.txt").read_text(),
    ):
        assert not set("\x1b\x9b\x07") & set(text)
    assert "positive\\x1b[31m\\u009b2J\\n!" in checked.stdout
    assert "\\x1b]0;title\\x07" in refused.stderr
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["per_class"][0]["label"] == "negative\x1b[31m\x9b2J\n!"
    assert test.exists()


def split_run(folder, model, rows, split):
    path = write_jsonl(folder / "all.jsonl", rows)
    return write_run(folder, model, data=f"  path: {path}\n  split: {split}")


def test_a_group_stays_in_one_part(hone, tiny_model, tmp_path):
    rows = [{**row, "dialogue": i // 4} for i, row in enumerate(sentiment(80))]
    config = split_run(tmp_path, tiny_model, rows, "{group: dialogue, validation: 0.2, test: 0.2}")
    hone("train", config)
    tested = {json.loads(line)["line"] for line in (tmp_path / "run/predictions.jsonl").open()}
    dialogues = {rows[line - 1]["dialogue"] for line in tested}
    assert tested == {i + 1 for i, row in enumerate(rows) if row["dialogue"] in dialogues}
    assert 12 <= len(tested) <= 20


@pytest.mark.parametrize("key", ["group", "stratify"])
def test_a_field_of_the_split_that_a_row_lacks_is_named(hone, tiny_model, tmp_path, key):
    rows = [{**row, "dialogue": i // 4} for i, row in enumerate(sentiment(40))]
    del rows[5]["dialogue"]
    config = split_run(tmp_path, tiny_model, rows, f"{{{key}: dialogue}}")
    assert 'all.jsonl:6: the row has no field "dialogue"' in complaint(hone, config)
    skipped = hone("check", config, "data.on_bad_row=skip", "--json")
    splits = json.loads(skipped.stdout)["data"].values()
    assert sum(audit["dropped"] for audit in splits) == 1
    assert sum(audit["used"] for audit in splits) == 39


def test_an_empty_part_says_which_and_why(hone, tiny_model, tmp_path):
    config = split_run(tmp_path, tiny_model, sentiment(20), "{validation: 0.3, test: 0.02}")
    assert '"split" leaves no row for test data, of 20 in the file; give "test" a larger' in (
        complaint(hone, config)
    )


def test_a_file_without_a_usable_row_says_why(hone, tiny_model, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("{bad}\n" * 3)
    config = run_of(tmp_path, tiny_model, path, more=", on_bad_row: skip")
    message = complaint(hone, config)
    assert "leaves no row for train data, of 3: 3 bad row; the first is" in message
    write_jsonl(path, [{"text": " ", "label": "a"}] * 4)
    assert "of 4: 4 empty text; the first is" in complaint(hone, config)


def test_a_list_in_a_cell_is_a_list(hone, tiny_model, tmp_path):
    cells = ["['a', 'b']", '["a"]', "[]", "['b']"]
    path = write_table(
        tmp_path / "a.csv", [(t, cells[i % 4]) for i, (t, _) in enumerate(rows_of(20))]
    )
    config = run_of(tmp_path, tiny_model, path)
    labels = json.loads(hone("check", config, "--json").stdout)["data"]["train"]["labels"]
    assert labels == {"a, b": 5, "a": 5, "b": 5}
    assert "is a list in a text: \"['a', 'b']\"" in complaint(hone, config, "task.type=single")


def test_the_starter_of_a_folder_with_an_odd_name_is_valid(hone, tiny_model, tmp_path):
    name = 'a: b, (c) #d "e"'
    hone("init", "classify", name, cwd=tmp_path)
    words = (f"{name}/config.yaml", f"model.path={tiny_model}")
    done = hone("check", *words, cwd=tmp_path, code=3)
    assert f"{name}/train.jsonl: no such file" in done.stderr


@pytest.mark.parametrize(
    "text, words",
    [
        ("text^label\na^x\nb^y\n", "is \"separator: '^'\" missing?"),
        ("text，label\na，x\nb，y\n", "is \"separator: '，'\" missing?"),
        ("'text','label'\n'a','x'\n'b','y'\n", "only double quotes enclose values"),
        ("text,label\n'a, c','x'\n'b','y'\n", "Only double quotes do so here"),
        ("# by hand\ntext,label\na,x\nb,y\n", "is the first line a comment?"),
        ("# by hand, twice\ntext,label\na,x\nb,y\n", "is the first line a comment?"),
    ],
)
def test_tables_of_other_habits_get_a_hint(hone, tiny_model, tmp_path, text, words):
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert words in complaint(hone, run_of(tmp_path, tiny_model, path))


def test_rows_below_an_object_are_found(hone, tiny_model, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "data": sentiment(4)}))
    message = complaint(hone, run_of(tmp_path, tiny_model, path))
    assert 'are the rows in the list "data"? Then say rows: data beside its path' in message


def test_a_split_beside_files_of_their_own_is_explained(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    message = hone("check", config, "data.split.validation=0.2", code=2).stderr
    assert 'beside "train" it divides nothing' in message


@pytest.mark.parametrize(
    "word, key",
    [
        ("model.pretrained=x", "path"),
        ("model.name_or_path=x", "path"),
        ("data.train.scheme=x", "tag_scheme"),
        ("data.train.schema=x", "tag_scheme"),
    ],
)
def test_keys_of_other_programs_get_their_own(hone, tiny_model, tmp_path, word, key):
    config = write_run(tmp_path, tiny_model)
    assert f'did you mean "{key}"?' in hone("check", config, word, code=2).stderr


def test_equal_texts_of_two_splits_with_other_labels_are_told(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = sentiment(4)
    rows[1]["label"] = rows[0]["label"]
    write_jsonl(tmp_path / "test.jsonl", rows)
    done = hone("check", config)
    assert "; 1 of them with other labels, where no answer is right in both" in done.stderr
    assert "4 texts of test stand in train (1 with other labels)" in done.stdout


@pytest.mark.parametrize("split", ["", "group: dialogue, "])
def test_a_file_that_cannot_be_divided_says_why(hone, tiny_model, tmp_path, split):
    rows = [{"text": "good film", "label": "ab"[i % 2], "dialogue": 1} for i in range(20)]
    if split:
        rows = [{**row, "text": f"film {i}"} for i, row in enumerate(rows)]
    config = split_run(tmp_path, tiny_model, rows, f"{{{split}validation: 0.2, test: 0.2}}")
    unit = '"dialogue"' if split else "text"
    assert f"rows of one {unit} stay together, and there is only 1 of them" in complaint(
        hone, config
    )


@pytest.mark.parametrize("key", ["group", "stratify"])
def test_fields_of_the_split_may_be_nested(hone, tiny_model, tmp_path, key):
    rows = [{**row, "doc": {"id": i // 4}} for i, row in enumerate(sentiment(40))]
    config = split_run(tmp_path, tiny_model, rows, f"{{{key}: doc.id, validation: 0.2, test: 0.2}}")
    splits = json.loads(hone("check", config, "--json").stdout)["data"].values()
    assert sum(audit["used"] for audit in splits) == 40
    del rows[6]["doc"]["id"]
    write_jsonl(tmp_path / "all.jsonl", rows)
    assert 'all.jsonl:7: the row has no field "doc.id"' in complaint(hone, config)


def test_lines_of_text_are_the_text_of_any_task(hone, tiny_model, tmp_path):
    rows = [
        {"sentence": f"{name} lives in paris", "entities": [{"start": 0, "end": 4, "label": "PER"}]}
        for name in ("anna", "smit") * 10
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    config = write_run(
        tmp_path,
        tiny_model,
        task="{name: ner, text: sentence}",
        data=f"  train: {{path: {path}}}",
        num_train_epochs=1,
    )
    hone("train", config)
    answer = hone("predict", tmp_path / "run/model", "-", stdin=b"anna is late\n").rows[0]
    assert answer["sentence"] == "anna is late" and "entities" in answer
