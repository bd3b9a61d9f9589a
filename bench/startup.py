"""Start-up: `hone --help`, and how long until the first training step, beside Transformers with the same model and rows.

    python bench/startup.py [--turns 7] [--output FILE]

The first call of each is thrown away, so that files are in the page cache for all.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import speed
import workers
from workers import HONE, PEER_PYTHON, ROOT, run_measured

CELL = "minilm-sst2"


def hone_first_step(job, folder):
    """Seconds from the start of the process until its first step begins, and until it has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config, log = folder / "config.yaml", folder / "run" / "metrics.jsonl"
    config.write_text(json.dumps(workers.hone_config(job, folder / "run", 1)))
    started = time.time()
    process = subprocess.Popen(
        [str(HONE), "train", str(config), "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not (log.exists() and log.stat().st_size > 0):
        time.sleep(0.002)
    ended = time.time() - started
    if process.wait() != 0:
        raise SystemExit(f"hone train {config} ended with status {process.returncode}")
    return {
        "begins": ended - json.loads(log.read_text().splitlines()[0])["seconds"],
        "ended": ended,
    }


def peer_first_step(job):
    labels = pathlib.Path(job["rows"]).with_suffix(".labels.json")
    started = time.time()
    run = run_measured(
        [PEER_PYTHON, ROOT / "bench" / "peer_first_step.py", job["model"], job["rows"], labels]
    )
    clock = json.loads(run["out"].splitlines()[0])
    return {"begins": clock["began"] - started, "ended": clock["ended"] - started}


def measure(turns):
    job = speed.job_of(CELL)
    tried = {
        "hone --help": lambda: {"wall": run_measured([HONE, "--help"])["wall"]},
        "import transformers": lambda: {
            "wall": run_measured([PEER_PYTHON, "-c", "import transformers"])["wall"]
        },
        "from transformers import Trainer": lambda: {
            "wall": run_measured([PEER_PYTHON, "-c", "from transformers import Trainer"])["wall"]
        },
        "hone train": lambda: hone_first_step(job, speed.FOLDER / "startup"),
        "Trainer": lambda: peer_first_step(job),
    }
    runs = {name: [] for name in tried}
    for turn in range(turns + 1):
        for name, run in tried.items():
            taken = run()
            if turn > 0:
                runs[name].append(taken)
    return {
        name: {
            key: {
                "median": statistics.median(r[key] for r in taken),
                "least": min(r[key] for r in taken),
            }
            for key in taken[0]
        }
        for name, taken in runs.items()
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--output", type=pathlib.Path, default=speed.RESULTS / "startup.json")
    arguments = parser.parse_args()
    speed.prepare_inputs([CELL])
    result = measure(arguments.turns)
    speed.write_results(result, arguments.output)
    name_of = {"wall": "", "begins": ", first step begins", "ended": ", first step done"}
    for name, values in result.items():
        for key, seconds in values.items():
            print(
                f"  {name}{name_of[key]}: {1000 * seconds['median']:.0f} ms (least {1000 * seconds['least']:.0f})",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
