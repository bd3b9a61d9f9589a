"""Every operation on the files of a run fails once, or is the last before SIGKILL. Whatever it is,
`--resume` then ends with what the run without a fault gives, and an earlier run is there whole until
the new one can be resumed."""

import hashlib
import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ATTACK, HONE, ROOT, write_run

LIBRARY = Path(os.environ.get("HONE_FAULTS", HONE.parent / "libfault_injection.so"))
KINDS = ("kill", "torn", "short", "EIO", "ENOSPC", "full")
FAULTS = 90 if ATTACK else 3  # of each scenario, chosen among all
PAIRS = 100 if ATTACK else 3
TRAIN = {
    "threads": 1,
    "logging_steps": 1,
    "max_steps": 6,
    "save_strategy": "steps",
    "save_steps": 2,
    "eval_strategy": "steps",
    "eval_steps": 2,
}

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason=f"{LIBRARY} is not built")


def run(config, output, *words, fault=(), log=None):
    """Exit code and stderr of a training in `output`; `fault` is its kind and the operation it strikes."""
    env = dict(os.environ)
    if fault or log:
        env |= {
            "LD_PRELOAD": str(LIBRARY),
            "FAULT_FOLDER": str(output),
            "FAULT_LOG": str(log or ""),
        }
    if fault:
        env |= {"FAULT_KIND": fault[0], "FAULT_POINT": str(fault[1])}
    command = [HONE, "train", config, f"output.dir={output}", *words]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stderr


def result(output):
    """What a run gives, times and paths apart: two runs are equal where this is."""
    files = {}
    for path in sorted(output.rglob("*")):
        name = str(path.relative_to(output))
        if path.is_dir() or name.startswith(
            (".hone/", "tensorboard/", "checkpoints/last.", "checkpoints/best.")
        ):
            continue
        files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for name in (
        "report.json",
        "report.html",
        "resolved_config.yaml",
        "checkpoints/last/trainer_state.json",
        "checkpoints/best/trainer_state.json",
    ):
        files[name] = files.pop(name, None) is not None
    lines = map(json.loads, (output / "metrics.jsonl").read_text().splitlines())
    files["metrics.jsonl"] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    report = json.loads((output / "report.json").read_text())
    return files, report["metrics"], report["mistakes"], report["confusion"]


def operations(log):
    """(number, name, path) of what a run without a fault did."""
    lines = (line.split(" ", 2) for line in log.read_text().splitlines())
    return [(int(number), name, path) for number, name, path in lines]


def faults(log, seed):
    """A choice of all that can strike."""
    all_of_them = [
        (kind, number)
        for number, name, _ in operations(log)
        for kind in KINDS
        if name in ("write", "writev", "fwrite") or kind not in ("torn", "short")
    ]
    return random.Random(seed).sample(all_of_them, FAULTS)


@dataclass
class Scenario:
    """A command, the folder it starts in (None: there is none), and what it gives."""

    name: str
    words: tuple
    before: Path | None
    config: Path
    expected: tuple
    earlier: tuple | None = None  # what is there before, where the command replaces it

    def prepare(self, output):
        shutil.rmtree(output, ignore_errors=True)
        if self.before:
            shutil.copytree(self.before, output)


@pytest.fixture(scope="module")
def scenarios(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    config = write_run(folder, tiny_model, rows=(16, 8, 8), **TRAIN)
    assert run(config, folder / "whole")[0] == 0
    whole = result(folder / "whole")
    other = folder / "other.yaml"
    other.write_text(config.read_text().replace("max_steps: 6", "max_steps: 6, seed: 7"))
    assert run(other, folder / "other")[0] == 0
    earlier = result(folder / "other")
    unsaved = 'train.save_strategy="no"'
    assert run(config, folder / "unsaved", unsaved)[0] == 0
    # Killed in the middle: after the checkpoint of step 4; and with the model there, but no report.
    killed_after(config, folder / "half", "checkpoints/last", 2)
    shutil.copytree(folder / "other", folder / "begun")
    killed_after(config, folder / "begun", "begun/model", 1, unsaved, "--overwrite")
    return [
        Scenario("a new run", (), None, config, whole),
        Scenario("a resumed run", ("--resume",), folder / "half", config, whole),
        Scenario("a run over another", ("--overwrite",), folder / "other", config, whole, earlier),
        Scenario("a run without checkpoints", (unsaved,), None, config, result(folder / "unsaved")),
        Scenario(
            "a run over another, begun again",
            ("--resume", unsaved),
            folder / "begun",
            config,
            result(folder / "unsaved"),
            earlier,
        ),
    ]


def killed_after(config, output, name, times, *words):
    """Leaves a run in `output` that was killed when `name` had been renamed to so many times."""
    copy, log = output.with_name("copy"), output.with_name("log")
    shutil.rmtree(copy, ignore_errors=True)
    log.unlink(missing_ok=True)
    if output.exists():
        shutil.copytree(output, copy)
    assert run(config, copy, *words, log=log)[0] == 0
    name = name.replace(f"{output.name}/", "copy/")
    renames = [n for n, what, path in operations(log) if what == "rename" and path.endswith(name)]
    assert run(config, output, *words, fault=("kill", renames[times - 1] + 1))[0] == -9


def check(scenario, output, fault):
    code, err = run(scenario.config, output, *scenario.words, fault=fault)
    assert code in ((0, -9) if fault[0] in ("kill", "torn") else (0, 2)), (code, err)
    assert "internal error" not in err
    if code != 0:
        go_on(scenario, output, err)
    assert result(output) == scenario.expected
    assert not (output / ".hone/unfinished").exists()
    assert not (output / ".hone/earlier-run").exists()


def go_on(scenario, output, err):
    """Ends what a fault cut short. It may have struck when all was there, or before anything was."""
    words = [word for word in scenario.words if "=" in word]
    code, again = run(scenario.config, output, *words, "--resume")
    if code == 2 and "holds a finished run" in again:
        found = result(output)
        assert found in (scenario.expected, scenario.earlier)
        if found == scenario.earlier:
            code, again = run(scenario.config, output, *words, "--overwrite")
        else:
            code = 0
    assert code == 0, f"{err}\nthen, resumed:\n{again}"


@pytest.mark.parametrize("number", range(5))
def test_a_run_can_be_resumed_whatever_fails(scenarios, tmp_path, number):
    scenario = scenarios[number]
    output, log = tmp_path / "run", tmp_path / "log"
    scenario.prepare(output)
    assert run(scenario.config, output, *scenario.words, log=log)[0] == 0
    tried = faults(log, seed=number)
    failed = []
    for fault in tried:
        scenario.prepare(output)
        try:
            check(scenario, output, fault)
        except AssertionError as error:
            failed.append(f"{fault}: {error}")
    print(
        f"{scenario.name}: {len(operations(log))} operations, {len(tried)} faults, {len(failed)} failed"
    )
    assert not failed, f"{len(failed)} of {len(tried)} faults\n" + "\n\n".join(failed[:5])


@pytest.mark.parametrize(
    "words", [(), ("--resume",), ("--overwrite",)], ids=["new", "resume", "overwrite"]
)
def test_of_two_runs_in_one_folder_one_ends(scenarios, tmp_path, words):
    scenario = scenarios[0]
    for _ in range(-(-PAIRS // 3)):
        output = tmp_path / "run"
        shutil.rmtree(output, ignore_errors=True)
        command = [HONE, "train", scenario.config, f"output.dir={output}", *words]
        pair = [
            subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        told = [process.communicate(timeout=300)[1] for process in pair]
        codes = sorted(process.returncode for process in pair)
        assert codes[0] == 0 and codes[1] in (0, 2), (codes, told)
        if codes[1] == 2:
            assert any(
                "another run works in this folder" in err or "holds a finished run" in err
                for err in told
            )
        assert result(output) == scenario.expected
