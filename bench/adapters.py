"""Every method of fine-tuning with few weights beside Hugging Face PEFT, in alternation, on the same rows: time of a step, peak memory,
numbers that are trained, size of what is saved. On a quiet machine; bench/adapter_scores.py says what the methods reach, and needs none.

    python bench/adapters.py [--only CELL[/METHOD],…] [--turns N] [--again]
    python bench/adapters.py --list        all measurements, which are there, and how long the others will take
    python bench/adapters.py --table       what was measured, as Markdown

Cells: minilm-sst2, base-sst2 (BERT-base's shape, random weights), e5-sst2, smollm2-sst2. PEFT runs on Transformers at its best (bench/speed.py), in
the precision that is faster for a cell's whole model; hone in its own. PEFT's memory is the lesser of two: with a malloc that keeps memory, as its
timed turns have it, and with the usual one. `whole` trains the whole model with both. lora_int8 and lora_nf4 are LoRA beside a base model in fewer
bits, and PEFT's LoRA beside a full one. Bottleneck adapters are not PEFT's, and bitfit, top_layers and the head alone are no methods of it: these
have hone's column alone. Each measurement is kept in bench/results/<processor>/adapters.json at once; the same call goes on where it stopped.
"""

import argparse
import json
import pathlib
import re
import statistics
import sys
import time

import speed

from sets import RESULTS
from speed import BEST, FOLDER, job_of, rate, say
from workers import PeerWorker, hone_train, ratios

# Of a cell: steps of a turn, and seconds that a method was found to take, with PEFT's turns and without.
CELLS = {
    "minilm-sst2": (10, 45, 10),
    "base-sst2": (4, 90, 25),
    "e5-sst2": (8, 70, 20),
    "smollm2-sst2": (4, 100, 30),
}
SKIPPED = 2  # steps before a turn's clock
TURNS = 2
# Targets of each family: query and value; of (IA)³, and those of them that are of the feed-forward part; norms.
TARGETS = {
    "smollm2": (
        ["q_proj", "v_proj"],
        ["k_proj", "v_proj", "down_proj"],
        ["down_proj"],
        ["input_layernorm", "post_attention_layernorm", "norm"],
    )
}
BERT_TARGETS = (
    ["query", "value"],
    ["key", "value", "output.dense"],
    ["output.dense"],
    ["LayerNorm"],
)
FAR_AWAY = 100_000  # steps of AdaLoRA's schedule: a step is timed at its beginning
# Those that docs/peft.md gives, for both programs.
RATES = {
    "whole": 5e-5,
    "ia3": 3e-3,
    "prefix": 5e-3,
    "prompt": 1e-3,
    "double_seq_bn": 3e-4,
    "seq_bn": 1e-4,
    "par_bn": 1e-4,
    "bitfit": 1e-3,
    "ln_tuning": 1e-3,
    "top_layers": 5e-5,
    "head": 1e-3,
}
USUAL_RATE = 5e-4


class Method:
    """The section `peft` of hone's run, and of PEFT's where it has the method; empty sections train the whole model."""

    def __init__(self, ours, has_peer=True, theirs=None):
        self.ours = ours
        self.theirs = (theirs or ours) if has_peer else None


def methods(shape):
    query_value, for_ia3, feed_forward, norms = TARGETS.get(shape, BERT_TARGETS)
    low_rank = {"lora_alpha": 16, "lora_dropout": 0.05, "target_modules": query_value}
    lora = {"peft_type": "LORA", "r": 8, **low_rank}
    adalora = {"peft_type": "ADALORA", "init_r": 12, "target_r": 8, **low_rank}
    ia3 = {"peft_type": "IA3", "target_modules": for_ia3, "feedforward_modules": feed_forward}
    virtual = {"num_virtual_tokens": 20}
    return {
        "whole": Method({}),
        "lora": Method(lora),
        "lora_int8": Method({**lora, "base": "int8"}, theirs=lora),
        "lora_nf4": Method({**lora, "base": "nf4"}, theirs=lora),
        "rslora": Method({**lora, "use_rslora": True}),
        "dora": Method({**lora, "use_dora": True}),
        "pissa": Method({**lora, "init_lora_weights": "pissa"}),
        "adalora": Method(adalora),
        "ia3": Method(ia3),
        "prefix": Method({"peft_type": "PREFIX_TUNING", **virtual}),
        "prompt": Method({"peft_type": "PROMPT_TUNING", **virtual}),
        "ln_tuning": Method({"peft_type": "LN_TUNING", "target_modules": norms}),
        "double_seq_bn": Method({"peft_type": "double_seq_bn"}, False),
        "seq_bn": Method({"peft_type": "seq_bn"}, False),
        "par_bn": Method({"peft_type": "par_bn"}, False),
        "bitfit": Method({"peft_type": "bitfit"}, False),
        "top_layers": Method({"peft_type": "top_layers"}, False),
        "head": Method({"peft_type": "head"}, False),
    }


def timed_methods(cell):
    shape = cell.split("-")[0]
    found = methods(shape)
    for name in ("prefix", "prompt"):
        if shape == "smollm2":  # PEFT's soft prompts lose the last token of padded rows there
            found[name].theirs = None
    found["adalora"].ours = found["adalora"].theirs = {
        **found["adalora"].ours,
        "total_step": FAR_AWAY,
    }
    return found


# ---------------------------------------------------------------------------------------------------- one method


def trained_of(told):
    """Numbers that hone says it trains; None of a whole model."""
    found = re.search(r"(\d+) of \d+ parameters are trained", told)
    return int(found.group(1)) if found else None


def saved_bytes(folder):
    sizes = [
        path.stat().st_size
        for name in ("adapter_model.safetensors", "adapter.safetensors", "model_head.safetensors")
        if (path := pathlib.Path(folder) / "model" / name).exists()
    ]
    return sum(sizes) or None


def summary_of(runs):
    return {
        "step_ms": 1000 * statistics.median(run["seconds"] / run["steps"] for run in runs),
        "tokens_per_second": statistics.median(rate(run) for run in runs),
        "peak": max(run["peak"] for run in runs),
        "precision": runs[-1]["precision"],
        "trained": trained_of(runs[-1]["told"]),
        "bytes": saved_bytes(FOLDER / "adapters-run"),
    }


def hone_run(cell, method, steps):
    job = job_of(cell, **dict(BEST, peft=method.ours))
    return hone_train(job, FOLDER / "adapters-run", steps, skipped=SKIPPED)


def beside_peft(cell, method, precision, steps, turns):
    """hone and PEFT in alternation."""
    job, ours, theirs = job_of(cell, **dict(BEST, precision=precision, peft=method.theirs)), [], []
    with PeerWorker(job) as worker:
        worker.ask("train", steps=SKIPPED)
        for turn in range(turns):
            ours.append(hone_run(cell, method, steps))
            theirs.append(worker.ask("train", steps=steps, turn=turn))
        fast, adapter = worker.ask("memory")["peak"], worker.ask("adapter")
    peer = {
        "precision": precision,
        "step_ms": 1000 * statistics.median(run["seconds"] / run["steps"] for run in theirs),
        "peak": min(fast, speed.frugal_peak(job, steps)),
        **adapter,
    }
    return {"hone": summary_of(ours), "peer": peer, "ratio": ratios(ours, theirs)}


def measure_one(cell, name, method, precision, turns):
    steps, started = CELLS[cell][0], time.time()
    if method.theirs is None:
        found = {"hone": summary_of([hone_run(cell, method, steps) for _ in range(turns)])}
    else:
        found = beside_peft(cell, method, precision, steps, turns)
        trained = found["hone"]["trained"], found["peer"]["trained"]
        if method.ours and trained[0] != trained[1]:
            raise RuntimeError(f"hone trains {trained[0]} numbers, PEFT {trained[1]}")
    say(f"{cell} {name}: {line_of(found)}")
    return {**found, "took": time.time() - started}


def line_of(found):
    hone, peer = found["hone"], found.get("peer")
    own = f"{hone['step_ms']:.0f} ms, {hone['peak'] / 2**20:.0f} MiB"
    if peer is None:
        return own
    ratio = found["ratio"]
    return (
        f"{own}; {ratio['median']:.2f} times as fast as PEFT ({ratio['least']:.2f} to {ratio['most']:.2f}), "
        f"{peer['peak'] / 2**20:.0f} MiB"
    )


# ---------------------------------------------------------------------------------------------------- all of them


def results_file():
    return RESULTS / "adapters.json"


def read_results(path):
    """By cell: "precision", PEFT's there, and "methods"."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_results(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    temporary.replace(path)


def is_wanted(cell, name, only):
    return not only or cell in only or f"{cell}/{name}" in only


def measure_cell(cell, arguments, results, path):
    """How many methods failed."""
    own = results.setdefault(cell, {"methods": {}})
    failed = 0
    for name, method in timed_methods(cell).items():
        is_known = name in own["methods"] and not arguments.again
        if is_known or not is_wanted(cell, name, arguments.only):
            continue
        if "precision" not in own:
            own["precision"] = speed.best_of(cell, CELLS[cell][0])["precision"]
        try:
            own["methods"][name] = measure_one(
                cell, name, method, own["precision"], arguments.turns
            )
        except RuntimeError as error:  # the others are still worth their time
            say(f"{cell} {name}: FAILED: {error}")
            failed += 1
        write_results(results, path)
    return failed


def list_all(results, only):
    left = 0
    for cell, (_, beside, alone) in CELLS.items():
        known = results.get(cell, {}).get("methods", {})
        for name, method in timed_methods(cell).items():
            if not is_wanted(cell, name, only):
                continue
            seconds = alone if method.theirs is None else beside
            left += 0 if name in known else seconds
            told = f"took {known[name]['took']:.0f} s" if name in known else f"about {seconds} s"
            print(f"{cell}/{name}: {told}")
    print(f"about {left / 60:.0f} minutes are left, on both cores of a quiet machine")


def cell_of_table(value, form):
    return "–" if value is None else form.format(value)


def row_of(cell, name, found):
    hone, peer, ratio = found["hone"], found.get("peer"), found.get("ratio")
    size = hone["bytes"] and hone["bytes"] / 2**20
    share = peer and hone["peak"] / peer["peak"]
    return (
        f"| {cell} | {name} | {cell_of_table(hone['trained'], '{:,}')} | {cell_of_table(size, '{:.2f} MiB')} | {hone['step_ms']:.0f} ms "
        f"| {cell_of_table(ratio and ratio['median'], '{:.2f}')} | {hone['peak'] / 2**20:.0f} MiB | {cell_of_table(share, '{:.0%}')} |"
    )


def table(results):
    """Markdown: a row for each cell and method."""
    lines = [
        "| model | method | trained | saved | step | times PEFT's speed | peak memory | of PEFT's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell, own in results.items():
        lines += [row_of(cell, name, found) for name, found in own["methods"].items()]
    return lines


def known_names():
    return [name for cell in CELLS for name in [cell, *(f"{cell}/{m}" for m in methods(cell))]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--only", help="CELL or CELL/METHOD, with commas between them")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--again", action="store_true", help="measure what is known too")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    arguments.only = set(arguments.only.split(",")) if arguments.only else set()
    unknown = arguments.only - set(known_names())
    if unknown:
        parser.error(f"nothing is called {', '.join(sorted(unknown))}; --list names all")
    results = read_results(results_file())
    if arguments.list:
        return list_all(results, arguments.only)
    if arguments.table:
        return print("\n".join(table(results)))
    wanted = [
        cell
        for cell in CELLS
        if any(is_wanted(cell, name, arguments.only) for name in methods(cell))
    ]
    speed.prepare_inputs(wanted)
    failed = sum(measure_cell(cell, arguments, results, results_file()) for cell in wanted)
    print("\n".join(table(results)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
