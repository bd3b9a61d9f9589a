"""A run killed fifty times, at random moments, and resumed each time, ends in the weights and the log of the run that nobody touched."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from conftest import HONE, ROOT, write_run

KILLS = int(os.environ.get("HONE_KILLS", "50"))
TRAIN = {
    "threads": 1,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 25,
    "gradient_accumulation_steps": 2,
    "max_steps": 450,
}

pytestmark = pytest.mark.slow


def log_lines(folder):
    path = folder / "run/metrics.jsonl"
    return (
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in path.read_text().splitlines()
        ]
        if path.exists()
        else []
    )


def last_step(folder):
    try:
        return log_lines(folder)[-1]["step"]
    except (IndexError, ValueError):  # nothing yet, or a line half written
        return 0


def start(config, *more):
    return subprocess.Popen(
        [str(HONE), "train", str(config), *more],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_after(process, folder, step, delay):
    """SIGKILL once the log shows `step`, a moment later: in the middle of a step, an evaluation or a save. False: it ended before."""
    while last_step(folder) < step:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def test_killed_fifty_times_ends_as_if_never_killed(hone, tiny_model, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    hone("train", write_run(whole, tiny_model, **TRAIN))
    config = write_run(killed, tiny_model, **TRAIN)

    choose = random.Random(7)
    kills = 0
    while kills < KILLS:
        resumes = (killed / "run/checkpoints/last").exists() or (
            killed / "run/checkpoints/last.previous"
        ).exists()
        process = start(config, "--resume" if resumes else "--overwrite")
        if not kill_after(
            process, killed, last_step(killed) + choose.randrange(1, 8), choose.random() * 0.02
        ):
            pytest.fail(
                f"ended by itself after {kills} kills with {process.returncode}: {process.stderr.read()}"
            )
        kills += 1
    print(f"killed {kills} times, at step {last_step(killed)} the last time")
    hone("train", config, "--resume")

    assert log_lines(killed) == log_lines(whole)
    for name in (
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
        "model/model.safetensors",
    ):
        assert (killed / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), name


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_after_the_step_and_resume_goes_on(hone, tiny_model, tmp_path, number, code):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir(), stopped.mkdir()
    train = {"threads": 1, "logging_steps": 1, "save_strategy": '"no"', "max_steps": 300}
    hone("train", write_run(whole, tiny_model, **train))
    config = write_run(stopped, tiny_model, **train)
    process = start(config)
    while last_step(stopped) < 20:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(number)
    process.wait()
    assert process.returncode == code, process.stderr.read()
    step = json.loads((stopped / "run/checkpoints/last/trainer_state.json").read_text())["state"][
        "step"
    ]
    assert step == last_step(stopped)
    hone("train", config, "--resume")
    assert log_lines(stopped) == log_lines(whole)
    assert (stopped / "run/model/model.safetensors").read_bytes() == (
        whole / "run/model/model.safetensors"
    ).read_bytes()
