"""A run from configuration to report, and what the other commands make of what it leaves."""

import json
import os
import re
import signal
import time

import pytest
from conftest import sentiment, start_training, write_jsonl, write_run

FILES = [
    "checkpoints",
    "metrics.jsonl",
    "model",
    "predictions.jsonl",
    "report.html",
    "report.json",
    "report.txt",
    "resolved_config.yaml",
    "tensorboard",
]


@pytest.fixture(scope="module")
def finished(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    config = write_run(folder, tiny_model, num_train_epochs=6, learning_rate="1e-2")
    result = hone("train", config)
    return folder, result


@pytest.fixture
def report(finished):
    return json.loads((finished[0] / "run/report.json").read_text())


def read_rows(path):
    return [json.loads(line) for line in open(path)]


def test_run_leaves_what_the_documentation_says(finished):
    assert sorted(os.listdir(finished[0] / "run")) == FILES
    assert {"config.json", "model.safetensors", "vocab.txt", "hone.json"} <= set(
        os.listdir(finished[0] / "run/model")
    )


def test_stdout_is_the_report_and_names_the_page(finished):
    folder, result = finished
    assert result.stdout.startswith((folder / "run/report.txt").read_text())
    assert str(folder / "run/report.html") in result.stdout
    assert "\x1b" not in result.stdout + result.stderr  # no terminal, no bar


def test_tiny_model_learns_its_task(report):
    assert report["score"] == 1.0 and report["metric"] == "accuracy" and report["n"] == 10


def test_report_holds_what_the_documentation_says(report):
    assert {
        "task",
        "metric",
        "score",
        "n",
        "metrics",
        "intervals",
        "per_class",
        "averages",
        "confusion",
        "reliability",
        "mistakes",
        "data",
        "leaks",
        "curves",
        "timing",
        "environment",
        "title",
        "model",
        "command",
    } <= report.keys()
    assert {split: audit["rows"] for split, audit in report["data"].items()} == {
        "train": 40,
        "validation": 10,
        "test": 10,
    }
    for audit in report["data"].values():
        assert audit["used"] + audit["dropped"] == audit["rows"]
        assert sum(audit["lengths"]) == audit["used"]
    assert report["data"]["train"]["labels"] == {"positive": 20, "negative": 20}
    assert report["timing"]["tokens_per_second"] > 0
    assert len(report["curves"]["loss"]) > 0 and len(report["curves"]["validation loss"]) == 6


def test_predictions_name_file_and_line(finished):
    folder, _ = finished
    gold = read_rows(folder / "test.jsonl")
    rows = read_rows(folder / "run/predictions.jsonl")
    assert [row["line"] for row in rows] == list(range(1, 11))
    assert {row["file"] for row in rows} == {str(folder / "test.jsonl")}
    assert [row["text"] for row in rows] == [row["text"] for row in gold]
    assert [row["label"] for row in rows] == [row["label"] for row in gold]


def test_eval_and_score_repeat_the_reports_numbers(hone, finished, report, tmp_path):
    folder, _ = finished
    again = json.loads(
        hone(
            "eval",
            folder / "run/model",
            folder / "test.jsonl",
            "--json",
            "--precision",
            "fp32",
            "--report",
            tmp_path / "r",
        ).stdout
    )
    scored = json.loads(
        hone(
            "score", "classify", folder / "test.jsonl", folder / "run/predictions.jsonl", "--json"
        ).stdout
    )
    for other in (again, scored):
        assert other["metrics"] == report["metrics"] and other["confusion"] == report["confusion"]
    assert sorted(os.listdir(tmp_path / "r")) == [
        "predictions.jsonl",
        "report.html",
        "report.json",
        "report.txt",
    ]
    assert read_rows(tmp_path / "r/predictions.jsonl") == read_rows(
        folder / "run/predictions.jsonl"
    )


def test_predict_gives_the_runs_predictions_in_order(hone, finished):
    folder, _ = finished
    rows = hone("predict", folder / "run/model", folder / "test.jsonl", "--precision", "fp32").rows
    expected = [
        {key: value for key, value in row.items() if key not in ("file", "line")}
        for row in read_rows(folder / "run/predictions.jsonl")
    ]
    assert rows == expected


def test_int8_gives_nearly_the_same_scores_and_says_so_in_the_report(hone, finished, report):
    folder, _ = finished
    rows = hone("predict", folder / "run/model", folder / "test.jsonl", "--precision", "int8").rows
    exact = read_rows(folder / "run/predictions.jsonl")
    assert [row["scores"] for row in rows] != [row["scores"] for row in exact]
    for row, other in zip(rows, exact, strict=True):
        assert row["scores"] == pytest.approx(other["scores"], abs=0.02)
    again = json.loads(
        hone(
            "eval", folder / "run/model", folder / "test.jsonl", "--json", "--precision", "int8"
        ).stdout
    )
    assert (
        again["environment"]["precision"] == "int8" and report["environment"]["precision"] == "fp32"
    )
    assert again["environment"]["threads"] == report["environment"]["threads"] >= 1


def test_predict_takes_plain_lines_and_standard_input(hone, finished):
    model = finished[0] / "run/model"
    rows = hone("predict", model, stdin=b"good film\nbad plot\n").rows
    assert [(row["text"], row["label"]) for row in rows] == [
        ("good film", "positive"),
        ("bad plot", "negative"),
    ]
    rows = hone("predict", model, "-", stdin=b'{"id": 7, "text": "bad film"}\n').rows
    assert rows[0]["id"] == 7 and rows[0]["label"] == "negative"
    rows = hone(
        "predict", model, "-", "format=csv", "fields.text=body", stdin=b"n,body\n1,good film\n"
    ).rows
    assert rows[0]["label"] == "positive"


def test_predict_takes_patterns_and_folders_of_texts(hone, finished, tmp_path):
    model = finished[0] / "run/model"
    (tmp_path / "texts/any").mkdir(parents=True)
    (tmp_path / "texts/any/1.txt").write_text("good film\nbad plot")
    (tmp_path / "one.log").write_bytes(b"good film\r\nbad, plot\r\n")

    def texts(path):
        return [row["text"] for row in hone("predict", model, path).rows]

    assert texts(tmp_path / "*.log") == ["good film", "bad, plot"]
    assert texts(tmp_path / "texts") == ["good film\nbad plot"]
    (tmp_path / "two.log").write_text("film\n")
    assert "no such file" in hone("predict", model, tmp_path / "three.log", code=3).stderr


def test_prediction_alone_equals_prediction_in_company(hone, finished):
    folder, _ = finished
    text = read_rows(folder / "test.jsonl")[3]["text"]
    alone = hone(
        "predict", folder / "run/model", "--precision", "fp32", stdin=(text + "\n").encode()
    ).rows[0]
    assert alone["scores"] == pytest.approx(
        read_rows(folder / "run/predictions.jsonl")[3]["scores"], abs=2e-6
    )


def test_resolved_configuration_repeats_the_run(hone, finished, tmp_path):
    folder, _ = finished
    hone("train", folder / "run/resolved_config.yaml", f"output.dir={tmp_path}/again")
    for name in ("model/model.safetensors", "predictions.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "run" / name).read_bytes(), (
            name
        )


def test_transformers_loads_the_model_with_equal_scores(finished):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder, _ = finished
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder / "run/model"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "run/model")
    for row in read_rows(folder / "run/predictions.jsonl"):
        with torch.no_grad():
            p = model(**tokenizer(row["text"], return_tensors="pt")).logits.softmax(-1)[0]
        assert {model.config.id2label[i]: float(p[i]) for i in range(len(p))} == pytest.approx(
            row["scores"], abs=1e-5
        )


def test_a_pair_whose_second_text_is_empty_is_counted_or_kept(hone, tiny_model, tmp_path):
    import torch
    import transformers

    rows = [{"a": row["text"], "b": "the film", "label": row["label"]} for row in sentiment(40)]
    rows[3]["b"] = ""
    pairs = write_jsonl(tmp_path / "pairs.jsonl", rows)
    config = write_run(
        tmp_path,
        tiny_model,
        task="{name: classify, text: a, text_pair: b}",
        data=f"  train: {{path: {pairs}}}\n  test: {{path: {pairs}}}\n  leakage: off",
    )
    for split in json.loads(hone("check", config, "--json").stdout)["data"].values():
        assert split["rows"] == 40 and split["used"] == 39
        assert split["reasons"] == {"empty text": 1}
    hone("train", config, "data.clean.empty_texts=keep")
    read = json.loads((tmp_path / "run/report.json").read_text())["data"]
    assert read["train"]["used"] == read["test"]["used"] == 40

    model = tmp_path / "run/model"
    answer = hone("predict", model, write_jsonl(tmp_path / "one.jsonl", [rows[3]])).rows[0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    peer = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    encoded = tokenizer([rows[3]["a"]], [""], return_tensors="pt")  # "" beside one text is no pair
    with torch.no_grad():
        logits = peer(**encoded).logits[0]
    for index, probability in enumerate(logits.softmax(0).tolist()):
        assert answer["scores"][peer.config.id2label[index]] == pytest.approx(probability, abs=1e-4)


def test_finished_run_is_not_overwritten_unless_asked(hone, finished, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, num_train_epochs=1)
    hone("train", config)
    before = (tmp_path / "run/report.json").read_bytes()
    (tmp_path / "run/mine.txt").write_text("not of a run")
    refused = hone("train", config, code=2)
    assert "holds a finished run" in refused.stderr and "--overwrite" in refused.stderr
    assert "nothing to resume" in hone("train", config, "--resume", code=2).stderr
    assert (tmp_path / "run/report.json").read_bytes() == before
    hone("train", config, "output.overwrite=true", "train.seed=7")
    assert (tmp_path / "run/report.json").read_bytes() != before
    assert (tmp_path / "run/mine.txt").exists()


def test_failed_start_leaves_the_earlier_run_alone(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, num_train_epochs=1)
    hone("train", config)
    with open(tmp_path / "train.jsonl", "a") as data:
        data.write("not json\n")
    hone("train", config, "--overwrite", code=3)
    assert (tmp_path / "run/report.json").exists()


def test_json_output_is_the_report(hone, tiny_model, tmp_path):
    result = hone("train", write_run(tmp_path, tiny_model, num_train_epochs=1), "--json")
    shown = json.loads(result.stdout)
    assert shown == json.loads((tmp_path / "run/report.json").read_text())


def test_quiet_says_nothing_on_stderr(hone, tiny_model, tmp_path):
    assert hone("train", write_run(tmp_path, tiny_model), "--quiet").stderr == ""


def test_one_file_is_split_and_other_formats_are_read(hone, tiny_model, tmp_path):
    rows = sentiment(60)
    (tmp_path / "all.csv").write_text(
        "sentence,class\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    )
    config = write_run(
        tmp_path,
        tiny_model,
        task="{name: classify, label: class}",
        data=f"  path: {tmp_path}/all.csv\n  fields: {{text: sentence}}\n  split: {{validation: 0.2, test: 0.2}}",
    )
    hone("train", config)
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert {split: audit["rows"] for split, audit in report["data"].items()} == {
        "train": 36,
        "validation": 12,
        "test": 12,
    }
    assert report["data"]["test"]["labels"] == {"positive": 6, "negative": 6}


def test_run_without_test_data_reports_on_validation_and_says_so(hone, tiny_model, tmp_path):
    config = write_run(
        tmp_path,
        tiny_model,
        data=f"  train: {{path: {tmp_path}/train.jsonl}}\n  validation: {{path: {tmp_path}/dev.jsonl}}",
    )
    result = hone("train", config)
    assert "report is on validation data" in result.stderr
    assert json.loads((tmp_path / "run/report.json").read_text())["n"] == 10


def test_run_with_training_data_only_saves_the_model(hone, tiny_model, tmp_path):
    config = write_run(
        tmp_path, tiny_model, data=f"  train: {{path: {tmp_path}/train.jsonl}}", eval_strategy="no"
    )
    result = hone("train", config)
    assert "no report" in result.stderr
    assert hone("eval", tmp_path / "run/model", tmp_path / "test.jsonl").stdout != ""


def test_leakage_is_told_before_training_or_refused(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = sentiment(40)
    write_jsonl(tmp_path / "test.jsonl", rows[:3] + sentiment(7, 100))
    lines = hone("train", config).stderr.splitlines()
    leak = next(i for i, line in enumerate(lines) if "stand in" in line)
    assert "3 texts" in lines[leak] and "train.jsonl:1" in lines[leak]
    assert leak < next(i for i, line in enumerate(lines) if "training on" in line)
    assert (
        "data.leakage" in hone("train", config, "data.leakage=error", "--overwrite", code=3).stderr
    )
    assert "stand in" not in hone("train", config, "data.leakage=off", "--overwrite").stderr


@pytest.mark.parametrize("one_line", [False, True])
def test_leaked_texts_stand_first_in_the_report(hone, tiny_model, tmp_path, one_line):
    config = write_run(tmp_path, tiny_model)
    rows = {"train": sentiment(40), "test": sentiment(3) + sentiment(7, 100)}
    for name, part in rows.items():
        if one_line:  # rows are told apart by their columns
            (tmp_path / f"{name}.jsonl").write_text(json.dumps(part))
        else:
            write_jsonl(tmp_path / f"{name}.jsonl", part)
    formats = [f"data.{name}.format=json" for name in rows if one_line]
    lines = hone("train", config, *formats).stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if "3 texts of test stand in train" in line)
    assert lines[first][0] == "!" and lines[first + 2].strip() == rows["test"][0]["text"]
    assert first < next(i for i, line in enumerate(lines) if "precision" in line)
    report = json.loads((tmp_path / "run/report.json").read_text())
    (leak,) = [
        leak for leak in report["leaks"] if (leak["split"], leak["other"]) == ("test", "train")
    ]
    for shown, row in zip(leak["texts"], rows["test"][:3], strict=True):
        assert shown == {"text": row["text"], "other_text": row["text"], "similarity": 1.0}


def test_bad_rows_can_be_skipped_and_are_counted(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    with open(tmp_path / "train.jsonl", "a") as data:
        data.write('{"text": "good film"}\n{"text": 7, "label": "positive"}\n{"text": "cut\n')
    with open(tmp_path / "test.jsonl", "a") as data:
        data.write('{"text": "good film", "label": "unheard of"}\n')
    assert "train.jsonl:41" in hone("train", config, code=3).stderr
    result = hone("train", config, "data.train.on_bad_row=skip", "data.test.on_bad_row=skip")
    assert "3 of 43 rows are left out" in result.stderr
    report = json.loads((tmp_path / "run/report.json").read_text())
    audit = report["data"]["train"]
    assert (audit["rows"], audit["used"], audit["dropped"]) == (43, 40, 3)
    assert sorted(row["line"] for row in audit["examples"]) == [41, 42, 43]
    assert report["n"] == 10 and report["data"]["test"]["dropped"] == 1


def test_a_split_may_stand_in_several_files_and_folders(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = (tmp_path / "test.jsonl").read_text().splitlines()
    rows[1] = (tmp_path / "train.jsonl").read_text().splitlines()[0]
    (tmp_path / "one.json").write_text("[" + ", ".join(rows[:5]) + "]")
    (tmp_path / "two.jsonl").write_text("\n".join(rows[5:]))
    for label, text in [("positive", "good film"), ("negative", "bad film")]:
        (tmp_path / "texts" / label).mkdir(parents=True)
        (tmp_path / "texts" / label / "1.txt").write_text(text)
    hone(
        "train",
        config,
        f"data.train=[{{path: {tmp_path}/train.jsonl}}, {{path: {tmp_path}/texts}}]",
        f"data.test.path=[{tmp_path}/one.json, {tmp_path}/two.jsonl]",
    )
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["data"]["train"]["used"] == 42
    leak = next(leak for leak in report["leaks"] if leak["split"] == "test")
    here, there = leak["examples"][0]
    assert "/one.json:1:" in here and there.endswith("/train.jsonl:1")
    assert leak["texts"][0]["text"] == json.loads(rows[1])["text"]
    places = [
        (line["file"].rsplit("/")[-1], line["line"], "column" in line)
        for line in map(json.loads, (tmp_path / "run/predictions.jsonl").read_text().splitlines())
    ]
    assert places == [("one.json", 1, True)] * 5 + [("two.jsonl", i, False) for i in range(1, 6)]


def test_quotes_that_may_be_quoting_are_told_of(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    text = "".join(f'"{row["text"]}"\t{row["label"]}\n' for row in rows)
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + text)
    told = hone("check", config, f"data.train.path={tmp_path}/train.tsv").stderr
    assert told.count("has_quotes: true") == 1 and "40 values stand wholly in double quotes" in told


def test_check_audits_and_estimates_and_trains_nothing(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    shown = json.loads(hone("check", config, "--json").stdout)
    assert shown["data"]["train"]["labels"] == {"positive": 20, "negative": 20}
    assert shown["data"]["train"]["samples"] == 40 and shown["data"]["train"]["tokens"] > 200
    assert shown["estimate"]["steps"] == 10
    assert {
        "seconds",
        "memory_bytes",
        "disk_bytes",
        "free_disk_bytes",
        "parameters",
        "tokens",
    } <= shown["estimate"].keys()
    assert (
        shown["estimate"]["seconds"] > 0
        and shown["estimate"]["tokens"] == 2 * shown["data"]["train"]["tokens"]
    )
    text = hone("check", config).stdout
    assert (
        "train: 40 rows" in text
        and "leakage: none found" in text
        and "estimate\n" in text
        and "█" in text
    )
    assert not (tmp_path / "run").exists()


def test_named_entities_end_to_end(hone, tiny_model, tmp_path):
    people, places = ["anna", "smith"], ["paris", "berlin"]
    rows = [
        {
            "tokens": [
                people[i % 2],
                "lives",
                "in",
                places[i // 2 % 2],
                ["late", "is", "the", "a"][i % 4],
            ],
            "tags": ["B-PER", "O", "O", "B-LOC", "O"],
        }
        for i in range(48)
    ]
    for name, part in (("train", rows[:32]), ("dev", rows[32:40]), ("test", rows[40:])):
        write_jsonl(tmp_path / f"{name}.jsonl", part)
    data = "\n".join(
        f"  {split}: {{path: {tmp_path}/{name}.jsonl}}"
        for split, name in (("train", "train"), ("validation", "dev"), ("test", "test"))
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        f"model: {{path: {tiny_model}}}\ntask: {{name: ner}}\ndata:\n{data}\n  leakage: off\n"
        f"train: {{num_train_epochs: 12, per_device_train_batch_size: 8, learning_rate: 3e-3}}\noutput: {{dir: {tmp_path}/run}}\n"
    )
    hone("train", config)
    assert json.loads((tmp_path / "run/report.json").read_text())["score"] > 0.9
    (row,) = hone("predict", tmp_path / "run/model", stdin=b"Anna lives in Berlin late\n").rows
    found = {
        (entity["label"], "Anna lives in Berlin late"[entity["start"] : entity["end"]])
        for entity in row["entities"]
    }
    assert found == {("PER", "Anna"), ("LOC", "Berlin")}


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_after_the_step_and_resume_gives_the_same_model(
    hone, tiny_model, tmp_path, sent, code
):
    config = write_run(tmp_path, tiny_model, num_train_epochs=40)
    hone("train", config, f"output.dir={tmp_path}/whole")
    process = start_training(config)
    metrics = tmp_path / "run/metrics.jsonl"
    while process.poll() is None and not (
        metrics.exists() and metrics.read_text().count('"step"') > 3
    ):
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "--resume" in err
    assert "holds an interrupted run" in hone("train", config, code=2).stderr
    hone("train", config, "--resume")
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == (
        tmp_path / "whole/model/model.safetensors"
    ).read_bytes()
    steps = [row["step"] for row in read_rows(metrics) if row["event"] == "step"]
    assert steps == sorted(set(steps)) and steps[-1] == 200


def test_a_signal_ends_the_test_and_resume_makes_it(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    rows = (tmp_path / "test.jsonl").read_text()
    whole = hone("train", config, f"output.dir={tmp_path}/whole", "--json")
    (tmp_path / "test.jsonl").write_text(rows * (15_000 // rows.count("\n")))
    process = start_training(config)
    while process.poll() is None and not (tmp_path / "run/model/model.safetensors").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert not (tmp_path / "run/report.json").exists()
    assert not list((tmp_path / "run").glob("predictions.jsonl*"))
    resumed = hone("train", config, "--resume", "--json")
    assert json.loads(resumed.stdout)["score"] == json.loads(whole.stdout)["score"]


def test_resume_without_a_checkpoint_starts_from_the_beginning(hone, tiny_model, tmp_path):
    result = hone("train", write_run(tmp_path, tiny_model), "--resume")
    assert "starts from the beginning" in result.stderr
    assert re.search(r"accuracy", result.stdout)
