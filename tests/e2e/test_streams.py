"""Standard streams that are closed or full, files that change under a run, names that are not UTF-8, limits of the machine."""

import json
import os
import re
import subprocess
import time

import pytest
from conftest import HONE, ROOT, sentiment, start_training, write_jsonl, write_run


def shell(command, **options):
    """A shell command; "$HONE" in it is the program."""
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "HONE": str(HONE)},
        timeout=600,
        **options,
    )


@pytest.fixture(scope="module")
def model(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    hone("train", write_run(folder, tiny_model, num_train_epochs=1))
    return folder / "run/model"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_leave_the_runs_files_alone(hone, tiny_model, tmp_path, closed):
    config = write_run(tmp_path, tiny_model, num_train_epochs=1)
    with open(tmp_path / "train.jsonl", "a") as data:
        data.write('{"text": " ", "label": "positive"}\n')  # something to warn of
    done = shell(f'"$HONE" train {config} {closed}')
    assert done.returncode == (1 if ">&-" in closed.split() else 0), done.stderr
    metrics = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert {json.loads(line)["event"] for line in metrics} == {"step", "evaluation"}
    (events,) = (tmp_path / "run/tensorboard").iterdir()
    written = events.read_bytes()
    assert b"precision    recall" not in written and b"left out" not in written
    assert json.loads((tmp_path / "run/report.json").read_text())["n"] == 10


@pytest.mark.parametrize("command", ["predict", "tokenize"])
def test_endless_input_ends_where_nothing_can_be_written(model, command):
    done = shell(f'yes good film | "$HONE" {command} {model} > /dev/full')
    assert done.returncode == 1
    assert b"error: standard output could not be written" in done.stderr


def test_predict_without_standard_input_says_so(model):
    done = shell(f'"$HONE" predict {model} <&-')
    assert done.returncode == 3 and b"cannot be read" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text("".join(path.read_text().splitlines(True)[:-1])),
        lambda path: path.write_text(path.read_text().replace("negative", "positive")),
    ],
    ids=["emptied", "shortened", "relabelled"],
)
def test_data_that_change_during_a_run_end_it(tiny_model, tmp_path, change):
    config = write_run(tmp_path, tiny_model, num_train_epochs=10000)
    process = start_training(config)
    metrics = tmp_path / "run/metrics.jsonl"
    while process.poll() is None and not (
        metrics.exists() and '"evaluation"' in metrics.read_text()
    ):
        time.sleep(0.01)
    change(tmp_path / "dev.jsonl")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 3, err
    assert re.search(r"error: .*dev\.jsonl: .*changed during the run", err)


def test_names_that_are_not_utf8(hone, tiny_model, model, tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    data = os.path.join(folder, b"t\xe9st.jsonl")
    write_jsonl(tmp_path / "test.jsonl", sentiment(6))
    os.rename(tmp_path / "test.jsonl", data)
    for words in ([b"eval", b"--report", folder + b"/r"], [b"predict"]):
        done = subprocess.run(
            [HONE, words[0], model, data, *words[1:]], capture_output=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6
    gold = subprocess.run(
        [HONE, "score", "classify", data, folder + b"/r/predictions.jsonl"],
        capture_output=True,
        cwd=ROOT,
    )
    assert gold.returncode == 0, gold.stderr
    missing = subprocess.run([HONE, "eval", model, data + b"x"], capture_output=True, cwd=ROOT)
    assert missing.returncode == 3 and b"no such file" in missing.stderr


def test_run_in_a_folder_whose_name_is_not_utf8(hone, tiny_model, tmp_path):
    write_run(tmp_path, tiny_model, num_train_epochs=1)
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl"):
        os.rename(tmp_path / name, os.path.join(folder, name.encode()))
    config = (tmp_path / "config.yaml").read_bytes()
    for name in (b"/train.jsonl", b"/dev.jsonl", b"/test.jsonl", b"/run}"):
        config = config.replace(name, b"/caf\xe9" + name)
    (tmp_path / "config.yaml").write_bytes(config)
    done = subprocess.run([HONE, "train", tmp_path / "config.yaml"], capture_output=True, cwd=ROOT)
    assert done.returncode in (0, 2), done.stderr
    if done.returncode == 0:
        with open(folder + b"/run/report.json") as file:
            assert json.load(file)["n"] == 10
    else:  # told before anything is trained
        assert b"UTF-8" in done.stderr and not os.path.exists(folder + b"/run")


@pytest.mark.parametrize("threads", [5000, 100000])
def test_more_threads_than_any_machine_has_are_refused(hone, tiny_model, model, tmp_path, threads):
    config = write_run(tmp_path, tiny_model)
    for command in ("train", "check"):
        message = hone(command, config, f"train.threads={threads}", code=2).stderr
        assert f"threads is {threads}" in message and "cores" in message
    message = hone("predict", model, "--threads", threads, stdin=b"a\n", code=2).stderr
    assert f"threads is {threads}" in message
