"""What hone check and a report tell of the data: unknown tokens, equal texts with different labels, entity types, repairs."""

import json
import re

import pytest
from conftest import sentiment, write_jsonl, write_run


def check(hone, config, *words):
    return json.loads(hone("check", config, "--json", *words).stdout)["data"]


def test_unknown_tokens_are_counted_and_told_from_one_percent_on(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    audit = check(hone, config)["train"]
    assert audit["unknown_tokens"] == 0 and audit["text_tokens"] == audit["tokens"] - 2 * 40
    assert "unknown" not in hone("check", config).stderr
    rows = sentiment(40)
    for row in rows[:5]:
        row["text"] += " 🙂 🙂"
    write_jsonl(tmp_path / "train.jsonl", rows)
    audit = check(hone, config)["train"]
    assert audit["unknown_tokens"] == 10
    assert audit["unknown_share"] == pytest.approx(10 / audit["text_tokens"])
    result = hone("train", config)
    assert re.search(r"warning: train: 10 of \d+ tokens \(\d+\.\d %\) are unknown", result.stderr)
    assert "validation: " not in result.stderr
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["data"]["train"]["unknown_tokens"] == 10
    assert re.search(r"unknown tokens: 10 of \d+", hone("check", config).stdout)


def test_equal_texts_with_different_labels_are_counted_and_named(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = sentiment(40) + [
        {"text": "the film", "label": "positive"},
        {"text": "The  film", "label": "negative"},
        {"text": "the plot", "label": "positive"},
        {"text": "the plot", "label": "positive"},
    ]
    write_jsonl(tmp_path / "train.jsonl", rows)
    conflicts = check(hone, config)["train"]["conflicts"]
    place = f"{tmp_path}/train.jsonl"
    assert conflicts == {"texts": 1, "rows": 2, "examples": [[f"{place}:41", f"{place}:42"]]}
    result = hone("check", config)
    assert "equal texts with different labels: 1 in 2 rows" in result.stdout
    assert re.search(
        r"warning: train: equal texts with different labels: 1 in 2 rows.*train\.jsonl:41",
        result.stderr,
    )


def ner_run(folder, model, text, name="train.conll"):
    (folder / name).write_text(text)
    config = folder / "config.yaml"
    config.write_text(
        f"model: {{path: {model}}}\ntask: {{name: ner}}\n"
        f"data:\n  train: {{path: {folder}/{name}}}\n"
        f"train: {{num_train_epochs: 1}}\noutput: {{dir: {folder}/run}}\n"
    )
    return config


def test_check_shows_entity_types_with_their_counts(hone, tiny_model, tmp_path):
    text = "anna B-PER\nsmith I-PER\nlives O\nin O\nparis B-LOC\n\nberlin B-LOC\n\n" * 3
    config = ner_run(tmp_path, tiny_model, text)
    assert check(hone, config)["train"]["labels"] == {"LOC": 6, "PER": 3}
    assert re.search(r"labels\n  LOC +6 .*\n  PER +3 ", hone("check", config).stdout)


def test_equal_sentences_with_other_tags_are_conflicts(hone, tiny_model, tmp_path):
    text = "paris B-LOC\n\nparis B-PER\n\nberlin B-LOC\n\n"
    conflicts = check(hone, ner_run(tmp_path, tiny_model, text))["train"]["conflicts"]
    assert (conflicts["texts"], conflicts["rows"]) == (1, 2)


def test_repaired_sentences_are_counted_and_named(hone, tiny_model, tmp_path):
    good = "anna B-PER\nsmith I-PER\n\n" * 8
    config = ner_run(tmp_path, tiny_model, good + "paris I-LOC\nlives O\n\n")
    audit = check(hone, config)["train"]
    assert audit["repaired"] == 1 and audit["used"] == 9
    assert [row["line"] for row in audit["repairs"]] == [25]
    shown = hone("check", config)
    assert re.search(r"used after a repair\n.*train\.conll:25", shown.stdout)
    assert re.search(r"warning: train: used after a repair: 1 of 9 rows.*:25", shown.stderr)


def test_a_row_that_reader_and_task_repair_is_counted_once(hone, tiny_model, tmp_path):
    def task(number, text, start, end):  # offsets in UTF-16 units
        value = {"start": start, "end": end, "text": "12", "labels": ["PER"]}
        mark = {"id": "s", "type": "labels", "value": value}
        return {"id": number, "data": {"text": text}, "annotations": [{"result": [mark]}]}

    rows = [task(1, "🙂 12km is late", 3, 5), task(2, "🙂 12 km is late", 3, 5)]
    rows += [task(i, f"🙂 12 km is late, {i}", 3, 5) for i in range(3, 7)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    config = tmp_path / "config.yaml"
    source = f"path: {tmp_path}/rows.json, format: label_studio"

    def audits(data):
        config.write_text(
            f"model: {{path: {tiny_model}}}\ntask: {{name: ner}}\n"
            f"data: {{{data}, leakage: off}}\noutput: {{dir: {tmp_path}/run}}\n"
        )
        return check(hone, config)

    audit = audits(f"train: {{{source}}}")["train"]
    assert audit["rows"] == audit["repaired"] == 6
    reasons = [row["reason"] for row in audit["repairs"]]
    assert sum("UTF-16" in reason for reason in reasons) == 6
    assert sum("learned as" in reason for reason in reasons) == 1
    parts = audits(f"{source}, split: {{validation: 0.5}}")
    assert parts["train"]["rows"] > 0 < parts["validation"]["rows"]
    for part in parts.values():
        assert part["repaired"] == part["rows"] == part["used"] and part["repairs"]


def test_a_baseline_stands_beside_what_a_run_would_cost(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    told = hone("check", config, "--baseline")
    assert "baseline (TF-IDF of" in told.stdout and "on test" in told.stdout
    one = json.loads(hone("check", config, "--baseline", "--json").stdout)["baseline"]
    assert one["report"]["score"] == 1 and one["split"] == "test"  # the first word tells the label
    for task in ("{name: classify, type: regression, label: n}", "{name: classify, label: all}"):
        for split in ("train", "dev", "test"):
            path = tmp_path / f"{split}.jsonl"
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            for row in rows:
                row["n"] = float(row["label"] == "positive")
                row["all"] = [row["label"], "film"]
            write_jsonl(path, rows)
        report = json.loads(hone("check", config, "--baseline", "--json", f"task={task}").stdout)
        assert report["baseline"]["report"]["metrics"]
    refused = hone("check", config, "--baseline", "task={name: mlm}", code=2)
    assert "--baseline is for tasks" in refused.stderr and "mlm" in refused.stderr


def test_pieces_for_characters_that_a_vocabulary_lacks(hone, tiny_model, tmp_path):
    rows = [{"text": f"{'жук' if i % 2 else '😀'} film", "label": str(i % 2)} for i in range(12)]
    for split in ("train", "dev", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    config = write_run(tmp_path, tiny_model, num_train_epochs=20)
    for split in ("train", "dev", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    told = hone("check", config, "--add-tokens", tmp_path / "grown", "--least", 3)
    assert "4 added to" in told.stdout and "12 before, 0 now" in told.stdout
    ids = hone("tokenize", tmp_path / "grown", stdin="жук 😀".encode()).rows[0]
    assert ids["tokens"] == ["[CLS]", "ж", "##у", "##к", "😀", "[SEP]"]
    hone("train", config, f"model.path={tmp_path}/grown")
    import transformers

    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "grown")
    assert theirs("жук 😀")["input_ids"] == ids["ids"]
    assert (
        "is there already"
        in hone("check", config, "--add-tokens", tmp_path / "grown", code=2).stderr
    )
