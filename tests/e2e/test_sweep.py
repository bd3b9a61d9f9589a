"""A sweep as a user has it: killed in the midst, gone on with, its best configuration trained."""

import json
import signal
import subprocess

from conftest import HONE, ROOT, write_run


def sweep_of(folder, model, name, section):
    config = write_run(
        folder, model, output=name, num_train_epochs=8, metric_for_best_model="loss"
    )  # no two trials have one loss
    path = folder / f"{name}.yaml"
    path.write_text(config.read_text() + f"sweep: {section}\n")
    return path


def table(folder):
    return json.loads((folder / "sweep.json").read_text())


def test_a_sweep_that_was_killed_goes_on_to_the_same_end(hone, tiny_model, tmp_path):
    section = "{halving: {factor: 2, epochs: 2}, keys: {train.learning_rate: [1e-6, 2e-3, 1e30]}}"
    whole, killed = (sweep_of(tmp_path, tiny_model, name, section) for name in ("whole", "killed"))
    told = hone("sweep", whole)
    assert "failed: " in told.stdout and "best.yaml" in told.stdout
    assert told.stderr.count("a fresh one") == 2  # by the first trial, and of all at the end
    assert "3 of 3 trials said: " in told.stderr
    run = subprocess.Popen(
        [HONE, "sweep", killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    wanted = tmp_path / "killed/trial-002/checkpoints/last"
    while not wanted.exists() and run.poll() is None:
        pass
    run.send_signal(signal.SIGKILL)
    run.wait()
    hone("sweep", killed)
    one, other = table(tmp_path / "whole"), table(tmp_path / "killed")
    assert one["score"] == other["score"] and one["values"] == other["values"]
    assert [row["score"] for row in one["trials"]] == [row["score"] for row in other["trials"]]
    hone("train", tmp_path / "killed/best.yaml")
    report = json.loads((tmp_path / "killed/best/report.json").read_text())
    assert report["score"] == one["metrics"]["test_accuracy"]
    assert (tmp_path / "killed/best/model/model.safetensors").read_bytes() == (
        tmp_path / "whole/trial-002/model/model.safetensors"
    ).read_bytes()


def test_a_misspelt_key_is_told_before_anything_is_trained(hone, tiny_model, tmp_path):
    config = sweep_of(tmp_path, tiny_model, "sweep", "{keys: {train.learnin_rate: [1e-3]}}")
    told = hone("sweep", config, code=2)
    assert "sweep.yaml:" in told.stderr and "learning_rate" in told.stderr
    assert not (tmp_path / "sweep").exists()
    assert "hone sweep" in hone("train", config, code=2).stderr
