"""LoRA in hone beside Hugging Face PEFT, in alternation, on the same rows: time of a step, memory, what is trained.

    python bench/adapters.py [--steps N] [--turns N]

MiniLM on sst2, r 8 on query and value, batches of 32. PEFT runs on Transformers at its best (bench/speed.py), in the precision that is faster here; hone in its own.
The same two programs train the whole model too, so that what an adapter saves shows.
"""

import argparse
import json
import statistics
import subprocess

import workers
from sets import RESULTS
from speed import BEST, FOLDER, job_of, rate, say
from workers import ROOT, PeerWorker, hone_train

CELL = "minilm-sst2"
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": ["query", "value"]}


def peer_turns(job, steps):
    worker = PeerWorker(job)
    worker.ask("train", steps=4)
    return worker, lambda: worker.ask("train", steps=steps)


def compare(peft, steps, turns):
    """Ratios of real tokens in a second, and both peaks, for each precision of the peer."""
    found = {}
    for precision in ("bf16", "fp32"):
        job = job_of(CELL, **dict(BEST, precision=precision, peft=peft))
        worker, turn = peer_turns(job, steps)
        pairs, ours = [], []
        for _ in range(turns):
            ours.append(hone_train(job, FOLDER / "peft-run", steps))
            pairs.append((rate(ours[-1]), rate(turn())))
        found[precision] = {
            "ratio": statistics.median(a / b for a, b in pairs),
            "least": min(a / b for a, b in pairs),
            "most": max(a / b for a, b in pairs),
            "hone_tokens_per_second": statistics.median(a for a, _ in pairs),
            "peer_tokens_per_second": statistics.median(b for _, b in pairs),
            "hone_step_ms": 1000 * statistics.median(r["seconds"] / r["steps"] for r in ours),
            "hone_precision": ours[-1]["precision"],
            "hone_peak": max(run["peak"] for run in ours),
            "peer_peak": worker.ask("memory")["peak"],
        }
        worker.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    prepare = [workers.PEER_PYTHON, ROOT / "bench/prepare.py", FOLDER, CELL]
    subprocess.run([str(part) for part in prepare], check=True)
    results = {}
    for name, peft in (("lora", LORA), ("whole", {})):
        results[name] = compare(peft, arguments.steps, arguments.turns)
        for precision, cell in results[name].items():
            say(
                f"{name} against {precision}: {cell['ratio']:.2f} times ({cell['least']:.2f} to {cell['most']:.2f}), "
                f"{cell['hone_peak'] / 2**20:.0f} MiB of {cell['peer_peak'] / 2**20:.0f}"
            )
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "peft.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
