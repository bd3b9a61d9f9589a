"""hone attack: rows rewritten until the model errs; its report, its file, and what it refuses."""

import json

import pytest
from conftest import SHARED, write_jsonl, write_run

LEXICON = "good bad\nfine awful\nfilm plot\n"


@pytest.fixture(scope="module")
def model(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    hone(
        "train", write_run(folder, tiny_model, num_train_epochs=25, learning_rate="3e-3"), "--quiet"
    )
    return folder


def attack(hone, folder, *options):
    return json.loads(
        hone("attack", folder / "run/model", folder / "train.jsonl", *options, "--json").stdout
    )


def test_a_lexicon_that_swaps_the_classes_breaks_rows(hone, model, tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text(LEXICON)
    out = tmp_path / "report"
    report = attack(
        hone, model, "--by", "synonyms", "--lexicon", lexicon, "--report", out, "--rows", 0
    )
    metrics = report["metrics"]
    assert metrics["accuracy"] > 0.9
    assert metrics["accuracy_under_attack"] < metrics["accuracy"]
    lines = [json.loads(line) for line in (out / "attacked.jsonl").read_text().splitlines()]
    assert len(lines) == report["n"] == 40
    broken = [line for line in lines if line["broken"]]
    assert len(broken) / 40 == pytest.approx(metrics["accuracy"] - metrics["accuracy_under_attack"])
    for line in broken:
        assert line["before"] != line["after"]
        for change in line["changes"]:
            assert change["by"] == "synonyms" and change["from"] in line["text"]
    assert {path.name for path in out.iterdir()} == {
        "attacked.jsonl",
        "report.html",
        "report.json",
        "report.txt",
    }
    assert "accuracy_under_attack" in (out / "report.txt").read_text()


def test_what_is_attacked_is_what_predict_says_of_it(hone, model, tmp_path):
    out = tmp_path / "report"
    attack(hone, model, "--by", "typos,homoglyphs", "--report", out, "--most-words", 1)
    lines = [json.loads(line) for line in (out / "attacked.jsonl").read_text().splitlines()]
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"text": line["attacked"]} for line in lines])
    answers = hone("predict", model / "run/model", rows).rows
    for line, answer in zip(lines, answers):
        assert answer["label"] == line["after"]["label"], line


def test_of_entities_the_labelled_words_stay(hone, tiny_model, tmp_path):
    rows = []
    for i in range(24):
        name = ("anna smith", "paris", "acme corp")[i % 3]
        text = f"{name} works at the {'good' if i % 2 else 'late'} film"
        rows.append(
            {"text": text, "entities": [{"start": 0, "end": len(name), "label": "ABC"[i % 3]}]}
        )
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    config = write_run(
        tmp_path,
        tiny_model,
        task="{name: ner}",
        data=f"  train: {{path: {data}}}\n  validation: {{path: {data}}}",
        num_train_epochs=12,
        learning_rate="3e-3",
    )
    hone("train", config, "--quiet")
    out = tmp_path / "report"
    hone("attack", tmp_path / "run/model", data, "--report", out, "--most-words", 1, "--quiet")
    lines = [json.loads(line) for line in (out / "attacked.jsonl").read_text().splitlines()]
    assert any(line["changed"] > 0 for line in lines)
    for row, line in zip(rows, lines):
        name = row["text"][: row["entities"][0]["end"]]
        assert line["attacked"].startswith(name + " ")


def test_a_masked_model_offers_whole_words(hone, model, tiny_model, tmp_path):
    lines = [json.loads(line)["text"] for line in (model / "train.jsonl").read_text().splitlines()]
    (tmp_path / "texts.txt").write_text("\n".join(lines) + "\n")
    config = write_run(
        tmp_path,
        tiny_model,
        task="{name: mlm}",
        data=f"  train: {{path: {tmp_path}/texts.txt}}",
        num_train_epochs=8,
    )
    hone("train", config, "--quiet")
    masked, out = tmp_path / "run/model", tmp_path / "report"
    attack(hone, model, "--by", "masked", "--masked", masked, "--report", out, "--most-words", 1)
    rows = [json.loads(line) for line in (out / "attacked.jsonl").read_text().splitlines()]
    changes = [change for row in rows for change in row["changes"]]
    assert changes
    for change in changes:
        assert change["by"] == "masked" and change["to"].isalnum()
        assert change["to"] != change["from"]


def test_a_model_without_a_head_for_masked_words_is_refused(hone, model, tiny_model):
    run = hone("attack", model / "run/model", model / "test.jsonl", "--masked", tiny_model, code=4)
    assert "has no head for task mlm" in run.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        (["--by", "typo"], 'did you mean "typos"?'),
        (["--by", "synonyms"], "--lexicon"),
        (["--by", "case,case"], "stands twice"),
        (["--most-words", "0"], "is no share above 0"),
        (["--most-words", "nan"], "is no share above 0"),
        (["--order", "importanc"], "importance"),
        (["--by", "case", "--lexicon", "none.txt"], "not asked for"),
    ],
)
def test_wrong_options_are_usage_errors(hone, model, options, message):
    run = hone("attack", model / "run/model", model / "test.jsonl", *options, code=2)
    assert message in run.stderr


def test_an_empty_file_has_no_row_to_attack(hone, model, tmp_path):
    (tmp_path / "none.jsonl").write_text("")
    run = hone("attack", model / "run/model", tmp_path / "none.jsonl", code=3)
    assert "none.jsonl" in run.stderr


@pytest.mark.parametrize(
    "lexicon", ["ppdb_wordnet_en/ppdb_synonyms.txt", "cilin_zh/dict_synonym.txt"]
)
def test_published_lexicons_are_read(hone, model, lexicon):
    path = SHARED / "data/lexicon" / lexicon
    if not path.exists():
        pytest.skip(f"{path} is not there")
    attack(hone, model, "--by", "synonyms", "--lexicon", path, "--rows", 4)
