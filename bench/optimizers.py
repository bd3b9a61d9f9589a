"""Step time and memory of each optimizer, beside PyTorch's own on the same model and rows, in alternation.

    .venv-peers/bin/python bench/optimizers.py                  all of them, about ten minutes on two cores
    .venv-peers/bin/python bench/optimizers.py --only lion,muon

Whole training steps of all-MiniLM-L6-v2 on SST-2, 16 texts each: forward, backward, clipping, update; each program at its best (bench/speed.py). Only
PyTorch's own optimizers take part: for those that it does not have hone's stand alone, and AdamW's line says what they compare with. That both compute the
same is tested (tests/tune/optimizers_test.cpp). docs/results.md gets the table from bench/results/<processor>/optimizers.json.
"""

import argparse
import json
import statistics
import sys

import sets
import workers

CELL = "minilm-sst2"
BATCH, STEPS, TURNS = 16, 30, 3
OPTIMIZERS = {  # hone's options, and what PyTorch calls it (bench/peer_step.py)
    "AdamW": ({"optim": "adamw_torch"}, "fused"),
    "AdamW, moments in bf16": ({"optim": "adamw_torch", "optim_moments": "bf16"}, None),
    "AdamW, moments in int8": ({"optim": "adamw_torch", "optim_moments": "int8"}, None),
    "Adam": ({"optim": "adam"}, "adam"),
    "Adafactor": ({"optim": "adafactor"}, "adafactor"),
    "SGD, momentum 0.9": ({"optim": "sgd", "optim_args": {"momentum": 0.9}}, "sgd"),
    "Lion": ({"optim": "lion"}, None),
    "LAMB": ({"optim": "lamb"}, None),
    "Muon": ({"optim": "muon"}, "muon"),
}


def results_file():
    return sets.RESULTS / "optimizers.json"


def hone_turn(job, options):
    import speed

    return workers.hone_train(job, speed.FOLDER / "runs" / "optimizers", STEPS, **options)


def beside_peer(job, options):
    """Turns of both, and the mean length of a text."""
    import speed

    ours, theirs = [], []
    with workers.PeerWorker(job) as peer:
        length = peer.ask("facts")["mean_length"]
        peer.ask("train", steps=workers.SKIPPED)
        for turn in range(TURNS):
            ours.append(hone_turn(job, options))
            theirs.append(peer.ask("train", steps=STEPS, turn=turn))
        peak = min(peer.ask("memory")["peak"], speed.frugal_peak(job, STEPS))
    return ours, theirs, {"peer_peak": peak, "mean_length": length}


def measure(name, best):
    """What a turn took, as tokens a second, and the most memory."""
    options, peer = OPTIMIZERS[name]
    job = dict(best, batch=BATCH, optimizer=peer or "fused")
    if peer:
        ours, theirs, found = beside_peer(job, options)
        found.update(
            peer=[workers.rate(run) for run in theirs], to_peer=workers.ratios(ours, theirs)
        )
    else:
        ours, found = [hone_turn(job, options) for _ in range(TURNS)], {}
    found.update(
        hone=[workers.rate(run) for run in ours],
        hone_peak=max(run["peak"] for run in ours),
        precision={"hone": ours[0]["precision"], "peer": best["precision"]},
    )
    return found


# ---------------------------------------------------------------------------------------------------- the page


def milliseconds(rates, length):
    """Of a step with texts of mean length: steps differ in theirs."""
    return f"{1000 * BATCH * length / statistics.median(rates):.0f}" if rates else ""


def mib(count):
    return f"{count / 2**20:.0f}" if count else ""


def row_of(name, found, length):
    ratio = found.get("to_peer")
    cells = [
        name,
        milliseconds(found["hone"], length),
        milliseconds(found.get("peer"), length),
        f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})" if ratio else "",
        mib(found["hone_peak"]),
        mib(found.get("peer_peak")),
    ]
    return f"| {' | '.join(cells)} |"


def lines_of(path):
    """The page's part; nothing where nothing is measured."""
    held = json.loads(path.read_text()) if path.exists() else {}
    measured = {
        name: held["optimizers"][name] for name in OPTIMIZERS if name in held.get("optimizers", {})
    }
    length = next((m["mean_length"] for m in measured.values() if "mean_length" in m), None)
    if length is None:
        return []
    told = held["machine"]
    precision = next(iter(measured.values()))["precision"]
    return [
        "\n## Optimizers\n",
        f"Written by `bench/optimizers.py`: whole training steps of all-MiniLM-L6-v2 on SST-2, {BATCH} texts of {length:.1f} tokens, hone in {precision['hone']}, PyTorch's own loop in {precision['peer']} with fused updates where it has them; "
        f"the median of {TURNS} turns of {STEPS} steps in alternation. Ratio: how many times as many tokens hone trains in the same time. Memory: the most that the process held. PyTorch has no Lion, LAMB or narrow moments. "
        f"Measured on {told['processor']} ({told['cores']} cores), hone {told['commit']}, {told['date']}.\n",
        "| optimizer | hone, ms a step | PyTorch, ms a step | ratio | hone, MiB | PyTorch, MiB |",
        "|---|---|---|---|---|---|",
        *(row_of(name, found, length) for name, found in measured.items()),
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names, with commas between them")
    arguments = parser.parse_args()
    wanted = [w.strip().lower() for w in arguments.only.split(",")] if arguments.only else [""]
    chosen = [name for name in OPTIMIZERS if any(name.lower().startswith(w) for w in wanted)]
    if not chosen:
        sys.exit(f"no optimizer {arguments.only}; there are {'; '.join(OPTIMIZERS)}")
    if not sets.DATA.exists():
        sys.exit(f"skipped: no data sets in {sets.DATA}")
    import results
    import speed

    speed.prepare_inputs([CELL])
    best = speed.best_of(CELL, STEPS // 3)
    for name in chosen:
        found = measure(name, best)
        with sets.updated(results_file()) as held:
            held["machine"] = results.machine()
            held.setdefault("optimizers", {})[name] = found
        workers.say(
            f"  {name}: {statistics.median(found['hone']):.0f} tokens/s, {mib(found['hone_peak'])} MiB"
            + (
                f"; PyTorch {statistics.median(found['peer']):.0f} tokens/s, {mib(found['peer_peak'])} MiB"
                if "peer" in found
                else ""
            )
        )
    print("\n".join(lines_of(results_file())))


if __name__ == "__main__":
    main()
