"""Child processes of the speed benchmark: Transformers as a worker that waits between its turns, and hone as one run after another.

Nothing here imports more than the standard library: on Linux a child's peak memory begins at that of the process that started it.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
HONE = pathlib.Path(os.environ.get("HONE", ROOT / "build" / "release" / "hone"))


def say(text):
    print(text, flush=True)


def rate(run):
    return run["tokens"] / run["seconds"]


def ratios(ours, theirs):
    """Medians of neighbouring turns, and their spread."""
    pairs = [rate(a) / rate(b) for a, b in zip(ours, theirs)]
    return {"median": statistics.median(pairs), "least": min(pairs), "most": max(pairs)}


def worst_of_losses(name, ours, theirs, tolerance):
    """The worst relative difference of two programs' first losses. Raises where they do not compute the same; then nothing is timed."""
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
    say(
        f"  {name}: losses of {len(theirs)} steps: worst relative difference {worst:.1e} (allowed {tolerance:.0e})"
    )
    if len(ours) != len(theirs) or not worst <= tolerance:
        raise SystemExit(
            f"{name}: the programs do not compute the same: {ours} against {theirs}; nothing is timed"
        )
    return worst


class PeerWorker:
    """bench/<script> with one job; `ask` sends a command and waits for its answer. job["environment"] is for the process."""

    def __init__(self, job, script="peer_step.py", log=None, python=PEER_PYTHON):
        environment = dict(os.environ, **job.get("environment", {}), HF_HUB_OFFLINE="1")
        self.process = subprocess.Popen(
            [str(python), str(ROOT / "bench" / script), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the worker ended with status {self.process.wait()}: {' '.join(self.process.args)}"
            )
        return json.loads(line)

    def ask(self, do, **arguments):
        with contextlib.suppress(
            BrokenPipeError
        ):  # a worker that has died gives no answer, which says more
            self.process.stdin.write(json.dumps(dict(arguments, do=do)) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---------------------------------------------------------------------------------------------------- hone

SKIPPED = 4  # first steps that are not timed: caches fill, memory is mapped


def hone_config(job, folder, steps, validation=None, **train):
    """The configuration of a run with the job's model, rows and batch; JSON is YAML."""
    data = {
        "train": {"path": job["rows"]},
        **({"validation": {"path": str(validation)}} if validation else {}),
    }
    # The job's labels, not those that its rows happen to have: the head is kept, and both programs train the same.
    task = {
        "classify": {
            "name": "classify",
            "text": "text",
            "label": "label",
            "labels": job.get("labels", []),
        },
        "ner": {"name": "ner", "tokens": "tokens", "tags": "tags"},
        "causal_lm": {"name": "causal_lm", "train_on": "last_answer", **job.get("answers", {})},
        "qa": {"name": "qa"},
        "seq2seq": {"name": "seq2seq", "metrics": [], "prefix": job.get("prefix", "")},
    }[job["task"]]
    options = {
        "max_steps": steps,
        "per_device_train_batch_size": job.get("batch", 32),
        "max_seq_length": job["max_length"],
        "learning_rate": job.get("learning_rate", 5e-5),
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "seed": 1,
        "lr_scheduler_type": "constant",
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": 1,
        "device": "cpu",
    }
    return {
        "model": {"path": job["model"]},
        "task": task,
        "data": data,
        "train": dict(options, **train),
        **({"peft": {"peft_type": "lora", **job["peft"]}} if job.get("peft") else {}),
        "output": {"dir": str(folder)},
    }


def run_measured(command, **options):
    """Runs to the end; returns wall seconds, peak memory in bytes and both outputs."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=err, **options
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        told = err.read()
        if process.returncode != 0:
            raise RuntimeError(
                f"{' '.join(map(str, command))} ended with status {process.returncode}:\n{told[-2000:]}"
            )
        return {"wall": seconds, "peak": 1024 * usage.ru_maxrss, "out": out.read(), "err": told}


def hone_train(job, folder, steps, skipped=SKIPPED, **train):
    """One `hone train`; its own metrics.jsonl tells tokens and seconds of each step."""
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder.with_suffix(".yaml")
    config.write_text(json.dumps(hone_config(job, folder, steps + skipped, **train)))
    run = run_measured([HONE, "train", config, "--overwrite"])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    taken = [line for line in lines if line["event"] == "step"]
    timed = taken[skipped:]
    return {
        "precision": re.search(r"(bf16|fp32) on \d+ thread", run["err"]).group(1),
        "tokens": sum(s["tokens"] for s in timed),
        "seconds": sum(s["seconds"] for s in timed),
        "steps": len(timed),
        "losses": [s["loss"] for s in taken],
        "step_seconds": [s["seconds"] for s in taken],
        "peak": run["peak"],
        "wall": run["wall"],
        "evaluations": [line for line in lines if line["event"] == "evaluation"],
        "told": run["err"],
    }


def hone_check(job, folder, steps, **train):
    """What `hone check` foretells of such a run."""
    config = pathlib.Path(folder).with_suffix(".check.yaml")
    config.write_text(json.dumps(hone_config(job, folder, steps, **train)))
    return json.loads(run_measured([HONE, "check", config, "--json"])["out"])["estimate"]


def hone_eval(model, rows, precision, threads=0):
    """One `hone eval`: reading, encoding, forward passes, decoding and scoring; loading the model is not in its seconds."""
    run = run_measured(
        [
            HONE,
            "eval",
            model,
            rows,
            "--json",
            "--precision",
            precision,
            "--device",
            "cpu",
            "--threads",
            threads,
        ]
    )
    report = json.loads(run["out"])
    timing = report["timing"]
    return {
        "score": report["score"],
        "tokens": timing["tokens_per_second"] * timing["test_seconds"],
        "seconds": timing["test_seconds"],
        "peak": run["peak"],
    }
