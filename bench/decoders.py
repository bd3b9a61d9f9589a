"""hone beside TRL's SFTTrainer, in turn, on the same rows: tokens/s of real tokens and peak memory.

    python bench/decoders.py [--only CELL …] [--steps N] [--turns N]
    python bench/decoders.py --search CELL     TRL's settings beside each other, each against its present best
    python bench/decoders.py --table           what an earlier run measured, as Markdown

A cell is a model and a data set: SmolLM2-135M-Instruct, and the shape of Qwen2-0.5B with random weights, on alpaca_en_demo; "-recomputing": both compute
activations again in the backward pass. Before anything is timed, losses of the first steps are compared in fp32: equal weights, the same rows each step, no
packing. TRL then packs rows to the longest length; hone takes as many tokens a step. A small model of TRL's stays loaded between its turns; of the large
shape each turn is alone on the machine, since both do not fit into 24 GiB. Results are kept in bench/results/<processor>/decoders.json.
"""

import argparse
import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys

import sets
from sets import RESULTS, ROOT, SHARED
from workers import (
    PEER_PYTHON,
    PeerWorker,
    hone_check,
    hone_train,
    rate,
    ratios,
    say,
    worst_of_losses,
)

FOLDER = ROOT / "build" / "bench"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
BEST = {
    "precision": sets.PRECISION,
    "attention": "sdpa",
    "packing": True,
    "environment": KEEP_MEMORY,
}
CANDIDATES = {
    "best": {},
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "eager attention": {"attention": "eager"},
    "without packing": {"packing": False, "batch": 4},
    "foreach AdamW": {"optimizer": "adamw_torch"},
    "usual malloc": {"environment": {}},
    "pure bf16": {"precision": "pure"},
}
LENGTH, TOLERANCE, COMPARED_STEPS, SKIPPED = 1024, 1e-3, 5, 2


@dataclasses.dataclass(frozen=True)
class Cell:
    model: str
    recomputes: bool = False
    takes_turns_alone: bool = False  # TRL is started for each turn, and ended after it
    compared_rows: int = 8


QWEN2_CELL = Cell("qwen2", takes_turns_alone=True, compared_rows=2)
CELLS = {
    "smollm2-alpaca": Cell("smollm2"),
    "smollm2-alpaca-recomputing": Cell("smollm2", recomputes=True),
    "qwen2-alpaca": QWEN2_CELL,
    "qwen2-alpaca-recomputing": dataclasses.replace(QWEN2_CELL, recomputes=True),
}


# ---------------------------------------------------------------------------------------------------- models

QWEN2 = """
import json, pathlib, shutil, sys, torch, transformers
source, folder = map(pathlib.Path, sys.argv[1:])
torch.manual_seed(0)
config = transformers.Qwen2Config(vocab_size=151936, hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
    intermediate_size=4864, max_position_embeddings=32768, tie_word_embeddings=True, eos_token_id=2, bos_token_id=1, pad_token_id=2)
transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(source / name, folder / name)
"""


def smollm2():
    folder = FOLDER / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "model.safetensors").exists():
        maker = SHARED / "weights" / "make_smollm2_135m_instruct.py"
        subprocess.run([str(PEER_PYTHON), str(maker), str(folder)], check=True)
    return folder


def qwen2():
    """Random weights in the shape of Qwen2-0.5B, under SmolLM2's tokenizer, whose ids are among its own."""
    folder = FOLDER / "models" / "qwen2-0.5b-shape"
    if not (folder / "model.safetensors").exists():
        subprocess.run([str(PEER_PYTHON), "-c", QWEN2, str(smollm2()), str(folder)], check=True)
    return folder


MODELS = {"smollm2": smollm2, "qwen2": qwen2}


def rows_file(rows, name):
    path = FOLDER / "rows" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def job_of(cell, rows, **settings):
    return {
        "model": str(MODELS[CELLS[cell].model]()),
        "rows": str(rows),
        "task": "causal_lm",
        "max_length": LENGTH,
        "learning_rate": 1e-5,
        "checkpointing": CELLS[cell].recomputes,
        **settings,
    }


# ---------------------------------------------------------------------------------------------------- equal losses


def compare_losses(cell):
    count = CELLS[cell].compared_rows
    few = rows_file(sets.rows("alpaca_en", "train")[:count], f"{cell}.first")
    job = job_of(cell, few, precision="fp32", packing=False, batch=count)
    with PeerWorker(job, "peer_sft.py") as peer:
        theirs = peer.ask("train", steps=COMPARED_STEPS)["losses"]
    ours = hone_train(
        job, FOLDER / "runs" / f"{cell}-compared", COMPARED_STEPS, skipped=0, precision="fp32", weight_decay=0.0,
        recompute=CELLS[cell].recomputes,
    )["losses"]  # fmt: skip
    worst = worst_of_losses(cell, ours, theirs, TOLERANCE)
    return {"hone": ours, "trl": theirs, "worst_relative": worst}


# ---------------------------------------------------------------------------------------------------- speed and memory


def one_turn(peer, steps):
    return {**peer.ask("train", steps=steps), "peak": peer.ask("memory")["peak"]}


def turn_of_its_own(job, steps):
    with PeerWorker(job, "peer_sft.py") as peer:
        peer.ask("train", steps=SKIPPED)
        return one_turn(peer, steps)


@contextlib.contextmanager
def peer_of(job, is_alone):
    """What gives TRL a turn of so many steps."""
    if is_alone:
        yield lambda steps: turn_of_its_own(job, steps)
        return
    with PeerWorker(job, "peer_sft.py") as peer:
        peer.ask("train", steps=SKIPPED)
        yield lambda steps: one_turn(peer, steps)


def measure(cell, steps, turns):
    rows = rows_file(sets.rows("alpaca_en", "train"), f"{cell}.train")
    job = job_of(cell, rows, **BEST)
    compared = compare_losses(cell)
    settings = dict(max_tokens_per_batch=LENGTH, weight_decay=0.0, recompute=CELLS[cell].recomputes)
    estimate = hone_check(job, FOLDER / "runs" / cell, steps + SKIPPED, **settings)
    ours, theirs = [], []
    with peer_of(job, CELLS[cell].takes_turns_alone) as peer:
        for _ in range(turns):
            ours.append(hone_train(job, FOLDER / "runs" / cell, steps, skipped=SKIPPED, **settings))
            theirs.append(peer(steps))
    # Weights and optimizer in bf16: as information, since it computes something else.
    in_pure = turn_of_its_own(dict(job, precision="pure"), steps)
    result = {
        "cell": cell,
        "steps": steps,
        "compared": compared,
        "precision": {"hone": ours[0]["precision"], "trl": job["precision"]},
        "hone": [rate(run) for run in ours],
        "trl": [rate(run) for run in theirs],
        "ratio": ratios(ours, theirs),
        "trl_pure": {"rate": rate(in_pure), "peak": in_pure["peak"]},
        "memory": {
            "hone": max(run["peak"] for run in ours),
            "hone_foretold": estimate["memory_bytes"],
            "trl": max(run["peak"] for run in theirs),
            "trl_frugal": frugal_peak(job, steps),
        },
    }
    say_cell(result)
    return result


def frugal_peak(job, steps):
    """TRL's least memory at the same work and as many steps: activations computed again, and a malloc that gives memory back."""
    return turn_of_its_own(dict(job, checkpointing=True, environment={}), steps)["peak"]


def say_cell(r):
    memory = {who: f"{peak / 2**20:.0f}" for who, peak in r["memory"].items()}
    say(
        f"  {r['cell']}: hone ({r['precision']['hone']}) {statistics.median(r['hone']):.0f} tokens/s, TRL ({r['precision']['trl']}) "
        f"{statistics.median(r['trl']):.0f}: {r['ratio']['median']:.2f} times ({r['ratio']['least']:.2f} to {r['ratio']['most']:.2f}); memory "
        f"{memory['hone']} MiB (foretold {memory['hone_foretold']}), TRL {memory['trl']}, recomputing {memory['trl_frugal']}; "
        f"TRL in pure bf16 {r['trl_pure']['rate']:.0f} tokens/s, {r['trl_pure']['peak'] / 2**20:.0f} MiB"
    )


def search(cell, steps, turns=2):
    job = job_of(cell, rows_file(sets.rows("alpaca_en", "train"), "alpaca_en.train"), **BEST)
    with PeerWorker(job, "peer_sft.py") as base:
        base.ask("train", steps=SKIPPED)
        for name, settings in CANDIDATES.items():
            with PeerWorker(dict(job, **settings), "peer_sft.py") as worker:
                worker.ask("train", steps=SKIPPED)
                pairs = [
                    (worker.ask("train", steps=steps), base.ask("train", steps=steps))
                    for _ in range(turns)
                ]
                found = ratios(*zip(*pairs))
                say(
                    f"  {name}: {found['median']:.2f} of the best setting's tokens/s, {worker.ask('memory')['peak'] / 2**20:.0f} MiB"
                )


def foretold(memory):
    """What `hone check` said, and how far that is from what was measured; an older result does not know."""
    said = memory.get("hone_foretold")
    return f"{said / 2**20:.0f} ({said / memory['hone'] - 1:+.0%})" if said else ""


def pure(r):
    """TRL's rate and memory in pure bf16; an older result does not know."""
    told = r.get("trl_pure")
    return f"{told['rate']:.0f}, {told['peak'] / 2**20:.0f}" if told else ""


def table(results):
    print(
        "| cell | hone, tokens/s | TRL | ratio | memory, MiB: hone | foretold | TRL | TRL, recomputing | TRL in pure bf16, tokens/s, MiB |\n|---|---|---|---|---|---|---|---|---|"
    )
    for r in results.values():
        mib = {who: f"{r['memory'][who] / 2**20:.0f}" for who in ("hone", "trl", "trl_frugal")}
        print(
            f"| {r['cell']} | {statistics.median(r['hone']):.0f} ({r['precision']['hone']}) | {statistics.median(r['trl']):.0f} ({r['precision']['trl']}) | "
            f"{r['ratio']['median']:.2f} ({r['ratio']['least']:.2f} to {r['ratio']['most']:.2f}) | {mib['hone']} | {foretold(r['memory'])} | "
            f"{mib['trl']} | {mib['trl_frugal']} | {pure(r)} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--search", choices=CELLS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.search:
        return search(options.search, options.steps)
    file = RESULTS / "decoders.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    if options.table:
        return table(results)
    for cell in options.only:
        results[cell] = measure(cell, options.steps, options.turns)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
