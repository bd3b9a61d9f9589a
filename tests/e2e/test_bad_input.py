"""What a broken model, data file or configuration gets: an exit code and a message with its place. Never a crash, never silence."""

import gzip
import json
import os
import re
import shutil
import struct

import pytest
from conftest import sentiment, write_jsonl, write_run


def good_line(text="good film", label="positive"):
    return json.dumps({"text": text, "label": label}) + "\n"


def append(name, data):
    def change(folder, model):
        with open(folder / name, "ab") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    return change


def replace(name, data):
    def change(folder, model):
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return change


def config_line(old, new):
    def change(folder, model):
        path = folder / "config.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def instead_of_train(name, text):
    """The training data under another name, which tells its format."""

    def change(folder, model):
        (folder / name).write_text(text)
        config_line("/train.jsonl", "/" + name)(folder, model)

    return change


def model_file(name, edit):
    def change(folder, model):
        path = model / name
        path.write_bytes(edit(path.read_bytes()))

    return change


def header_of(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(edit):
    def change(data):
        header, body = header_of(data)
        edit(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + body

    return change


def swap_shape(header):
    name = next(name for name in header if name.endswith("intermediate.dense.weight"))
    header[name]["shape"].reverse()


def drop_weight(data):
    from safetensors.torch import load, save

    tensors = load(data)
    del tensors["encoder.layer.1.output.dense.weight"]
    return save(tensors)


def lie_about_offsets(header):
    name = next(name for name in header if name.endswith("output.dense.bias"))
    header[name]["data_offsets"][1] += 1 << 40


DATA = {  # change, exit code, pieces of the message
    "missing file": (
        config_line("train.jsonl", "trian.jsonl"),
        3,
        [r"trian\.jsonl: no such file", r"train\.jsonl"],
    ),
    "empty file": (replace("train.jsonl", ""), 3, [r"train\.jsonl"]),
    "only blank lines": (replace("train.jsonl", "\n\n\n"), 3, [r"train\.jsonl"]),
    "one class": (
        replace("train.jsonl", good_line() + good_line("bad film")),
        3,
        ["two classes", '"positive"'],
    ),
    "not JSON": (append("train.jsonl", "{'text': 1}\n"), 3, [r"train\.jsonl:41:2"]),
    "cut line": (append("train.jsonl", '{"text": "good'), 3, [r"train\.jsonl:41:\d+"]),
    "array instead of object": (
        append("train.jsonl", '["good film", "positive"]\n'),
        3,
        [r"train\.jsonl:41", "object"],
    ),
    "missing text field": (
        append("train.jsonl", '{"txt": "good", "label": "positive"}\n'),
        3,
        [r"train\.jsonl:41", '"text"', '"txt"|txt'],
    ),
    "missing label field": (
        append("train.jsonl", '{"text": "good"}\n'),
        3,
        [r"train\.jsonl:41", '"label"'],
    ),
    "null label": (
        append("train.jsonl", '{"text": "good", "label": null}\n'),
        3,
        [r"train\.jsonl:41", '"label"'],
    ),
    "text is a number": (
        append("train.jsonl", '{"text": 5, "label": "positive"}\n'),
        3,
        [r"train\.jsonl:41", '"text"'],
    ),
    "label is an object": (
        append("train.jsonl", '{"text": "good", "label": {"a": 1}}\n'),
        3,
        [r"train\.jsonl:41", '"label"'],
    ),
    "duplicate key": (
        append("train.jsonl", '{"text": "a", "label": "positive", "text": "b"}\n'),
        3,
        [r"train\.jsonl:41:\d+", "text"],
    ),
    "invalid UTF-8": (
        append("train.jsonl", b'{"text": "caf\xe9", "label": "positive"}\n'),
        3,
        [r"train\.jsonl:41:14", "UTF-8"],
    ),
    "GB18030 bytes": (
        append(
            "train.jsonl",
            '{"text": "今天天气很好我们去公园散步吧", "label": "positive"}\n'.encode("gb18030"),
        ),
        3,
        [r"train\.jsonl:41", "(?i)gb18030"],
    ),
    "NUL bytes": (
        append("train.jsonl", b'{"text": "good\0film", "label": "positive"}\n'),
        3,
        [r"train\.jsonl:41:15", "NUL"],
    ),
    "deep nesting": (
        append(
            "train.jsonl", '{"text": ' + "[" * 100_000 + "]" * 100_000 + ', "label": "positive"}\n'
        ),
        3,
        [r"train\.jsonl:41"],
    ),
    "unknown label in test": (
        append("test.jsonl", good_line(label="positiv")),
        3,
        [r"test\.jsonl:11", '"positiv"', 'did you mean "positive"'],
    ),
    "unknown label in validation": (
        append("dev.jsonl", good_line(label="neutral")),
        3,
        [r"dev\.jsonl:11", '"neutral"'],
    ),
    "truncated gzip": (
        lambda folder, model: (folder / "train.jsonl").write_bytes(
            gzip.compress((folder / "train.jsonl").read_bytes())[:-20]
        ),
        3,
        [r"train\.jsonl"],
    ),
    "a quote that is never closed": (
        instead_of_train("train.csv", 'text,label\ngood,positive\n"bad,negative\n'),
        3,
        [r"train\.csv:3:1", "never closed"],
    ),
    "a header in quotes that were not asked for": (
        instead_of_train("train.tsv", '"text"\t"label"\n"good"\t"positive"\n'),
        3,
        [r"train\.tsv:1:1", "has_quotes: true"],
    ),
    "a row of commas": (
        instead_of_train("train.csv", "text,label\n" + "," * 600_000 + "\n"),
        3,
        [r"train\.csv:2:1", "more than 524288 columns"],
    ),
    "comments in CoNLL": (
        instead_of_train("train.conll", "# id = 1\ngood O\n"),
        3,
        [r"train\.conll:2:1", 'comment: "#"'],
    ),
    "a pattern that fits nothing": (
        config_line("/train.jsonl", "/*.csv"),
        3,
        [r"\*\.csv", "no file fits"],
    ),
    "a pipe": (
        lambda folder, model: (
            (folder / "train.jsonl").unlink(),
            os.mkfifo(folder / "train.jsonl"),
        ),
        2,
        [r"train\.jsonl", "read only once"],
    ),
    "a folder instead of a file": (config_line("/train.jsonl", "/"), 3, ["folder|directory"]),
    "lists and single labels": (
        append("train.jsonl", '{"text": "good", "label": ["positive"]}\n'),
        3,
        [r"train\.jsonl:41", "list"],
    ),
    "fractional label": (
        append("train.jsonl", '{"text": "good", "label": 0.5}\n'),
        3,
        [r"train\.jsonl:41", "regression"],
    ),
}

MODEL = {
    "no such folder": (config_line("model: {path: ", "model: {path: /nowhere"), 4, ["/nowhere"]),
    "no config.json": (
        lambda folder, model: (model / "config.json").unlink(),
        4,
        [r"config\.json"],
    ),
    "config.json is no JSON": (
        model_file("config.json", lambda data: data[:-30]),
        4,
        [r"config\.json:\d+"],
    ),
    "unknown model_type": (
        model_file(
            "config.json",
            lambda data: data.replace(b'"model_type": "bert"', b'"model_type": "brt"'),
        ),
        4,
        ['"brt"', "known are albert, bart, bert, "],
    ),
    "hidden size does not divide": (
        model_file(
            "config.json",
            lambda data: data.replace(b'"num_attention_heads": 2', b'"num_attention_heads": 5'),
        ),
        4,
        [r"config\.json", "heads"],
    ),
    "no weights": (
        lambda folder, model: (model / "model.safetensors").unlink(),
        4,
        ["safetensors"],
    ),
    "truncated weights": (
        model_file("model.safetensors", lambda data: data[:-1000]),
        4,
        [r"model\.safetensors"],
    ),
    "weights cut in the header": (
        model_file("model.safetensors", lambda data: data[:100]),
        4,
        [r"model\.safetensors"],
    ),
    "empty weights": (
        model_file("model.safetensors", lambda data: b""),
        4,
        [r"model\.safetensors"],
    ),
    "header length out of bounds": (
        model_file("model.safetensors", lambda data: b"\xff" * 8 + data[8:]),
        4,
        [r"model\.safetensors"],
    ),
    "wrong shape": (
        model_file("model.safetensors", with_header(swap_shape)),
        4,
        [r"model\.safetensors|tiny", r"intermediate\.dense\.weight", r"\[?64"],
    ),
    "missing weight": (
        model_file("model.safetensors", drop_weight),
        4,
        [r"layer\.1\.output\.dense\.weight", "missing"],
    ),
    "offsets out of bounds": (
        model_file("model.safetensors", with_header(lie_about_offsets)),
        4,
        [r"model\.safetensors", "output.dense.bias|offset"],
    ),
    "no tokenizer": (
        lambda folder, model: [(model / name).unlink() for name in ("vocab.txt",)],
        4,
        ["tokenizer|vocab"],
    ),
    "vocabulary larger than the embeddings": (
        model_file("vocab.txt", lambda data: data + b"".join(b"extra%d\n" % i for i in range(50))),
        4,
        ["embeddings"],
    ),
    "pickle that calls a function": (
        lambda folder, model: (
            (model / "model.safetensors").unlink(),
            evil_pickle(model / "pytorch_model.bin"),
        ),
        4,
        [r"pytorch_model\.bin", "system|posix"],
    ),
}

CONFIG = {
    "no such configuration": (
        lambda folder, model: (folder / "config.yaml").unlink(),
        2,
        [r"config\.yaml"],
    ),
    "not YAML": (append("config.yaml", "more: [\n"), 2, [r"config\.yaml:\d+"]),
    "empty configuration": (replace("config.yaml", ""), 2, ["model"]),
    "unknown key": (
        append("config.yaml", "trian: {}\n"),
        2,
        [r"config\.yaml:\d+", 'did you mean "train"'],
    ),
    "duplicate key in YAML": (
        append("config.yaml", "output: {dir: elsewhere}\n"),
        2,
        [r"config\.yaml:\d+", "output"],
    ),
    "wrong type": (
        config_line("learning_rate: 1e-3", "learning_rate: fast"),
        2,
        [r"config\.yaml:\d+:\d+", "learning_rate", "fast"],
    ),
    "fraction for a whole number": (
        config_line("per_device_train_batch_size: 8", "per_device_train_batch_size: 1.5"),
        2,
        [r"config\.yaml:\d+:\d+", "1.5"],
    ),
    "negative learning rate": (
        config_line("learning_rate: 1e-3", "learning_rate: -1"),
        2,
        [r"config\.yaml:\d+", "learning_rate"],
    ),
    "batch size 0": (
        config_line("per_device_train_batch_size: 8", "per_device_train_batch_size: 0"),
        2,
        ["per_device_train_batch_size"],
    ),
    "section is no mapping": (
        config_line("task: {name: classify}", "task: classify"),
        2,
        [r"config\.yaml:\d+", "task"],
    ),
    "no training data": (config_line("  train: {", "  test2: {"), 2, ["train"]),
    "path and splits at once": (config_line("data:\n", "data:\n  path: all.jsonl\n"), 2, ["split"]),
    "unknown format": (
        config_line("train.jsonl}", "train.jsonl, format: josnl}"),
        2,
        ['did you mean "json'],
    ),
    "unknown encoding": (
        config_line("train.jsonl}", "train.jsonl, encoding: utf8x}"),
        2,
        ["utf8x"],
    ),
    "longer than the model's positions": (
        config_line("precision: fp32", "precision: fp32, max_seq_length: 65"),
        2,
        ["65", "64"],
    ),
    "metric that the task does not have": (
        config_line("precision: fp32", "precision: fp32, metric_for_best_model: acuracy"),
        2,
        ["acuracy", "accuracy"],
    ),
    "GPU that is not there": (
        config_line("device: cpu", "device: 'cuda:100'"),
        2,
        ["cuda:100", "GPU"],
    ),
    "override without a value": (None, 2, ["key=value|KEY=VALUE|="]),
}

CASES = {
    f"{kind}: {name}": case
    for kind, table in (("data", DATA), ("model", MODEL), ("configuration", CONFIG))
    for name, case in table.items()
}


def evil_pickle(path):
    """A torch archive whose pickle calls os.system when it is read by Python."""
    import zipfile

    program = b"cposix\nsystem\n(S'touch /tmp/hone_was_here'\ntR."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + program)
        archive.writestr("archive/version", b"3\n")


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_its_exit_code_and_a_message_with_its_place(
    hone, tiny_model, tmp_path, name, record_property
):
    change, code, pieces = CASES[name]
    model = tmp_path / "tiny"
    shutil.copytree(tiny_model, model)
    config = write_run(tmp_path, model)
    arguments = ["train", config]
    if change is None:
        arguments.append("train.seed")
    else:
        change(tmp_path, model)
    result = hone(*arguments, code=code)
    message = next(
        line for line in reversed(result.stderr.splitlines()) if line.startswith("error: ")
    )
    for piece in pieces:
        assert re.search(piece, message), message
    record_property("exit code", code)
    record_property("message", message.replace(str(tmp_path), "…"))
    assert "internal error" not in message
    assert result.stdout == ""
    assert not (tmp_path / "run/report.json").exists()


def test_line_of_a_megabyte_is_cut_and_counted(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    with open(tmp_path / "train.jsonl", "a") as data:
        data.write(good_line("good " * 200_000))
    hone("train", config)
    audit = json.loads((tmp_path / "run/report.json").read_text())["data"]["train"]
    assert audit["used"] == 41 and audit["truncated"] == 1


def test_empty_texts_are_dropped_and_counted(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    with open(tmp_path / "train.jsonl", "a") as data:
        data.write(good_line("") + good_line(" \t "))
    assert "2 empty text" in hone("train", config).stderr
    assert json.loads((tmp_path / "run/report.json").read_text())["data"]["train"]["reasons"] == {
        "empty text": 2
    }


def write_ner(folder, tiny_model, rows, name="train.jsonl"):
    good = [{"tokens": ["anna", "lives"], "tags": ["B-PER", "O"]}] * 4
    for split in ("train", "dev"):
        write_jsonl(folder / f"{split}.jsonl", good)
    if name.endswith("jsonl"):
        write_jsonl(folder / name, rows)
    else:
        (folder / name).write_text(rows)
    config = folder / "config.yaml"
    config.write_text(
        f"model: {{path: {tiny_model}}}\ntask: {{name: ner}}\ndata:\n  train: {{path: {folder}/{name}}}\n  validation: {{path: {folder}/dev.jsonl}}\n"
        f"train: {{num_train_epochs: 1}}\noutput: {{dir: {folder}/run}}\n"
    )
    return config


@pytest.mark.parametrize(
    "row, pieces",
    [
        ({"tokens": ["anna", "lives"], "tags": ["B-PER"]}, ['"tags" has 1 entr', '"tokens" has 2']),
        ({"tokens": ["anna"], "tags": ["PERSON!"]}, ["PERSON!"]),
        ({"tokens": "anna", "tags": ["O"]}, ['"tokens"']),
        ({"tokens": ["anna", 5], "tags": ["O", "O"]}, ['"tokens"']),
        ({"tokens": ["anna"]}, ['"tags"']),
        ({"words": ["anna"], "tags": ["O"]}, ['"tokens"|"text"', "words"]),
    ],
)
def test_bad_entity_rows_name_their_place(hone, tiny_model, tmp_path, row, pieces):
    config = write_ner(tmp_path, tiny_model, [{"tokens": ["anna"], "tags": ["B-PER"]}, row])
    message = hone("train", config, code=3).stderr
    for piece in [r"train\.jsonl:2", *pieces]:
        assert re.search(piece, message), message


def test_data_without_entities_cannot_train(hone, tiny_model, tmp_path):
    config = write_ner(tmp_path, tiny_model, [{"tokens": ["the", "film"], "tags": ["O", "O"]}] * 3)
    assert "error: " in hone("train", config, code=3).stderr


def test_tags_that_break_the_named_scheme_are_refused(hone, tiny_model, tmp_path):
    config = write_ner(tmp_path, tiny_model, "anna B-PER\nsmith I-LOC\n\n", "train.conll")
    message = hone("train", config, "data.train.tag_scheme=IOB2", code=3).stderr
    assert re.search(r"train\.conll:2", message) and "I-LOC" in message


def damaged(hone, tiny_model, folder, name, edit):
    hone("train", write_run(folder, tiny_model, num_train_epochs=1))
    path = folder / "run/model" / name
    path.write_bytes(edit(path.read_bytes()))
    return folder / "run/model"


@pytest.mark.parametrize(
    "name, edit, pieces",
    [
        (
            "model.safetensors",
            lambda data: data[:-4] + b"\0\0\0\0",
            [r"model\.safetensors", "checksum"],
        ),
        (
            "hone.json",
            lambda data: data.replace(b'"format": 1', b'"format": 99'),
            [r"hone\.json", "99", "newer"],
        ),
        ("hone.json", lambda data: data[: len(data) // 2], [r"hone\.json:\d+"]),
        (
            "hone.json",
            lambda data: data.replace(b"positive", b"posidive"),
            [r"hone\.json", "checksum"],
        ),
        (
            "hone.json",
            lambda data: re.sub(
                rb',\s*"sha256": "\w+"', b"", data.replace(b"classify", b"clasify")
            ),
            ["clasify"],
        ),
    ],
)
def test_damaged_saved_model_is_refused(hone, tiny_model, tmp_path, name, edit, pieces):
    model = damaged(hone, tiny_model, tmp_path, name, edit)
    result = hone("predict", model, stdin=b"good\n", code=4)
    for piece in pieces:
        assert re.search(piece, result.stderr), result.stderr


def test_model_that_hone_did_not_train_cannot_predict_and_says_what_to_do(hone, tiny_model):
    assert "hone train" in hone("predict", tiny_model, stdin=b"good\n", code=4).stderr


def test_score_needs_as_many_predictions_as_rows(hone, tmp_path):
    gold = write_jsonl(tmp_path / "gold.jsonl", sentiment(4))
    few = write_jsonl(tmp_path / "few.jsonl", sentiment(3))
    assert re.search(r"few\.jsonl.*3 rows", hone("score", "classify", gold, few, code=3).stderr)
    assert re.search(r"gold\.jsonl:4", hone("score", "classify", few, gold, code=3).stderr)
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"text": "x"}] * 4)
    assert re.search(r"gold\.jsonl:1", hone("score", "classify", gold, bad, code=3).stderr)


def test_full_disk_is_told_before_training(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, output="run")
    message = hone("train", config, "output.dir=/dev/full/run", code=2).stderr
    assert "/dev/full" in message
