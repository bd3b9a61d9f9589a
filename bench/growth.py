"""How cost grows: with rows (1 thousand to 1 million), with the length of a sample (64 to 512), with threads. hone alone.

    python bench/growth.py [--rows 1000 10000 …] [--lengths 64 128 …] [--output FILE]

Rates and memory should be flat in rows; the time of a token should grow with length only as attention's share of the work does.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import sys

import sets
import speed
import workers

STEPS = 20
FOLDER = speed.FOLDER / "growth"


def write_rows(count):
    """Rows of banking77 over and over, each with a running number, as long in every file, so that no two are equal."""
    path = FOLDER / f"{count}-rows.jsonl"
    if not path.exists():
        rows, draw = sets.rows("banking77", "train"), random.Random(3)
        with open(path, "w", encoding="utf-8") as file:
            for number in range(count):
                row = draw.choice(rows)
                file.write(
                    json.dumps({"text": f"{row['text']} {number:07d}", "label": row["label"]})
                    + "\n"
                )
    return path


def write_length(length):
    """Real text laid end to end: every sample is cut at exactly `length` tokens. A step has 4096 tokens whatever the length."""
    path = FOLDER / f"length-{length}.jsonl"
    words = " ".join(row["text"] for row in sets.rows("sst2", "train")).split(" ")
    with open(path, "w", encoding="utf-8") as file:
        for i in range(4096 // length * 4):
            begin = i * length % (len(words) - length)
            file.write(
                json.dumps(
                    {
                        "text": " ".join(words[begin : begin + length]),
                        "label": "even" if i % 2 == 0 else "odd",
                    }
                )
                + "\n"
            )
    return path


def measure(jobs, turns):
    """jobs[value] = (job, options of train). In alternation, so that a machine that slows down for a while slows all; rates also as
    medians of the ratio to the first of the same turn."""
    runs = {value: [] for value in jobs}
    for _ in range(turns):
        for value, (job, options) in jobs.items():
            runs[value].append(workers.hone_train(job, FOLDER / "run", STEPS, **options))
    first = next(iter(runs.values()))
    return {
        value: {
            "tokens_per_second": statistics.median(map(speed.rate, taken)),
            "to_first": speed.ratios(taken, first)["median"],
            "peak": max(run["peak"] for run in taken),
            "wall": statistics.median(run["wall"] for run in taken),
        }
        for value, taken in runs.items()
    }


def say(what, results):
    for value, r in results.items():
        print(
            f"  {what} {value}: {r['tokens_per_second']:.0f} tokens/s ({r['to_first']:.2f} of the first), {r['peak'] / 2**20:.0f} MiB, "
            f"whole run {r['wall']:.1f} s",
            flush=True,
        )
    return results


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="*", type=int, default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--lengths", nargs="*", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, default=speed.RESULTS / "growth.json")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    speed.prepare_inputs(["minilm-banking77", "minilm-fixed128"])
    base, fixed = speed.job_of("minilm-banking77"), speed.job_of("minilm-fixed128")
    rows = {count: (dict(base, rows=str(write_rows(count))), {}) for count in arguments.rows}
    lengths = {
        length: (
            dict(fixed, rows=str(write_length(length)), max_length=length, batch=4096 // length),
            {},
        )
        for length in arguments.lengths
    }
    threads = {
        count: (base, {"threads": count}) for count in range(1, len(os.sched_getaffinity(0)) + 1)
    }
    results = {
        "rows": say("rows", measure(rows, arguments.turns)),
        "length": say("length", measure(lengths, min(3, arguments.turns))),
        "threads": say("threads", measure(threads, arguments.turns)),
    }
    shutil.rmtree(FOLDER)
    speed.write_results(results, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
