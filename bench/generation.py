"""Writing answers: hone beside Transformers, CTranslate2 and llama.cpp, in alternation, on the same prompts of tokens.

    python bench/generation.py --model FOLDER [--peers PYTHON] [--batches 1 16] [--tokens 64] [--turns 3]

FOLDER is a Llama model with a chat template, e.g. SmolLM2-135M-Instruct. Prompts are rows of instructions, as its template writes them;
every program writes greedily just as many tokens of each (tokens that end an answer are suppressed everywhere). Before anything is timed,
the fp32 programs' tokens are compared with hone's. Programs take turns, and a ratio is the median over neighbouring turns.

CTranslate2 and llama.cpp are no part of the project's setup. PYTHON is that of an environment of their own; those that it lacks are left
out, and that is said:

    python3 -m venv build/bench/peers
    echo "$PWD/.venv-peers/lib/python3.11/site-packages" > build/bench/peers/lib/python3.11/site-packages/peers.pth
    build/bench/peers/bin/pip install ctranslate2==4.8.5 gguf llama-cpp-python

(llama-cpp-python is built from source; gguf writes its form of the model.) Results are kept in bench/results/<processor>/generation.json.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess

import sets
from workers import PEER_PYTHON, ROOT, PeerWorker

FOLDER = ROOT / "build" / "bench" / "generation"
PROBE = pathlib.Path(os.environ.get("HONE_BUILD", ROOT / "build" / "release")) / "generation_probe"
ROWS = sets.DATA / "instruction" / "llamafactory_demo" / "alpaca_en_demo.json"
PEERS = [
    ("transformers", "fp32"),
    ("transformers", "bf16"),
    ("ctranslate2", "fp32"),
    ("ctranslate2", "int8"),
    ("llama.cpp", "fp32"),
    ("llama.cpp", "int8"),
]
MODULES = {"transformers": "transformers", "ctranslate2": "ctranslate2", "llama.cpp": "llama_cpp"}


class HoneWorker:
    """The model in a process that answers one job a line."""

    def __init__(self, model, precision, threads, ends):
        self.ends = ends
        self.process = subprocess.Popen(
            [str(PROBE), str(model), precision, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, GOMP_SPINCOUNT="1000"),  # as the program hone sets it
        )

    def write(self, prompts, tokens):
        options = {"max_new_tokens": tokens, "suppress_tokens": self.ends}
        job = {"prompts": prompts, "options": options}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return {
            "answers": [answer["ids"] for answer in found["answers"]],
            "seconds": found["seconds"],
        }

    def peak(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
        return 0

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class OtherWorker(PeerWorker):
    def write(self, prompts, tokens):
        return self.ask("write", prompts=prompts, tokens=tokens)

    def peak(self):
        return self.ask("memory")


def has(python, program):
    command = [str(python), "-c", f"import {MODULES[program]}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def job_of(program, precision, options, ends, prompts):
    return {
        "program": program,
        "precision": precision,
        "model": str(options.model),
        "threads": options.threads,
        "cache": str(FOLDER / options.model.resolve().name),
        "ends": ends,
        "most_prompts": max(options.batches),
        "most_tokens": sum(sorted(map(len, prompts))[-max(options.batches) :])
        + max(options.batches) * (options.tokens + 1),
    }


def prompts_of(options, ends):
    job = dict(job_of("transformers", "fp32", options, ends, [[0]]), environment={})
    with PeerWorker(job, "peer_generate.py") as worker:
        return worker.ask("prompts", rows=str(ROWS), count=max(options.batches))


def equal_share(ours, theirs):
    """Answers that are the same to the last token, and tokens before the first difference, as shares."""
    begins = []
    for a, b in zip(ours, theirs, strict=True):
        same = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        begins.append(same / len(a))
    return {
        "answers": sum(share == 1 for share in begins) / len(begins),
        "tokens_before_a_difference": statistics.mean(begins),
    }


def start_workers(options, ends, prompts):
    workers = {
        ("hone", precision): HoneWorker(options.model, precision, options.threads, ends)
        for precision in options.precisions
    }
    for program, precision in PEERS:
        python = PEER_PYTHON if program == "transformers" else options.peers
        if not python or not has(python, program):
            print(f"{program} {precision}: not there, left out", flush=True)
            continue
        job = job_of(program, precision, options, ends, prompts)
        workers[program, precision] = OtherWorker(job, "peer_generate.py", python=python)
    return workers


def turns_of(workers, prompts, options):
    """Seconds of each program, turn by turn, in alternation; and what each wrote first."""
    written = {key: worker.write(prompts, options.tokens) for key, worker in workers.items()}
    seconds = {key: [] for key in workers}
    for _ in range(options.turns):
        for key, worker in workers.items():
            seconds[key].append(worker.write(prompts, options.tokens)["seconds"])
    return seconds, {key: found["answers"] for key, found in written.items()}


def cell_of(workers, prompts, options):
    seconds, answers = turns_of(workers, prompts, options)
    tokens = options.tokens * len(prompts)
    cell = {"prompt_tokens": sum(map(len, prompts)), "new_tokens": tokens, "programs": {}}
    for (program, precision), taken in seconds.items():
        # Beside hone at the same precision, or at fp32 where hone does not run that one.
        own = ("hone", precision) if ("hone", precision) in seconds else ("hone", "fp32")
        entry = {
            "tokens_per_second": tokens / statistics.median(taken),
            "seconds": taken,
            "equal_to_hone_fp32": equal_share(answers["hone", "fp32"], answers[program, precision]),
        }
        if program != "hone":
            entry["hone_is_faster"] = statistics.median(
                theirs / ours for ours, theirs in zip(seconds[own], taken, strict=True)
            )
        cell["programs"][f"{program} {precision}"] = entry
        print(
            f"  {program:13} {precision:5} {entry['tokens_per_second']:8.1f} tokens/s"
            f"  equal {entry['equal_to_hone_fp32']['answers']:.2f}"
            + (
                f"  hone is {entry['hone_is_faster']:.2f} times as fast"
                if program != "hone"
                else ""
            ),
            flush=True,
        )
    return cell


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--peers", help="Python of the environment of CTranslate2 and llama.cpp")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--output", type=pathlib.Path, default=sets.RESULTS / "generation.json")
    options = parser.parse_args()
    (FOLDER / options.model.resolve().name).mkdir(parents=True, exist_ok=True)
    config = json.loads((options.model / "config.json").read_text())
    ends = config["eos_token_id"]
    ends = ends if isinstance(ends, list) else [ends]
    prompts = prompts_of(options, ends)
    workers = start_workers(options, ends, prompts)
    result = {"model": options.model.name, "tokens": options.tokens, "threads": options.threads}
    for batch in options.batches:
        print(f"batch {batch}", flush=True)
        result[f"batch {batch}"] = cell_of(workers, prompts[:batch], options)
    result["peak_bytes"] = {" ".join(key): worker.peak() for key, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{options.output}", flush=True)


if __name__ == "__main__":
    main()
