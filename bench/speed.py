"""hone beside Transformers and ONNX Runtime, in alternation, on the same rows: training, inference, memory.

    python bench/speed.py [--quick] [--only SHAPE-SET …] [--search] [--output FILE]
    python bench/speed.py --table [--output FILE]    what an earlier run measured, as Markdown

Each cell is a model shape and a data set. Within a cell the programs take turns (hone, Transformers, hone, …), and a ratio is the median over
neighbouring turns, so that a machine which slows down for a while slows both. Before anything is timed, losses of the first steps from
equal weights without dropout are compared. Only real tokens count, never padding.
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import statistics
import subprocess
import sys

import workers
from sets import RESULTS
from workers import ROOT, PeerWorker, hone_eval, hone_train, rate, ratios, say, worst_of_losses

FOLDER = ROOT / "build" / "bench"
TOLERANCE = {
    "fp32": 1e-4,
    "bf16": 1e-2,
}  # relative, of the loss of a step; docs/performance.md says why
ACCURACY_TOLERANCE = {
    "fp32": 0.005,
    "bf16": 0.005,
    "int8": 0.02,
}  # rows whose two best labels are all but equal may fall to either side
COMPARED_STEPS = 5

# glibc returns large blocks to the system at once, and each step then pays for zeroed pages again; this keeps them.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
}

# Transformers at its best and as tutorials have it. The first is what `--search` found on an AVX512-BF16 machine (docs/performance.md), but for
# the precision: which is faster differs so much between processors that best_of() tries both each time.
BEST = {
    "precision": "bf16",
    "attention": "sdpa",
    "grouping": "length",
    "padding": "dynamic",
    "optimizer": "fused",
    "workers": 0,
    "environment": KEEP_MEMORY,
}
# Where a shape has no choice: Transformers' DeBERTa computes attention in plain operations alone.
OF_SHAPE = {"deberta": {"attention": "eager"}}
TUTORIAL = {"precision": "fp32", "grouping": "random", "padding": "max", "loop": "trainer"}

# What --search tries, each as a change to BEST.
CANDIDATES = {
    "best": {},  # against itself: the noise of this comparison
    "eager attention": {"attention": "eager"},
    "random order": {"grouping": "random"},
    "padding to 8": {"multiple": 8},
    "foreach AdamW": {"optimizer": "foreach"},
    "1 loader worker": {"workers": 1},
    "2 loader workers": {"workers": 2},
    "usual malloc": {"environment": {}},
    "huge pages": {"environment": dict(KEEP_MEMORY, THP_MEM_ALLOC_ENABLE="1")},
    "torch.compile, one graph": {"compile": "any length"},
    "torch.compile, a graph for each multiple of 16": {"compile": "each length", "multiple": 16},
}

# steps of one turn, turns, and the steps of the tutorial's setting where it takes part (they are few: it is slow)
FULL = {
    "minilm-sst2": (30, 3, 3),
    "minilm-conll2003": (30, 3, 0),
    "minilm-banking77": (30, 3, 3),
    "minilm-chnsenticorp": (6, 3, 0),
    "base-sst2": (8, 3, 0),
    "base-conll2003": (8, 3, 0),
    "base-chnsenticorp": (2, 2, 0),
    "minilm-xquad": (6, 3, 0),
    "minilm-fixed128": (8, 3, 0),
    "minilm-fixed32": (30, 3, 0),
    "base-fixed128": (3, 2, 0),
    "base-fixed32": (8, 3, 0),
    "deberta-sst2": (8, 3, 0),
    "deberta-conll2003": (8, 3, 0),
    "deberta-fixed128": (3, 2, 0),
    "modernbert-sst2": (5, 3, 0),
    "modernbert-fixed128": (2, 2, 0),
    "e5-sst2": (20, 3, 0),
    "e5-chnsenticorp": (4, 3, 0),
    "e5-cmrc2018": (4, 3, 0),
}
QUICK = {
    "minilm-sst2": (20, 2, 2),
    "minilm-conll2003": (20, 2, 0),
    "minilm-banking77": (20, 2, 0),
    "minilm-chnsenticorp": (6, 2, 0),
    "base-sst2": (5, 2, 0),
    "deberta-sst2": (4, 2, 0),
    "minilm-fixed128": (5, 2, 0),
}
INFERENCE_ROWS, COMPARED_ROWS = (
    {"chnsenticorp": 384},
    {"chnsenticorp": 8},
)  # long texts: fewer of them


def job_of(cell, model_suffix="", rows=None, **settings):
    shape, name = cell.split("-", 1)
    import prepare

    spec = prepare.SETS[name]
    return dict(
        {
            "model": str(FOLDER / "models" / (cell + model_suffix)),
            "rows": str(rows or FOLDER / "rows" / f"{name}.jsonl"),
            "task": spec["task"],
            "max_length": spec["max_length"],
            "labels": json.loads((FOLDER / "rows" / f"{name}.labels.json").read_text()),
        },
        **(settings | OF_SHAPE.get(shape, {})),
    )


def first_rows(cell, count):
    job = job_of(cell)
    path = pathlib.Path(job["rows"]).with_suffix(f".first{count}.jsonl")
    with open(job["rows"], encoding="utf-8") as file:
        path.write_text("".join(itertools.islice(file, count)), encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------- equal results


def compare_results(cell):
    """Losses of the first steps of both programs: equal weights, the same rows each step, no dropout. Raises where they differ."""
    first, found = first_rows(cell, COMPARED_ROWS.get(cell.split("-")[1], 32)), {}
    for precision, tolerance in TOLERANCE.items():
        plain = job_of(
            cell,
            "-nodropout",
            rows=first,
            **dict(BEST, precision=precision, losses=True, freeze_order=True),
        )
        with PeerWorker(plain) as worker:
            theirs = worker.ask("train", steps=COMPARED_STEPS)["losses"]
        ours = hone_train(
            plain,
            FOLDER / "runs" / f"{cell}-compared",
            COMPARED_STEPS,
            skipped=0,
            precision=precision,
        )["losses"]
        found[precision] = {
            "hone": ours,
            "transformers": theirs,
            "worst_relative": worst_of_losses(f"{cell}, {precision}", ours, theirs, tolerance),
            "tolerance": tolerance,
        }
    return found


# ---------------------------------------------------------------------------------------------------- training


def best_of(cell, steps, turns=2):
    """BEST in the precision that is faster here."""
    jobs = {
        precision: job_of(cell, **dict(BEST, precision=precision)) for precision in ("bf16", "fp32")
    }
    with PeerWorker(jobs["bf16"]) as bf16, PeerWorker(jobs["fp32"]) as fp32:
        for worker in (bf16, fp32):
            worker.ask("train", steps=max(1, steps // 2))  # warms up
        pairs = [
            [worker.ask("train", steps=steps, turn=turn) for worker in (bf16, fp32)]
            for turn in range(turns)
        ]
    gain = ratios(*zip(*pairs))["median"]
    say(
        f"  {cell}: Transformers is {gain:.2f} times as fast in bf16 as in fp32; it takes {'bf16' if gain > 1 else 'fp32'}"
    )
    return jobs["bf16" if gain > 1 else "fp32"]


def measure_training(cell, steps, turns, tutorial_steps):
    shape = cell.split("-")[0]
    job = best_of(cell, max(1, steps // 5))
    skipped = workers.SKIPPED if shape == "minilm" else 2
    ours, best, tutorial, peaks = [], [], [], []
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(PeerWorker(job))
        facts = peer.ask("facts")
        peer.ask("train", steps=skipped)
        usual = (
            stack.enter_context(PeerWorker(job_of(cell, **TUTORIAL))) if tutorial_steps else None
        )
        for turn in range(turns):
            ours.append(hone_train(job, FOLDER / "runs" / cell, steps, skipped=skipped))
            best.append(peer.ask("train", steps=steps, turn=turn))
            peaks.append(peer.ask("gemm"))
            if usual:
                tutorial.append(usual.ask("train", steps=tutorial_steps))
        memory = {
            "hone": max(run["peak"] for run in ours),
            "fast": peer.ask("memory")["peak"],
            "tutorial": usual.ask("memory")["peak"] if usual else None,
        }
    memory["best"] = min(memory["fast"], frugal_peak(job, steps))
    of_precision = {name: max(p[name] for p in peaks) for name in ("bf16", "fp32")}
    peak = max(of_precision.values())
    result = {
        "cell": cell,
        "shape": shape,
        "steps": steps,
        "turns": turns,
        "precision": {"hone": ours[0]["precision"], "best": job["precision"]},
        "gemm_flops": of_precision,
        "flops_per_token": facts["flops_per_token"],
        "mean_length": facts["mean_length"],
        "hone": [rate(r) for r in ours],
        "best": [rate(r) for r in best],
        "tutorial": [rate(r) for r in tutorial],
        "to_best": ratios(ours, best),
        "to_tutorial": ratios(ours, tutorial) if tutorial else None,
        "memory": memory,
        "memory_ratio": memory["hone"] / memory["best"],
        "share": {
            who: statistics.median(map(rate, runs)) * facts["flops_per_token"] / peak
            for who, runs in (("hone", ours), ("best", best))
        },
    }
    say_training(result)
    return result


def frugal_peak(job, steps):
    """Peak memory of the peer where its malloc gives memory back: speed has cost it memory that must not be held against it."""
    with PeerWorker(dict(job, environment={})) as worker:
        worker.ask("train", steps=steps, turn=0)
        return worker.ask("memory")["peak"]


def say_training(r):
    usual = f", {r['to_tutorial']['median']:.1f} times the tutorial" if r["to_tutorial"] else ""
    say(
        f"  {r['cell']}: hone ({r['precision']['hone']}) {statistics.median(r['hone']):.0f} tokens/s, Transformers ({r['precision']['best']}) {statistics.median(r['best']):.0f}: "
        f"{r['to_best']['median']:.2f} times ({r['to_best']['least']:.2f} to {r['to_best']['most']:.2f}){usual}; "
        f"{100 * r['share']['hone']:.0f} % and {100 * r['share']['best']:.0f} % of the GEMM peak (bf16 {r['gemm_flops']['bf16'] / 1e9:.0f}, fp32 {r['gemm_flops']['fp32'] / 1e9:.0f} GFLOP/s); "
        f"memory {r['memory']['hone'] / 2**20:.0f} and {r['memory']['best'] / 2**20:.0f} MiB"
    )


# ---------------------------------------------------------------------------------------------------- inference

PEERS = {  # name: script, settings, hone's precision that it is compared with
    "Transformers bf16": ("peer_step.py", {"precision": "cast"}, "bf16"),
    "Transformers fp32": ("peer_step.py", {"precision": "fp32"}, "fp32"),
    "ONNX Runtime fp32": ("peer_onnx.py", {"precision": "fp32"}, "fp32"),
    "Transformers int8": ("peer_step.py", {"precision": "int8"}, "int8"),
    "ONNX Runtime int8": ("peer_onnx.py", {"precision": "int8"}, "int8"),
}


def compare_accuracy(name, precision, ours, theirs):
    if abs(ours - theirs) > ACCURACY_TOLERANCE[precision]:
        raise SystemExit(
            f"accuracy {ours} of hone is not {theirs} of {name} with the same weights; nothing is timed"
        )


def is_left_out(cell):
    """Of inference: lengths that are fixed, and answers that peers would have to look for in logits."""
    return "fixed" in cell or job_of(cell)["task"] == "qa"


def measure_inference(cell, turns):
    """All rows of the cell through `hone eval` and through each peer with the same saved model, texts to answers, tokenizing included."""
    job = job_of(cell)
    hone_train(
        job, FOLDER / "runs" / cell, 20, skipped=0
    )  # a model that has an opinion, in a folder that all of them read
    model = FOLDER / "runs" / cell / "model"
    job.update(
        model=str(model), rows=str(first_rows(cell, INFERENCE_ROWS.get(cell.split("-")[1], 1600)))
    )
    runs = {name: [] for name in (*PEERS, "hone bf16", "hone fp32", "hone int8")}
    is_scored, scores = job["task"] == "classify", {}
    if is_scored:
        scores = {
            f"hone {precision}": hone_eval(model, job["rows"], precision)["score"]
            for precision in ACCURACY_TOLERANCE
        }
    with contextlib.ExitStack() as stack:
        peers = {
            name: stack.enter_context(PeerWorker(dict(job, **settings), script))
            for name, (script, settings, _) in PEERS.items()
        }
        for name, worker in peers.items():
            if is_scored:
                precision, scores[name] = PEERS[name][2], worker.ask("accuracy", path=job["rows"])
                compare_accuracy(name, precision, scores[f"hone {precision}"], scores[name])
        for _ in range(turns):
            for precision in ("bf16", "fp32", "int8"):
                runs[f"hone {precision}"].append(hone_eval(model, job["rows"], precision))
            for name, worker in peers.items():
                runs[name].append(worker.ask("infer"))
    result = {
        "cell": cell,
        "rates": {name: [rate(r) for r in taken] for name, taken in runs.items()},
        "ratios": {
            name: ratios(runs[f"hone {precision}"], runs[name])
            for name, (_, _, precision) in PEERS.items()
        },
        "accuracy": scores,
    }
    shown = ", ".join(
        f"{statistics.median(values):.0f} ({name})" for name, values in result["rates"].items()
    )
    say(f"  {cell}: tokens/s {shown}")
    say(
        "    "
        + ", ".join(f"{r['median']:.2f} times {name}" for name, r in result["ratios"].items())
    )
    return result


# ---------------------------------------------------------------------------------------------------- the peer's best setting


def search(cell, steps, turns, candidates=CANDIDATES):
    """Every candidate beside the present best, in alternation with it, one at a time: memory holds two workers, not twelve."""
    job, rows = best_of(cell, steps), {}
    other = "fp32" if job["precision"] == "bf16" else "bf16"
    with PeerWorker(job) as base:
        base.ask("train", steps=workers.SKIPPED)
        for name, settings in {**candidates, other: {"precision": other}}.items():
            try:
                with PeerWorker(dict(job, **settings)) as worker:
                    warm = worker.ask(
                        "train", steps=steps, turn=0
                    )  # all the shapes that follow, so nothing is compiled later
                    pairs = [
                        (
                            worker.ask("train", steps=steps, turn=0),
                            base.ask("train", steps=steps, turn=0),
                        )
                        for _ in range(turns)
                    ]
                    rows[name] = dict(
                        ratios(*zip(*pairs)),
                        tokens_per_second=statistics.median(rate(a) for a, _ in pairs),
                        cpu=statistics.median(
                            a["tokens"] / a["cpu_seconds"] * b["cpu_seconds"] / b["tokens"]
                            for a, b in pairs
                        ),
                        warm_up_seconds=warm["seconds"],
                        peak=worker.ask("memory")["peak"],
                    )
                say(
                    f"  {cell}, {name}: {rows[name]['median']:.2f} (by processor time {rows[name]['cpu']:.2f}) of the best setting's tokens/s, "
                    f"{rows[name]['peak'] / 2**20:.0f} MiB, warm-up {warm['seconds']:.0f} s"
                )
            except RuntimeError as error:
                rows[name] = {"failed": str(error)[:300]}
                say(f"  {cell}, {name}: does not run")
    return rows


# ---------------------------------------------------------------------------------------------------- all of it


def last_line(cells):
    """Geometric means over the cells of real data; the fixed lengths are there for the share of the peak."""
    real = [cell for cell in cells if "fixed" not in cell["cell"]] or cells
    of = lambda values: f"{statistics.geometric_mean(values):.2f}" if values else "not run"
    shape = lambda name: of([c["to_best"]["median"] for c in real if c["shape"] == name])
    tutorial = [c["to_tutorial"]["median"] for c in real if c["to_tutorial"]]
    return (
        f"ratio to best Transformers setting: MiniLM {shape('minilm')}, BERT-base shape {shape('base')}, "
        f"DeBERTa-v3-small shape {shape('deberta')}, ModernBERT-base shape {shape('modernbert')}, "
        f"multilingual-e5-small {shape('e5')}; "
        f"to the tutorial: {f'{statistics.geometric_mean(tutorial):.1f}' if tutorial else 'not run'}; "
        f"memory {of([c['memory_ratio'] for c in real])}"
    )


def table(results):
    mib = lambda count: f"{count / 2**20:.0f}"
    print(
        "| cell | hone, tokens/s | Transformers, best | ratio | to the tutorial | share of the GEMM peak | peak memory, MiB |\n|---|---|---|---|---|---|---|"
    )
    for r in results["training"]:
        tutorial = f"{r['to_tutorial']['median']:.1f}" if r["to_tutorial"] else ""
        print(
            f"| {r['cell']} | {statistics.median(r['hone']):.0f} ({r['precision']['hone']}) | {statistics.median(r['best']):.0f} ({r['precision']['best']}) | "
            f"{r['to_best']['median']:.2f} ({r['to_best']['least']:.2f} to {r['to_best']['most']:.2f}) | {tutorial} | "
            f"{100 * r['share']['hone']:.0f} % and {100 * r['share']['best']:.0f} % | {mib(r['memory']['hone'])} and {mib(r['memory']['best'])} |"
        )
    if results["inference"]:
        names = list(results["inference"][0]["rates"])
        print(
            "\n| inference, tokens/s | "
            + " | ".join(names)
            + " |\n|---"
            + "|---" * len(names)
            + "|"
        )
        for r in results["inference"]:
            print(
                f"| {r['cell']} | "
                + " | ".join(f"{statistics.median(r['rates'][name]):.0f}" for name in names)
                + " |"
            )
    print("\n" + last_line(results["training"]))


def prepare_inputs(cells):
    subprocess.run(
        [workers.PEER_PYTHON, ROOT / "bench" / "prepare.py", FOLDER, *cells],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def write_results(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells and turns")
    parser.add_argument("--only", nargs="*", metavar="SHAPE-SET", help="these cells")
    parser.add_argument(
        "--search",
        action="store_true",
        help="look for the best setting of Transformers, nothing else",
    )
    parser.add_argument(
        "--table", action="store_true", help="print what --output holds, and measure nothing"
    )
    parser.add_argument("--output", type=pathlib.Path, default=RESULTS / "speed.json")
    arguments = parser.parse_args()
    if arguments.table:
        return table(json.loads(arguments.output.read_text()))
    sizes = QUICK if arguments.quick else FULL
    plan = {cell: (FULL | sizes)[cell] for cell in arguments.only or sizes}
    prepare_inputs(plan)
    results = {"mode": "quick" if arguments.quick else "full"}
    if arguments.search:
        results["search"] = {
            cell: search(cell, max(3, steps // 3), 3) for cell, (steps, _, _) in plan.items()
        }
    else:
        say("the same results")
        results["compared"] = {cell: compare_results(cell) for cell in plan if "fixed" not in cell}
        say("training, dropout 0.1")
        results["training"], results["inference"] = [], []
        for cell, sizes in plan.items():
            results["training"].append(measure_training(cell, *sizes))
            write_results(
                results, arguments.output
            )  # after each cell: an interrupted run keeps what it has measured
        say("inference")
        for cell in (cell for cell in plan if "minilm" in cell and not is_left_out(cell)):
            results["inference"].append(measure_inference(cell, 2 if arguments.quick else 3))
            write_results(results, arguments.output)
    write_results(results, arguments.output)
    if not arguments.search:
        say(last_line(results["training"]))


if __name__ == "__main__":
    sys.exit(main())
