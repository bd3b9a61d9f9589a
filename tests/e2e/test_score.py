"""hone score: any file against itself is perfect, predictions of other rows are refused."""

import json

import pytest
from conftest import write_jsonl

SCHEMES = {
    "IOB1": ["I-X", "I-X", "B-X", "O", "I-Y"],
    "IOB2": ["B-X", "I-X", "B-X", "O", "B-Y"],
    "IOE1": ["I-X", "E-X", "I-X", "O", "I-Y"],
    "IOE2": ["I-X", "E-X", "E-X", "O", "E-Y"],
    "BIOES": ["B-X", "E-X", "S-X", "O", "S-Y"],
    "BMES": ["B-X", "E-X", "S-X", "O", "S-Y"],
    "BMEWO": ["B-X", "E-X", "W-X", "O", "W-Y"],
    "BILOU": ["B-X", "L-X", "U-X", "O", "U-Y"],
}


def score(hone, task, gold, predicted, *options):
    return json.loads(hone("score", task, gold, predicted, *options, "--json").stdout)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_of_any_scheme_against_itself_is_perfect(hone, tmp_path, scheme):
    row = {"tokens": list("abcde"), "tags": SCHEMES[scheme]}
    gold = write_jsonl(tmp_path / "gold.jsonl", [row, row])
    other = write_jsonl(tmp_path / "iob2.jsonl", [{"tags": SCHEMES["IOB2"]}] * 2)
    for predicted in (gold, other):
        metrics = score(hone, "ner", gold, predicted)["metrics"]
        assert set(metrics.values()) == {1.0}, metrics
    conll = tmp_path / "gold.conll"
    conll.write_text("\n".join(f"{a} {b}" for a, b in zip(row["tokens"], row["tags"])) + "\n\n")
    for options in ([], [f"data.tag_scheme={scheme}"]):
        metrics = score(hone, "ner", conll, conll, *options)["metrics"]
        assert set(metrics.values()) == {1.0}, metrics


def rows_of(task, count, start=0):
    if task == "classify":
        return [
            {"text": f"row {i} is here", "label": "ab"[i % 2]} for i in range(start, start + count)
        ]
    return [
        {"tokens": ["row", str(i), "is"], "tags": ["B-X", "O", "O"]}
        for i in range(start, start + count)
    ]


@pytest.mark.parametrize("task", ["classify", "ner"])
def test_predictions_of_other_rows_are_refused_with_the_line(hone, tmp_path, task):
    rows = rows_of(task, 8)
    gold = write_jsonl(tmp_path / "gold.jsonl", rows)
    cases = {
        "shifted": (rows[1:] + rows[:1], 1, "is a line missing"),
        "missing": (rows[:3] + rows[4:], 4, "is a line missing"),
        "doubled": (rows[:3] + rows[2:], 4, "is a line of"),
        "other": (rows_of(task, 8, 100), 1, "were they made of"),
    }
    for name, (predicted, line, hint) in cases.items():
        path = write_jsonl(tmp_path / f"{name}.jsonl", predicted)
        message = hone("score", task, gold, path, code=3).stderr
        assert f"{name}.jsonl:{line}: is of another row than" in message, message
        assert hint in message


def test_an_id_tells_rows_apart_too(hone, tmp_path):
    gold = write_jsonl(
        tmp_path / "g.jsonl", [{"id": i, "text": "t", "label": "ab"[i]} for i in (0, 1)]
    )
    said = [{"id": str(i), "label": "ab"[i]} for i in (0, 1)]
    assert score(hone, "classify", gold, write_jsonl(tmp_path / "p.jsonl", said))["score"] == 1
    swapped = write_jsonl(tmp_path / "s.jsonl", said[::-1])
    assert '"id"' in hone("score", "classify", gold, swapped, code=3).stderr


def test_blanks_and_case_make_no_other_row_and_labels_alone_will_do(hone, tmp_path):
    gold = write_jsonl(tmp_path / "g.jsonl", [{"text": "  A\x01  b ", "label": "x"}] * 2)
    for predicted in ({"text": "a b", "label": "x"}, {"label": "x"}):
        path = write_jsonl(tmp_path / "p.jsonl", [predicted] * 2)
        assert score(hone, "classify", gold, path)["score"] == 1


def test_rows_that_a_run_leaves_out_are_left_out_of_the_score(hone, tmp_path):
    rows = rows_of("classify", 4)
    rows[1]["text"] = " "
    gold = write_jsonl(tmp_path / "g.jsonl", rows)
    for kept in (rows[:1] + rows[2:], rows):  # as a run writes predictions, and one for each row
        result = score(hone, "classify", gold, write_jsonl(tmp_path / "p.jsonl", kept))
        assert (result["n"], result["score"]) == (3, 1.0)
        assert result["data"]["test"]["dropped"] == 1


def test_bad_rows_of_a_run_are_left_out_of_the_score_too(hone, tmp_path):
    good = [{"text": f"row {i}", "label": "ab"[i % 2]} for i in range(4)]
    bad = ['{"text": null, "label": "a"}', "{broken"]
    lines = [json.dumps(row) for row in good]
    (tmp_path / "gold.jsonl").write_text("\n".join(lines[:2] + bad + lines[2:]) + "\n")
    errors = [
        '{"text": null, "error": "text is null"}',
        '{"error": "not valid JSON"}',
    ]
    # Both as `predict` writes a bad row and as `on_bad_row=skip` leaves it out.
    for name, predicted in (("all", lines[:2] + errors + lines[2:]), ("skipped", lines)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(predicted) + "\n")
        done = hone(
            "score",
            "classify",
            tmp_path / "gold.jsonl",
            tmp_path / f"{name}.jsonl",
            "data.on_bad_row=skip",
            "--json",
        )
        report = json.loads(done.stdout)
        assert (report["n"], report["metrics"]["accuracy"]) == (4, 1.0), name
        assert report["data"]["test"]["dropped"] == 2
        assert "2 of 6 rows" in done.stderr


def test_an_error_in_the_place_of_an_answer_is_named(hone, tmp_path):
    gold = write_jsonl(tmp_path / "g.jsonl", rows_of("classify", 2))
    said = [rows_of("classify", 1)[0], {"error": 'g.jsonl:2: "text" is null.'}]
    message = hone(
        "score", "classify", gold, write_jsonl(tmp_path / "p.jsonl", said), code=3
    ).stderr
    assert "p.jsonl:2:" in message and '"text" is null' in message


def test_offsets_of_another_text_are_refused(hone, tmp_path):
    entities = [{"start": 2, "end": 6, "label": "PER"}]
    gold = write_jsonl(tmp_path / "g.jsonl", [{"text": "  Anna", "entities": entities}])
    other = [{"text": "Anna", "entities": [{"start": 0, "end": 4, "label": "PER"}]}]
    message = hone("score", "ner", gold, write_jsonl(tmp_path / "p.jsonl", other), code=3).stderr
    assert "g.jsonl:1:" in message and "another text" in message


def test_many_labels_give_a_table_of_bounded_size(hone, tmp_path):
    labels = 3000
    gold = [{"text": f"t{i}", "label": f"l{i}"} for i in range(labels)]
    said = [{"text": f"t{i}", "label": f"l{i if i < labels - 5 else 0}"} for i in range(labels)]
    result = score(
        hone,
        "classify",
        write_jsonl(tmp_path / "g.jsonl", gold),
        write_jsonl(tmp_path / "p.jsonl", said),
    )
    table = result["confusion"]
    assert len(table["labels"]) == len(table["counts"]) == 1000
    assert sum(map(sum, table["counts"])) == labels
    assert table["counts"][table["labels"].index("l2999")][table["labels"].index("l0")] == 1


def scored_with_skip(hone, folder, task, rows):
    path = write_jsonl(folder / "rows.jsonl", rows)
    done = hone("score", task, path, path, "data.on_bad_row=skip", "--json")
    return json.loads(done.stdout)


BAD_LABELS = [None, {"k": "x"}, [["a"]], "", " ", 1e300, ...]
OF_SEVERAL = [["a"], {"k": 1}]  # where they come first, each row has several labels


@pytest.mark.parametrize(
    "place, bad",
    [(0, bad) for bad in BAD_LABELS] + [(2, bad) for bad in BAD_LABELS + OF_SEVERAL],
    ids=str,
)
def test_gold_rows_without_a_label_are_left_out_with_skip(hone, tmp_path, place, bad):
    rows = rows_of("classify", 6)
    if bad is ...:
        del rows[place]["label"]
    else:
        rows[place]["label"] = bad
    report = scored_with_skip(hone, tmp_path, "classify", rows)
    assert (report["n"], report["score"]) == (5, 1.0)
    assert report["data"]["test"]["dropped"] == 1


@pytest.mark.parametrize(
    "tags", [None, 7, "B-X", ["O"], ["O", None, "O"], ["O", "?", "O"], ...], ids=str
)
def test_gold_rows_without_tags_are_left_out_with_skip(hone, tmp_path, tags):
    rows = rows_of("ner", 6)
    if tags is ...:
        del rows[2]["tags"]
    else:
        rows[2]["tags"] = tags
    report = scored_with_skip(hone, tmp_path, "ner", rows)
    assert (report["n"], report["score"]) == (5, 1.0)


@pytest.mark.parametrize("number", [None, "much", [1], {"k": 1}, "", 1e300], ids=str)
def test_gold_rows_without_a_number_are_left_out_with_skip(hone, tmp_path, number):
    rows = [{"text": f"t{i}", "label": i / 3} for i in range(6)]
    rows[2]["label"] = number
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    words = ("task.type=regression", "data.on_bad_row=skip", "--json")
    report = json.loads(hone("score", "classify", path, path, *words).stdout)
    assert (report["n"], report["score"]) == (5, 1.0)


def test_gold_without_a_usable_row_says_why(hone, tmp_path):
    path = write_jsonl(tmp_path / "g.jsonl", [{"text": "a", "label": None}] * 3)
    message = hone("score", "classify", path, path, "data.on_bad_row=skip", code=3).stderr
    assert "leaves no row to score, of 3: 3 bad row; the first is" in message
    assert '"label" is null' in message


@pytest.mark.parametrize(
    "task, gold, field",
    [
        ("classify", {"text": "t", "label": "a"}, "label"),
        ("ner", {"tokens": ["a"], "tags": ["O"]}, "tags"),
        ("ner", {"text": "a", "entities": []}, "entities"),
    ],
)
def test_errors_of_predictions_name_their_own_line(hone, tmp_path, task, gold, field):
    rows = write_jsonl(tmp_path / "g.jsonl", [gold] * 3)
    for wrong in (None, {"k": 7}, ...):
        said = [dict(gold) for _ in range(3)]
        if wrong is ...:
            del said[1][field]
        else:
            said[1][field] = wrong
        path = write_jsonl(tmp_path / "p.jsonl", said)
        message = hone("score", task, rows, path, code=3).stderr
        assert f"p.jsonl:2: of {rows}:2: " in message, message


def test_predictions_are_set_beside_others_of_the_same_rows(hone, tmp_path):
    rows = rows_of("classify", 60)
    gold = write_jsonl(tmp_path / "gold.jsonl", rows)
    wrong = [{**row, "label": "b"} if i % 3 == 0 else row for i, row in enumerate(rows)]
    good, bad = write_jsonl(tmp_path / "a.jsonl", rows), write_jsonl(tmp_path / "b.jsonl", wrong)

    def accuracy(one, other):
        table = score(hone, "classify", gold, one, "--against", other)["against"]
        return next(row for row in table if row["metric"] == "accuracy")

    better = accuracy(good, bad)  # 10 of 60 are wrong in the other one
    assert (better["value"], better["other"]) == (1, pytest.approx(50 / 60))
    assert better["low"] > 0 and better["p"] < 0.05
    assert accuracy(good, good)["p"] == 1
    short = write_jsonl(tmp_path / "short.jsonl", rows[:-1])
    assert "short.jsonl" in hone("score", "classify", gold, good, "--against", short, code=3).stderr


def test_a_report_of_a_score_stands_in_its_folder_and_over_no_input(hone, tmp_path):
    gold = write_jsonl(tmp_path / "gold.jsonl", rows_of("classify", 4))
    hone("score", "classify", gold, gold, "--report", tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.json",
        "report.html",
        "report.txt",
    }
    inside = write_jsonl(tmp_path / "report.json", rows_of("classify", 4))
    assert (
        "report.json"
        in hone("score", "classify", inside, gold, "--report", tmp_path, code=2).stderr
    )
