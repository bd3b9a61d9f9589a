"""What is asked for is done, refused, or told; advice can be followed where it is given."""

import json
import re
import shutil

import pytest
from conftest import sentiment, write_jsonl, write_run


def train_only(folder, model, **train):
    data = f"  train: {{path: {folder}/train.jsonl}}"
    return write_run(folder, model, data=data, num_train_epochs=1, **train)


@pytest.mark.parametrize(
    "option, value",
    [("early_stopping_patience", "2"), ("metric_for_best_model", "accuracy")],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_what_needs_validation_data_is_refused_without(
    hone, tiny_model, tmp_path, command, option, value
):
    config = train_only(tmp_path, tiny_model, **{option: value})
    message = hone(command, config, code=2).stderr
    assert re.search(rf"config\.yaml:\d+:\d+: .*{option}.*data\.validation", message), message


def test_run_without_validation_data_tells_what_it_does_not_do(hone, tiny_model, tmp_path):
    config = train_only(tmp_path, tiny_model)
    told = hone("train", config).stderr
    assert re.search(r"warning: .*no validation data.*load_best_model_at_end.*eval_strategy", told)
    follow = hone("train", config, "--overwrite", "train.eval_strategy=no").stderr
    assert "validation data:" not in follow


def test_options_that_do_nothing_are_told(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, eval_steps=3)
    assert "eval_steps does nothing unless eval_strategy is steps" in hone("check", config).stderr
    assert "eval_steps" not in hone("check", config, "train.eval_strategy=steps").stderr


@pytest.mark.parametrize("metric", ["eval_loss", "loss", "eval_accuracy", "macro_f1"])
def test_metrics_go_by_transformers_names_too(hone, tiny_model, tmp_path, metric):
    config = write_run(tmp_path, tiny_model, metric_for_best_model=metric)
    hone("train", config)
    lines = [json.loads(line) for line in open(tmp_path / "run/metrics.jsonl")]
    name = metric.removeprefix("eval_")
    scores = [
        line["loss"] if name == "loss" else line["metrics"][name]
        for line in lines
        if line["event"] == "evaluation"
    ]
    best = (min if name == "loss" else max)(range(len(scores)), key=scores.__getitem__)
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["timing"]["best_step"] == 5 * (best + 1)


def test_misspelt_loss_gets_its_name(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, metric_for_best_model="eval_los")
    assert 'did you mean "loss"' in hone("train", config, code=2).stderr


def test_mistakes_that_are_not_shown_stand_where_the_text_says(hone, tiny_model, tmp_path):
    hone("train", write_run(tmp_path, tiny_model, num_train_epochs=1, learning_rate="1e-9"))
    rows = [{**row, "label": "positive"} for row in sentiment(40)]
    rows += [{**row, "label": "negative"} for row in sentiment(40, 40)]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    model = tmp_path / "run/model"
    shown = hone("eval", model, data, "--report", tmp_path / "r").stdout
    assert re.search(r"… \d+ more in report\.json", shown)
    assert len(json.loads((tmp_path / "r/report.json").read_text())["mistakes"]) > 10
    for words in (
        ["eval", model, data],
        ["score", "classify", data, tmp_path / "r/predictions.jsonl"],
    ):
        assert re.search(r"… \d+ more with --json", hone(*words).stdout)
        assert len(json.loads(hone(*words, "--json").stdout)["mistakes"]) > 10


def test_check_lists_the_rows_that_train_says_it_lists(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    for count, listed in ((30, "lists them"), (130, "lists the first 100")):
        with open(tmp_path / "train.jsonl", "w") as data:
            data.writelines(json.dumps(row) + "\n" for row in sentiment(40))
            data.write('{"text": "a", "label": null}\n' * count)
        told = hone("train", config, "data.train.on_bad_row=skip", "--overwrite").stderr
        assert f"{count} of {40 + count} rows are left out" in told and listed in told
        shown = hone("check", config, "data.train.on_bad_row=skip").stdout
        assert len(re.findall(r"train\.jsonl:\d+: ", shown)) == min(count, 100)


def test_options_of_data_and_task_that_do_nothing_are_told(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    words = {
        "data.train.separator=;": "data: train: separator does nothing in data of the format jsonl",
        "data.clean.near_threshold=0.8": "data: clean.near_threshold does nothing unless",
        "task.threshold=0.3": "task: threshold does nothing where the type is single",
        "task.label_ids_from=1": "task: label_ids_from does nothing unless",
    }
    message = hone("check", config, *words).stderr
    for word, told in words.items():
        assert told in message, word
    assert "does nothing" not in hone("check", config).stderr


def test_options_of_a_saved_model_that_do_nothing_are_told(hone, tiny_model, tmp_path):
    hone("train", write_run(tmp_path, tiny_model, num_train_epochs=1))
    model, data = tmp_path / "run/model", tmp_path / "test.jsonl"
    for command in ("eval", "predict"):
        message = hone(command, model, data, "task.threshold=0.3", "separator=;").stderr
        assert "task: threshold does nothing" in message
        assert "data: separator does nothing in data of the format jsonl" in message
        assert "does nothing" not in hone(command, model, data).stderr


def test_texts_are_cut_at_their_end_whatever_the_tokenizer_says(hone, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "truncation_side": "left"}))
    message = hone("check", write_run(tmp_path, model)).stderr
    assert f'{file}: "truncation_side" is left, but' in message
