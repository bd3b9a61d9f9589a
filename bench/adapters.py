"""Every method of fine-tuning with few weights beside Hugging Face PEFT, in alternation, on the same rows: time of a step, peak memory,
numbers that are trained, size of what is saved; with --score, accuracy after so many steps.

    python bench/adapters.py [--steps N] [--turns N] [--score STEPS] [--seeds N] [--again] [--table] [CELL …] [--methods NAME …]

Cells: minilm-sst2, base-sst2 (BERT-base's shape, random weights), e5-sst2, smollm2-sst2. PEFT runs on Transformers at its best (bench/speed.py), in
bf16 and in fp32, and its faster one counts; hone in its own precision. `whole` trains the whole model with both. lora_int8 and lora_nf4 are LoRA beside a
base model in fewer bits, and PEFT's LoRA beside a full one. Bottleneck adapters are not PEFT's, and bitfit and the head alone are no methods of it: these
have hone's column alone. What is measured is kept in peft.json at once, and not measured again unless --again says so.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess

import sets
import workers
from sets import RESULTS
from speed import BEST, FOLDER, job_of, rate, say
from workers import ROOT, PeerWorker, hone_train

CELLS = ["minilm-sst2", "base-sst2", "e5-sst2", "smollm2-sst2"]
# Targets of each family, query and value; and keys of its feed-forward part for (IA)³.
TARGETS = {"smollm2": (["q_proj", "v_proj"], ["k_proj", "v_proj", "down_proj"], ["down_proj"])}
BERT_TARGETS = (["query", "value"], ["key", "value", "output.dense"], ["output.dense"])
FAR_AWAY = 100_000  # steps of AdaLoRA's schedule: a benchmark sees its beginning
# Of accuracy: docs/peft.md's defaults, with both programs.
RATES = {"whole": 5e-5, "ia3": 3e-3, "prefix": 5e-3, "prompt": 1e-3, "bitfit": 1e-3, "head": 1e-3}
USUAL_RATE = 5e-4


class Method:
    """The section `peft` of hone's run, and of PEFT's where it has the method; empty sections train the whole model."""

    def __init__(self, ours, has_peer=True, theirs=None):
        self.ours = ours
        self.theirs = (theirs or ours) if has_peer else None


def methods(shape):
    query_value, for_ia3, feed_forward = TARGETS.get(shape, BERT_TARGETS)
    lora = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "target_modules": query_value,
    }
    adalora = {
        "peft_type": "ADALORA",
        "init_r": 12,
        "target_r": 8,
        "total_step": FAR_AWAY,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "target_modules": query_value,
    }
    ia3 = {"peft_type": "IA3", "target_modules": for_ia3, "feedforward_modules": feed_forward}
    prefix = {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 20}
    prompt = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 20}
    is_encoder = shape != "smollm2"  # PEFT's soft prompts lose the last token of padded rows
    return {
        "whole": Method({}),
        "lora": Method(lora),
        "lora_int8": Method({**lora, "base": "int8"}, theirs=lora),
        "lora_nf4": Method({**lora, "base": "nf4"}, theirs=lora),
        "dora": Method({**lora, "use_dora": True}),
        "pissa": Method({**lora, "init_lora_weights": "pissa"}),
        "adalora": Method(adalora),
        "ia3": Method(ia3),
        "prefix": Method(prefix, is_encoder),
        "prompt": Method(prompt, is_encoder),
        "double_seq_bn": Method({"peft_type": "double_seq_bn"}, False),
        "seq_bn": Method({"peft_type": "seq_bn"}, False),
        "par_bn": Method({"peft_type": "par_bn"}, False),
        "bitfit": Method({"peft_type": "bitfit"}, False),
        "head": Method({"peft_type": "head"}, False),
    }


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
        "bytes": saved_bytes(FOLDER / "peft-run"),
    }


def hone_run(cell, method, steps):
    return hone_train(job_of(cell, **dict(BEST, peft=method.ours)), FOLDER / "peft-run", steps)


def beside_peft(cell, method, steps, turns):
    """hone and PEFT in alternation, for each precision of PEFT's."""
    found, runs = {}, []
    for precision in ("bf16", "fp32"):
        with PeerWorker(
            job_of(cell, **dict(BEST, precision=precision, peft=method.theirs))
        ) as worker:
            worker.ask("train", steps=2)
            pairs = []
            for _ in range(turns):
                runs.append(hone_run(cell, method, steps))
                pairs.append((rate(runs[-1]), rate(worker.ask("train", steps=steps))))
            found[precision] = {
                "ratio": statistics.median(a / b for a, b in pairs),
                "least": min(a / b for a, b in pairs),
                "most": max(a / b for a, b in pairs),
                "tokens_per_second": statistics.median(b for _, b in pairs),
                "peak": worker.ask("memory")["peak"],
                **worker.ask("adapter"),
            }
    found["hone"] = summary_of(runs)
    return found


def score(cell, name, method, steps, seeds):
    """Accuracy on the set's validation rows after so many steps, of each seed."""
    rows = cell.split("-", 1)[1]
    validation = FOLDER / "rows" / f"{rows}.validation.jsonl"
    if not validation.exists():
        sets.write_jsonl(sets.rows(rows, "dev"), validation)
    found = {"hone": [], "peft": []}
    options = {"learning_rate": RATES.get(name, USUAL_RATE)}
    for seed in range(1, seeds + 1):
        job = job_of(cell, **dict(BEST, peft=method.ours, seed=seed, **options))
        often = {"eval_strategy": "steps", "eval_steps": steps, "seed": seed}
        run = hone_train(job, FOLDER / "peft-run", steps, 0, validation, **often)
        found["hone"].append(run["evaluations"][-1]["metrics"]["accuracy"])
        if method.theirs is None:
            continue
        with PeerWorker(dict(job, peft=method.theirs)) as worker:
            curve = worker.ask("curve", every=steps, most=steps, validation=str(validation))
            found["peft"].append(curve["curve"][-1]["accuracy"])
    return found


def measure(cell, name, method, arguments, known):
    result = {} if arguments.again else known
    if "hone" not in result:
        if method.theirs is None:
            runs = [hone_run(cell, method, arguments.steps) for _ in range(arguments.turns)]
            result["hone"] = summary_of(runs)
        else:
            result.update(beside_peft(cell, method, arguments.steps, arguments.turns))
    if arguments.score and "score" not in result:
        result["score"] = score(cell, name, method, arguments.score, arguments.seeds)
    say(f"{cell} {name}: {line_of(result)}")
    return result


def best_peer(result):
    """The precision in which PEFT is faster here."""
    peers = [result[precision] for precision in ("bf16", "fp32") if precision in result]
    return max(peers, key=lambda peer: peer["tokens_per_second"]) if peers else None


def line_of(result):
    hone, peer = result["hone"], best_peer(result)
    own = f"{hone['step_ms']:.0f} ms, {hone['peak'] / 2**20:.0f} MiB"
    if peer is None:
        return own
    return (
        f"{own}; {peer['ratio']:.2f} times as fast as PEFT ({peer['least']:.2f} to {peer['most']:.2f}), "
        f"{peer['peak'] / 2**20:.0f} MiB"
    )


def cell_of_table(value, form):
    return "–" if value is None else form.format(value)


def table(results):
    """Markdown: a row for each cell and method."""
    lines = [
        "| model | method | trained | saved | step | times PEFT's speed | memory | of PEFT's | accuracy, hone | PEFT |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell, by_method in results.items():
        for name, result in by_method.items():
            hone, peer = result["hone"], best_peer(result)
            mean = {
                who: statistics.mean(all_) if all_ else None
                for who, all_ in result.get("score", {}).items()
            }
            size = hone["bytes"] and hone["bytes"] / 2**20
            lines.append(
                f"| {cell} | {name} | {cell_of_table(hone['trained'], '{:,}')} | {cell_of_table(size, '{:.2f} MiB')} "
                f"| {hone['step_ms']:.0f} ms | {cell_of_table(peer and peer['ratio'], '{:.2f}')} | {hone['peak'] / 2**20:.0f} MiB "
                f"| {cell_of_table(peer and hone['peak'] / peer['peak'], '{:.0%}')} "
                f"| {cell_of_table(mean.get('hone'), '{:.3f}')} | {cell_of_table(mean.get('peft'), '{:.3f}')} |"
            )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("cells", nargs="*", default=CELLS, metavar="CELL")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--score", type=int, default=0, metavar="STEPS")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path = RESULTS / "peft.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    if not arguments.table:
        measure_all(arguments, results, path)
    print(table(results))


def measure_all(arguments, results, path):
    prepare = [workers.PEER_PYTHON, ROOT / "bench/prepare.py", FOLDER, *arguments.cells]
    subprocess.run([str(part) for part in prepare], check=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for cell in arguments.cells:
        own = results.setdefault(cell, {})
        for name, method in methods(cell.split("-")[0]).items():
            if arguments.methods and name not in arguments.methods:
                continue
            own[name] = measure(cell, name, method, arguments, own.get(name, {}))
            path.write_text(json.dumps(results, indent=1) + "\n")  # what is measured is kept


if __name__ == "__main__":
    main()
