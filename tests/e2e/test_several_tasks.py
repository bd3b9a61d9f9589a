"""Several tasks on one encoder, as a user trains, resumes and asks them."""

import json
import os
import signal
import subprocess
import time

import pytest
from conftest import HONE, ROOT, sentiment, write_jsonl

NAMES = "anna smith paris berlin acme corp".split()
TAGS = {
    "anna": "B-PER",
    "smith": "I-PER",
    "paris": "B-LOC",
    "berlin": "B-LOC",
    "acme": "B-ORG",
    "corp": "I-ORG",
}


def sentences(count, start):
    for i in range(start, start + count):
        tokens = [
            NAMES[i % 6],
            "lives",
            "in",
            NAMES[(i * 5 + 2) % 6],
            "works",
            "at",
            NAMES[(i * 3 + 4) % 6],
        ]
        yield {
            "tokens": tokens,
            "tags": [TAGS.get(token, "O").replace("I-", "B-") for token in tokens],
        }


def questions(count, start):
    for i in range(start, start + count):
        context = f"the film {'was good' if i % 2 else 'is late'} {NAMES[i % 6]} works at {NAMES[(i + 3) % 6]}"
        answer = NAMES[i % 6]
        yield {
            "question": "is it the actor",
            "context": context,
            "answers": {"text": [answer], "answer_start": [context.index(answer)]},
        }


def write_several(folder, model, output="run", sampling="temperature", **train):
    """Three tasks with data of their own; returns the configuration's path."""
    makers = {"topic": sentiment, "names": sentences, "answers": questions}
    kinds = {"topic": "classify", "names": "ner", "answers": "qa"}
    tasks = ""
    for name, make in makers.items():
        start = 0
        tasks += f"  {name}:\n    task: {{name: {kinds[name]}}}\n    data:\n"
        for split, count in (("train", 24), ("validation", 8), ("test", 10)):
            path = folder / f"{name}-{split}.jsonl"
            write_jsonl(path, list(make(count, start)))
            tasks += f"      {split}: {{path: {path}}}\n"
            start += count
    options = {
        "num_train_epochs": 4,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "learning_rate": "1e-3",
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "task_sampling": sampling,
        **train,
    }
    listed = ", ".join(f"{key}: {value}" for key, value in options.items())
    path = folder / "config.yaml"
    path.write_text(
        f"model: {{path: {model}}}\ntasks:\n{tasks}train: {{{listed}}}\noutput: {{dir: {folder / output}}}\n"
    )
    return path


@pytest.fixture(scope="module")
def trained(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    hone("train", write_several(folder, tiny_model))
    return folder


def last_step(folder):
    path = folder / "run/metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    try:
        return json.loads(lines[-1])["step"]
    except (IndexError, ValueError):
        return 0


def test_killed_and_resumed_ends_in_the_same_weights(hone, tiny_model, trained, tmp_path):
    config = write_several(tmp_path, tiny_model)
    process = subprocess.Popen(
        [str(HONE), "train", str(config)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while last_step(tmp_path) < 5:
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    hone("train", config, "--resume")
    model = "run/model/model.safetensors"
    assert (tmp_path / model).read_bytes() == (trained / model).read_bytes()


def test_report_has_a_part_for_each(trained):
    report = json.loads((trained / "run/report.json").read_text())
    metrics = report["metrics"]
    mains = [metrics[name] for name in ("topic.accuracy", "names.f1", "answers.f1")]
    assert report["metric"] == "mean"
    assert report["score"] == pytest.approx(sum(mains) / 3)
    assert report["n"] == 30
    assert {"topic.train", "names.test", "answers.validation"} <= set(report["data"])
    page = (trained / "run/report.html").read_text()
    for name in ("topic", "names", "answers"):
        assert f"Task {name}: " in page


def test_rows_that_name_their_task_are_answered_by_it(hone, trained, tmp_path):
    rows = [
        {"task": "topic", "text": "the film was good"},
        {"task": "names", "text": "anna lives in paris"},
        {"task": "answers", "question": "is it the actor", "context": "anna works at acme"},
        {"task": "sums", "text": "good"},
        {"text": "good"},
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    result = hone("predict", trained / "run/model", tmp_path / "rows.jsonl", code=3)
    answers = result.rows
    assert [row.get("task") for row in answers[:3]] == ["topic", "names", "answers"]
    assert "label" in answers[0] and "entities" in answers[1]
    assert "topic, names, answers" in answers[3]["error"]
    assert "--task" in answers[4]["error"]


def test_option_names_the_task_of_all_rows(hone, trained, tmp_path):
    model = trained / "run/model"
    plain = hone("predict", model, "--task", "topic", stdin=b"the film was good\n").rows
    named = hone("predict", model, stdin=b'{"task": "topic", "text": "the film was good"}\n').rows
    assert plain == [{k: v for k, v in named[0].items() if k != "task"}]
    report = json.loads((trained / "run/report.json").read_text())
    alone = json.loads(
        hone("eval", model, trained / "topic-test.jsonl", "--task", "topic", "--json").stdout
    )
    assert alone["score"] == pytest.approx(report["metrics"]["topic.accuracy"])
    assert (
        "it has topic, names, answers"
        in hone("predict", model, "--task", "topics", stdin=b"a\n", code=2).stderr
    )


def test_saved_predictions_are_scored_with_the_models_options(hone, trained, tmp_path):
    gold = [
        {"task": task, **json.loads(line)}
        for task in ("topic", "names", "answers")
        for line in open(trained / f"{task}-test.jsonl")
    ]
    write_jsonl(tmp_path / "gold.jsonl", gold)
    model, predicted = trained / "run/model", trained / "run/predictions.jsonl"
    report = json.loads((trained / "run/report.json").read_text())
    scored = json.loads(hone("score", model, tmp_path / "gold.jsonl", predicted, "--json").stdout)
    assert scored["metrics"] == report["metrics"]
    evaluated = json.loads(hone("eval", model, tmp_path / "gold.jsonl", "--json").stdout)
    assert evaluated["metrics"] == pytest.approx(report["metrics"])
    assert "folder" in hone("score", "several", tmp_path / "gold.jsonl", predicted, code=2).stderr


def test_one_task_becomes_a_folder_that_transformers_reads(hone, trained, tmp_path):
    import torch
    import transformers

    hone("merge", trained / "run/model", tmp_path / "topic", "--task", "topic")
    text = "the film was good"
    answer = hone("predict", tmp_path / "topic", stdin=(text + "\n").encode()).rows[0]
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "topic"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "topic")
    with torch.no_grad():
        p = network(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
    scores = {network.config.id2label[i]: float(x) for i, x in enumerate(p)}
    assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_the_encoder_is_read_by_transformers(trained):
    import transformers

    network, info = transformers.AutoModel.from_pretrained(
        trained / "run/model", output_loading_info=True
    )
    assert not info["missing_keys"]
