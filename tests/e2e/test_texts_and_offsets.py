"""Entities in texts: whatever cleaning, blanks, words and odd characters do, one text and one set of bounds from the file to the score."""

import json
import re

import pytest
from conftest import write_jsonl


def marked(text):
    """ "<PER Lena> flew" as a text with entities."""
    plain, entities, start, label = "", [], None, None
    while text:
        if text[0] == "<":
            label, text = text[1:].split(" ", 1)
            start = len(plain)
        elif text[0] == ">":
            entities.append({"start": start, "end": len(plain), "label": label})
            text = text[1:]
        else:
            plain, text = plain + text[0], text[1:]
    return {"text": plain, "entities": entities}


def write_ner(folder, model, rows, **train):
    """A run that learns its test data by heart."""
    write_jsonl(folder / "rows.jsonl", rows)
    options = {
        "num_train_epochs": 30,
        "per_device_train_batch_size": 4,
        "learning_rate": "3e-3",
        "precision": "fp32",
        "device": "cpu",
        **train,
    }
    config = folder / "config.yaml"
    config.write_text(
        f"model: {{path: {model}}}\ntask: {{name: ner}}\n"
        f"data:\n  train: {{path: {folder}/rows.jsonl}}\n  test: {{path: {folder}/rows.jsonl}}\n  leakage: off\n"
        f"train: {{{', '.join(f'{key}: {value}' for key, value in options.items())}}}\n"
        f"output: {{dir: {folder}/run}}\n"
    )
    return config


ROWS = [
    "   <PER Anna> lives in Berlin",
    "\u3000\u200b <PER Smith> is late",
    "\x01\x02a \x7f<PER An\x01na> works \x03at <ORG Acme\x00ad Corp>".replace("\x00", "\u00ad"),
    "late\r<PER Anna>",
    "order <PER  Anna >late",
    "card <PER Smith\n>",
    "<PER Annain> Paris".replace("nain>", "na>in"),
    "the <PER Smith>works film",
    "is <ORG Acme \u00ad Corp> late",
    "was <PER Jose\u0301> late",
    "good film",
    "<PER Anna\ufe0f> lost it",
]


def test_entities_are_learned_answered_and_scored_in_the_text_of_the_file(
    hone, tiny_model, tmp_path
):
    rows = [marked(row) for row in ROWS] * 2
    hone("train", write_ner(tmp_path, tiny_model, rows))
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["score"] == 1.0 and "unreachable_entities" not in report["metrics"]
    predictions = [
        json.loads(line) for line in (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    ]
    for row, predicted in zip(rows, predictions, strict=True):
        assert predicted["text"] == row["text"]
        assert len(predicted["entities"]) == len(row["entities"])
        for entity in predicted["entities"]:
            assert predicted["text"][entity["start"] : entity["end"]] == entity["text"]
    again = hone("predict", tmp_path / "run/model", tmp_path / "rows.jsonl", "--precision", "fp32")
    for row, predicted in zip(again.rows, predictions, strict=True):
        assert row["text"] == predicted["text"] and row["tags"] == predicted["tags"]
    scored = hone(
        "score", "ner", tmp_path / "rows.jsonl", tmp_path / "run/predictions.jsonl", "--json"
    )
    assert json.loads(scored.stdout)["metrics"] == report["metrics"]


def test_what_no_token_can_express_is_counted_and_named(hone, tiny_model, tmp_path):
    rows = [marked(row) for row in ("<N 12>km late", "go<N od> film", "<PER Anna> is late")]
    config = write_ner(tmp_path, tiny_model, rows, num_train_epochs=1)
    shown = json.loads(hone("check", config, "--json").stdout)
    assert shown["data"]["train"]["repaired"] == 2
    text = hone("check", config).stdout
    assert re.search(r'rows.jsonl:1: .*"N" at 0 to 2 .* learned as "12km"', text)
    assert re.search(r'rows.jsonl:2: .*"N" at 2 to 4 .* learned as "good"', text)
    hone("train", config)
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["metrics"]["unreachable_entities"] == 2


@pytest.mark.parametrize(
    "text, start, end, said",
    [
        ("  Anna is late", 10, 16, "the text has 14 characters"),
        ("\x01Anna", 1, 6, "the text has 5 characters"),
        ("Anna is late", 4, 5, "nothing but white space"),
        ("Anna is late", 4, 4, "empty"),
        ("Anna is late", 4, 0, "ends before it begins"),
        ("Anna 😀 is late", 13, 15, "15 UTF-16 units or 17 bytes"),
    ],
)
def test_bounds_that_cannot_be_are_refused_with_their_place(
    hone, tiny_model, tmp_path, text, start, end, said
):
    rows = [
        marked("<PER Anna> is late"),
        {"text": text, "entities": [{"start": start, "end": end, "label": "PER"}]},
    ]
    message = hone("train", write_ner(tmp_path, tiny_model, rows), code=3).stderr
    assert "rows.jsonl:2: " in message and f"at {start} to {end}" in message and said in message


def test_an_entity_goes_on_over_a_token_without_pieces(hone, tiny_model, tmp_path):
    rows = [
        {
            "tokens": ["acme", "\u00ad", "corp", "is", "late"],
            "tags": ["B-ORG", "I-ORG", "I-ORG", "O", "O"],
        },
        {"tokens": ["anna", "\u200b", "lives", "in", "paris"], "tags": ["B-PER", *["O"] * 4]},
    ] * 4
    hone("train", write_ner(tmp_path, tiny_model, rows))
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["score"] == 1.0 and report["metrics"]["accuracy"] == 1.0
