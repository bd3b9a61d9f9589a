"""What becomes of a run's folder: how a run goes on, what may replace it, and what is never touched."""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from conftest import HONE, ROOT, sentiment, write_jsonl, write_run

TRAIN = {
    "threads": 1,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 2,
    "max_steps": 6,
}


def contents(folder):
    """Every file with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def start(tiny_model, tmp_path):
    """A configuration with its data in an empty folder."""
    return lambda **train: write_run(tmp_path, tiny_model, rows=(16, 8, 8), **{**TRAIN, **train})


@pytest.fixture(scope="module")
def finished_once(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    hone("train", write_run(folder, tiny_model, rows=(16, 8, 8), **TRAIN))
    return folder / "run"


@pytest.fixture
def finished(start, finished_once, tmp_path):
    """A configuration beside the finished run that it asks for."""
    config = start()
    shutil.copytree(finished_once, tmp_path / "run")
    for name in ("resolved_config.yaml", "predictions.jsonl", "report.json"):
        path = tmp_path / "run" / name
        path.write_text(path.read_text().replace(str(finished_once.parent), str(tmp_path)))
    return config


def interrupt(config, *words, after=3):
    """Starts a run, and ends it by SIGTERM once its log has some steps. Its stderr."""
    process = subprocess.Popen(
        [HONE, "train", config, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
    )
    metrics = config.parent / "run/metrics.jsonl"
    while process.poll() is None and not (
        metrics.exists() and metrics.read_text().count('"step"') > after
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 143, err
    return err


# ---- going on


@pytest.mark.parametrize(
    "left, note",
    [
        (["metrics.jsonl", "tensorboard"], True),  # killed before the first checkpoint
        (["metrics.jsonl", "checkpoints/best"], True),
        (["metrics.jsonl", "checkpoints"], False),
        (["metrics.jsonl", "checkpoints", "model"], False),  # killed before the report
        (["metrics.jsonl", "checkpoints", "model", "predictions.jsonl", "report.html"], False),
        ([".hone/model/config.json", "checkpoints", "metrics.jsonl"], False),
    ],
)
def test_a_run_killed_anywhere_can_be_resumed(hone, finished, tmp_path, left, note):
    run = tmp_path / "run"
    whole = contents(run)
    (run / ".hone/model").mkdir(parents=True)
    (run / ".hone/model/config.json").write_text("half")
    (run / ".hone/unfinished").write_text("")
    for path in sorted(run.rglob("*"), reverse=True):
        name = str(path.relative_to(run))
        if not any(
            name == n or name.startswith(n + "/") or n.startswith(name + "/")
            for n in [*left, ".hone/unfinished", "resolved_config.yaml"]
        ):
            path.unlink() if path.is_file() else path.rmdir()
    err = hone("train", finished, "--resume").stderr
    assert ("starts from the beginning" in err) == note
    after = contents(run)
    for name in ("model/model.safetensors", "model/hone.json", "predictions.jsonl"):
        assert after[name] == whole[name], name
    assert "report.json" in after and not any(name.startswith(".hone") for name in after)


def test_the_hint_to_go_on_can_be_followed(hone, start, tmp_path):
    config = start(max_steps=400)
    err = interrupt(
        config, "train.learning_rate=2e-3", "output.dir=" + str(tmp_path / "run"), "train.seed=7"
    )
    hint = shlex.split(re.search(r"to go on: hone (train .*)", err)[1])
    refused = hone("train", config, code=2).stderr
    assert shlex.join(hint) in refused
    resumed = hone(*hint, "train.max_steps=30").stderr
    assert "continuing after step" in resumed
    command = json.loads((tmp_path / "run/report.json").read_text())["command"]
    assert shlex.split(command) == ["hone", *hint[:2], "train.max_steps=30", "--resume"]


def test_the_reports_command_has_all_words_quoted(hone, start, tmp_path):
    config = start()
    output = tmp_path / "a run of 'mine'"
    hone("train", config, f"output.dir={output}", "train.seed=7", "--json", "--overwrite")
    command = json.loads((output / "report.json").read_text())["command"]
    words = ["hone", "train", str(config), f"output.dir={output}", "train.seed=7"]
    assert shlex.split(command)[:5] == words
    assert set(shlex.split(command)[5:]) == {"--json", "--overwrite"}
    hone(
        "eval",
        output / "model",
        tmp_path / "test.jsonl",
        "format=jsonl",
        "--report",
        tmp_path / "r",
    )
    command = json.loads((tmp_path / "r/report.json").read_text())["command"]
    assert {"format=jsonl", "--report", str(tmp_path / "r")} < set(shlex.split(command))


def rename_labels(folder):
    for name in ("train", "dev", "test"):
        path = folder / f"{name}.jsonl"
        text = path.read_text().replace('"positive"', '"a_good"').replace('"negative"', '"z_bad"')
        path.write_text(text)


def other_validation(folder):
    rows = sentiment(8, 16)
    rows[4]["text"] += " not"
    write_jsonl(folder / "dev.jsonl", rows)


def fewer_rows(folder):
    write_jsonl(folder / "train.jsonl", sentiment(15))


@pytest.mark.parametrize(
    "change, words",
    [
        (rename_labels, ["labels: negative, positive -> a_good, z_bad"]),
        (other_validation, ["validation data", "row 5", "dev.jsonl:5"]),
        (fewer_rows, ["row count 16 -> 15"]),
    ],
)
def test_resume_refuses_other_data_and_says_what_changed(hone, start, tmp_path, change, words):
    config = start(max_steps=400)
    interrupt(config)
    change(tmp_path)
    err = hone("train", config, "--resume", code=2).stderr
    for word in [*words, "--overwrite"]:
        assert word in err


def test_resume_refuses_another_model(hone, start, tiny_model, tmp_path):
    config = start(max_steps=400)
    interrupt(config)
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1000] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    err = hone("train", config, f"model.path={other}", "--resume", code=2).stderr
    assert "base model changed" in err


def test_resume_refuses_another_shape_of_the_same_weights(hone, start, tiny_model, tmp_path):
    config = start(max_steps=400)
    interrupt(config)
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    shape = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**shape, "layer_norm_eps": 0.1}))
    err = hone("train", config, f"model.path={other}", "--resume", code=2).stderr
    assert "config.json changed: layer_norm_eps" in err


def test_resume_names_the_seed_that_changed(hone, start, tmp_path):
    config = start(max_steps=400)
    interrupt(config)
    err = hone("train", config, "train.seed=77", "--resume", code=2).stderr
    assert "seed" in err and "base model" not in err


def test_a_longer_run_goes_on_from_a_finished_one(hone, finished, tmp_path):
    assert "nothing to resume" in hone("train", finished, "--resume", code=2).stderr
    assert (
        "nothing to resume"
        in hone("train", finished, "train.max_steps=5", "--resume", code=2).stderr
    )
    err = hone("train", finished, "train.max_steps=9", "--resume").stderr
    assert "continuing after step 6" in err and "max_steps was 6 before and is 9 now" in err
    assert json.loads((tmp_path / "run/report.json").read_text())["timing"]["steps"] == 9


def test_damaged_best_weights_do_not_keep_a_run_from_its_end(hone, finished, tmp_path):
    run = tmp_path / "run"
    (run / "report.json").unlink()
    state = run / "checkpoints/best/trainer_state.json"
    state.write_text(state.read_text().replace("step", "stop", 1))
    shutil.rmtree(run / "checkpoints/best.previous", ignore_errors=True)
    best = json.loads((run / "checkpoints/last/trainer_state.json").read_text())["state"]["best"]
    err = hone("train", finished, "--resume").stderr
    assert (run / "report.json").exists()
    assert best["step"] == 6 or "the last weights are kept" in err


# ---- what is not destroyed


def place(path, run):
    """A file of the user's below the run's folder."""
    target = run / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


@pytest.mark.parametrize(
    "name, words",
    [
        ("predictions.jsonl", ()),
        ("metrics.jsonl", ("--resume",)),
        ("report.html", ("--overwrite",)),
        ("model/mine.bin", ("--overwrite",)),
        ("model/mine.bin", ()),
        ("checkpoints/mine.bin", ("--overwrite",)),
        ("tensorboard/mine.log", ("--overwrite",)),
    ],
)
def test_files_that_no_run_left_are_never_replaced(hone, start, tmp_path, name, words):
    config = start()
    mine = place(name, tmp_path / "run")
    mine.write_text("of the user")
    err = hone("train", config, *words, code=2).stderr
    assert name.split("/")[0] in err and "output.dir" in err
    assert mine.read_text() == "of the user"


def move_data(folder, config, path, how):
    """The training data into the run's folder; how they are named then."""
    target, named = place(path, folder / "run"), folder / "train.jsonl"
    named.rename(target)
    if how == "path":
        config.write_text(config.read_text().replace(str(named), str(target)))
    if how == "hop":  # by way of a link that lies there and leads away
        target.rename(folder / "real.jsonl")
        target.symlink_to(folder / "real.jsonl")
    if how != "path":
        named.symlink_to(target)
    return target


@pytest.mark.parametrize(
    "path, how, words",
    [
        ("predictions.jsonl", "path", ()),
        ("predictions.jsonl", "path", ("--resume",)),
        ("model/train.jsonl", "path", ("--overwrite",)),
        ("checkpoints/last/x.jsonl", "link", ("--overwrite",)),
        ("model/train.jsonl", "hop", ("--overwrite",)),
    ],
)
def test_data_that_lie_where_the_run_writes_are_refused(hone, finished, tmp_path, path, how, words):
    target = move_data(tmp_path, finished, path, how)
    before = target.read_text()
    assert "would be replaced" in hone("train", finished, *words, code=2).stderr
    assert target.read_text() == before


def test_a_model_is_not_replaced_by_the_run_that_starts_from_it(hone, finished, tmp_path):
    before = contents(tmp_path / "run")
    model = tmp_path / "run/model"
    for words in ((f"model.path={model}",), (f"model.path={os.path.relpath(model, ROOT)}",)):
        err = hone("train", finished, *words, "--overwrite", code=2).stderr
        assert "would be replaced" in err and "model" in err
    assert contents(tmp_path / "run") == before


def test_a_run_in_the_folder_of_its_data_touches_nothing_of_the_users(hone, start, tmp_path):
    config = start()
    config.write_text("# a comment of mine\n" + config.read_text())
    before = contents(tmp_path)
    for words in ((), ("--overwrite",), ("train.max_steps=8", "--resume")):
        hone("train", config, "output.dir=.", *words, cwd=tmp_path)
        after = contents(tmp_path)
        assert {name: after.get(name) for name in before} == before
    (tmp_path / "train.jsonl").rename(tmp_path / "report.json")
    words = (
        "output.dir=.",
        "--overwrite",
        "data.train.path=report.json",
        "data.train.format=jsonl",
    )
    assert "would be replaced" in hone("train", config, *words, cwd=tmp_path, code=2).stderr


def test_the_resolved_configuration_runs_in_its_own_folder(hone, finished, tmp_path):
    own = tmp_path / "run/resolved_config.yaml"
    own.write_text("# a comment of mine\n" + own.read_text())
    hone("train", own, "--overwrite")
    assert own.read_text().startswith("# a comment of mine")
    hone("train", own, "--overwrite", "train.max_steps=4")
    assert "max_steps: 4" in own.read_text()


def test_a_report_replaces_neither_a_runs_nor_what_it_is_made_of(hone, finished, tmp_path):
    run, data = tmp_path / "run", tmp_path / "test.jsonl"
    before = contents(run)
    assert "holds a run" in hone("eval", run / "model", data, "--report", run, code=2).stderr
    assert contents(run) == before
    mine = tmp_path / "mine/predictions.jsonl"
    mine.parent.mkdir()
    data.rename(mine)
    words = ("eval", run / "model", mine, "--report", mine.parent)
    assert "would be replaced" in hone(*words, code=2).stderr
    assert mine.read_text() and os.listdir(mine.parent) == ["predictions.jsonl"]


def misspelt_metric(folder, config):
    config.write_text(
        config.read_text().replace("train: {", "train: {metric_for_best_model: acuracy, ")
    )


def bad_row(folder, config):
    with open(folder / "dev.jsonl", "a") as data:
        data.write("not json\n")


def cut_weights(folder, config):
    model = folder / "cut"
    shutil.copytree(re.search(r"model: {path: (.*)}", config.read_text())[1], model)
    os.truncate(model / "model.safetensors", 5000)
    config.write_text(re.sub(r"model: {path: .*}", f"model: {{path: {model}}}", config.read_text()))


def one_class(folder, config):
    write_jsonl(
        folder / "train.jsonl", [row for row in sentiment(16) if row["label"] == "positive"]
    )


def diverges(folder, config):
    config.write_text(config.read_text().replace("1e-3", "1e38"))


def no_tokenizer(folder, config):
    cut_weights(folder, config)
    (folder / "cut/vocab.txt").unlink()


@pytest.mark.parametrize(
    "fault", [misspelt_metric, bad_row, cut_weights, one_class, diverges, no_tokenizer]
)
def test_an_earlier_run_stands_until_the_new_one_has_a_checkpoint(hone, finished, tmp_path, fault):
    before = contents(tmp_path / "run")
    fault(tmp_path, finished)
    done = subprocess.run(
        [HONE, "train", finished, "--overwrite"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode in (2, 3, 4), done.stderr
    assert contents(tmp_path / "run") == before


def test_an_earlier_run_comes_back_after_a_kill(hone, finished, tmp_path):
    run = tmp_path / "run"
    before = contents(run)
    config = finished
    command = [
        HONE,
        "train",
        config,
        "--overwrite",
        "train.save_steps=100000",
        "train.max_steps=100000",
        "train.eval_strategy=no",
    ]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (run / ".hone/earlier-run").exists() or not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert "holds a finished run" in hone("train", config, code=2).stderr
    assert contents(run) == before


# ---- two at once


def test_a_second_run_in_the_folder_is_told_who_works_there(hone, start, tmp_path):
    config = start(max_steps=100000, save_strategy='"no"', eval_strategy='"no"')
    process = subprocess.Popen([HONE, "train", config], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run/metrics.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.01)
        for words in ((), ("--resume",), ("--overwrite",)):
            err = hone("train", config, *words, code=2).stderr
            assert "another run works in this folder" in err and f"process {process.pid}" in err
    finally:
        process.kill()
        process.wait()
    assert (
        "starts from the beginning" in hone("train", config, "train.max_steps=2", "--resume").stderr
    )


# ---- numbers and limits


def test_weights_that_are_no_numbers_are_not_saved(hone, start, tmp_path):
    config = start(learning_rate="1e38", max_steps=1)
    err = hone("train", config, code=3).stderr
    assert "after step 1" in err and "learning_rate" in err
    assert not list((tmp_path / "run").rglob("*.safetensors"))


@pytest.fixture
def overflowing(finished, tmp_path):
    """A model whose weights are numbers, and whose scores are none."""
    from safetensors.torch import load_file, save_file

    model = tmp_path / "run/model"
    weights = load_file(model / "model.safetensors")
    for name, values in weights.items():
        if "pooler.dense.bias" in name:
            values += 100  # whose tanh is 1
        if "classifier" in name:
            values.fill_(3e38)
    save_file(weights, model / "model.safetensors")
    manifest = json.loads((model / "hone.json").read_text())
    manifest["files"] = {}
    manifest.pop("sha256", None)
    (model / "hone.json").write_text(json.dumps(manifest))
    return model


def test_scores_that_are_no_numbers_are_no_answer(hone, overflowing, tmp_path):
    data = tmp_path / "test.jsonl"
    for command in ("predict", "eval"):
        for words in ((), ("on_bad_row=skip",)):
            result = hone(command, overflowing, data, *words, code=4)
            assert "no numbers" in result.stderr and "test.jsonl:1" in result.stderr
            assert "null" not in result.stdout
    rows = hone("predict", overflowing, data, code=4).rows
    assert len(rows) == 8 and all("no numbers" in row["error"] for row in rows)


def test_a_file_larger_than_the_limit_is_an_error_that_names_it(start, tmp_path):
    config = start()
    done = subprocess.run(
        [HONE, "train", config],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)),
    )
    assert done.returncode == 2, done.stderr
    assert "ulimit -f" in done.stderr and ".safetensors" in done.stderr
    assert not list((tmp_path / "run").rglob("*.new")) and not list(
        (tmp_path / "run").rglob("*.tmp-*")
    )


def test_half_files_of_processes_that_ended_go_at_the_next_start(hone, finished, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    stray = tmp_path / f"run/report.html.tmp-{ended.pid}-0"
    stray.write_text("half")
    hone("train", finished, code=2)
    assert not stray.exists()


def test_any_number_of_steps_costs_no_memory(hone, start, tmp_path):
    config = start(max_steps=10_000_000_000, save_strategy='"no"', eval_strategy='"no"')
    process = subprocess.Popen([HONE, "train", config], cwd=ROOT, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "run/metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    status = f"/proc/{process.pid}/status"
    memory = int(re.search(r"VmHWM:\s+(\d+)", open(status).read())[1])
    process.kill()
    process.wait()
    assert memory < 1_000_000  # kilobytes
