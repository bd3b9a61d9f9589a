"""The part of docs/results.md on fine-tuning with few weights: what every method reaches, beside Hugging Face PEFT; and what bench/adapters.py measured.

    python bench/adapter_scores.py                      hone's runs that are not there yet, then the page
    python bench/adapter_scores.py --peer               PEFT's (run with .venv-peers/bin/python)
    python bench/adapter_scores.py --only sst2,rte/lora   these sets or runs alone
    python bench/adapter_scores.py --list               all runs, which have ended, and how many minutes of one core the others will take
    python bench/adapter_scores.py --page               only write the page
    python bench/adapter_scores.py --steps 3            a trial: few steps, few rows; kept apart, no page

Four sets on all-MiniLM-L6-v2, at most 500 training and 500 test rows each, drawn once; and the loss of the answers of held-out alpaca_en_demo rows on
SmolLM2-135M-Instruct (--smollm2 FOLDER; ../shared/weights/make_smollm2_135m_instruct.py makes it). Both programs get the same rows, sections, rates and
seeds. Each run is one entry of bench/results/adapter_scores.json as soon as it has ended; the same call goes on where it stopped, and calls
on different sets, or one of each program, may run side by side, each on a core of its own (taskset).
"""

import argparse
import dataclasses
import json
import pathlib
import sys

import adapters
import results
import sets

THREE_SEEDS = ("lora", "dora", "adalora", "prefix", "double_seq_bn")
MOST_ROWS, MOST_CONVERSATIONS = 500, 96  # for training, and at most as many for the test
MEAN_TOKENS = {"sst2": 25, "trec": 14, "conll2003": 22, "rte": 75, "alpaca_en": 190}  # of a row
# Of one core, found with a processor that has AMX: tokens/s of training (an evaluation is three times as fast), and
# seconds around.
CORE = {
    ("hone", "minilm"): (4000, 3),
    ("peer", "minilm"): (1400, 12),
    ("hone", "smollm2"): (700, 5),
    ("peer", "smollm2"): (230, 20),
}
# There are:
TEST_ROWS = {"sst2": 1821, "trec": 500, "conll2003": 3453, "rte": 277, "alpaca_en": 100}


@dataclasses.dataclass(frozen=True)
class Entry(results.Entry):
    @property
    def method(self):
        return self.name.split("/")[1]

    @property
    def writes(self):
        return self.task["name"] == "causal_lm"

    def model(self, arguments):
        return arguments.smollm2 if self.writes else sets.MINILM

    def seconds(self, program):
        """About how long a run takes on one core."""
        rate, around = CORE[program, "smollm2" if self.writes else "minilm"]
        passes = self.epochs * self.most + min(self.most, TEST_ROWS[self.rows]) / 3
        return around + passes * MEAN_TOKENS[self.rows] / rate


def classified(name, task, metric, epochs):
    return {"rows": name, "task": task, "metric": metric, "epochs": epochs, "most": MOST_ROWS}


SETS = [
    classified("sst2", results.ONE, "accuracy", 3),
    classified("trec", results.ONE, "accuracy", 4),
    classified("conll2003", results.NER, "f1", 4),
    classified("rte", results.PAIR, "accuracy", 2),
    {
        "rows": "alpaca_en",
        "task": {"name": "causal_lm", "train_on": "last_answer"},
        "metric": "loss",
        "epochs": 1,
        "most": MOST_CONVERSATIONS,
        "batch": 8,
        "length": 1024,
    },
]
GREATER_IS_BETTER = {"accuracy": True, "f1": True, "loss": False}


def entry_of(of_set, name, method):
    # PEFT has no labels for the virtual tokens of a text whose tokens have tags.
    has_peer = method.theirs is not None and (of_set["rows"], name) != ("conll2003", "prompt")
    return Entry(
        name=f"{of_set['rows']}/{name}",
        group="adapters",
        rate=adapters.RATES.get(name, adapters.USUAL_RATE),
        seeds=3 if name in THREE_SEEDS else 1,
        peer=has_peer,
        peft=method.ours or None,
        peer_peft=method.theirs or None,
        **of_set,
    )


def all_entries():
    return [
        entry_of(of_set, name, method)
        for of_set in SETS
        for name, method in adapters.methods(
            "smollm2" if of_set["rows"] == "alpaca_en" else "minilm"
        ).items()
    ]


ENTRIES = all_entries()


def results_file():
    return sets.SCORES / "adapter_scores.json"


# ---------------------------------------------------------------------------------------------------- the page


def factor_of(entry):
    return 1 if entry.metric == "loss" else 100


def shown(entry, runs):
    scores = [factor_of(entry) * run["score"] for run in runs]
    return sets.mean_and_spread(scores, 3 if entry.metric == "loss" else 1, none="–")


def is_as_good(entry, ours, peers):
    scores = ([run["score"] for run in runs] for runs in (ours, peers))
    return sets.is_as_good(*scores, GREATER_IS_BETTER[entry.metric])


def score_cell(kept, entry):
    """What both reach; marked where hone's is less by more than the spread."""
    ours, peers = (results.runs_of(kept, entry, program) for program in ("hone", "peer"))
    cell = shown(entry, ours) + (f" / {shown(entry, peers)}" if entry.peer else "")
    return f"**{cell}**" if is_as_good(entry, ours, peers) is False else cell


def speed_cells(found):
    """Parameters, size, step and memory on MiniLM, as bench/adapters.py has them."""
    if found is None:
        return ["–"] * 4
    told = adapters.row_of("", "", found).strip("| ").split(" | ")
    trained, size, step, times, memory, share = (cell.strip() for cell in told[-6:])
    return [trained, size, f"{step} ({times})", f"{memory} ({share})"]


def score_table(kept, timed):
    columns = [of_set["rows"] for of_set in SETS]
    lines = [
        f"| method | {' | '.join(columns)} | trained | saved | step (times PEFT's speed) | peak memory (of PEFT's) |",
        "|---" * (len(columns) + 5) + "|",
    ]
    by_name = {entry.name: entry for entry in ENTRIES}
    for name in adapters.methods("minilm"):
        scores = [score_cell(kept, by_name[f"{column}/{name}"]) for column in columns]
        lines.append(f"| {name} | {' | '.join(scores + speed_cells(timed.get(name)))} |")
    return lines


def spread_lines(kept):
    """In how many of the comparisons that have a spread hone is as good."""
    of_pairs = [
        is_as_good(entry, *(results.runs_of(kept, entry, program) for program in ("hone", "peer")))
        for entry in ENTRIES
    ]
    known = [one for one in of_pairs if one is not None]
    if not known:
        return []
    return [
        f"\nWithin the spread of PEFT's, or better: {sum(known)} of {len(known)} comparisons of three seeds each."
    ]


def settings_line():
    epochs = ", ".join(f"{of_set['rows']} {of_set['epochs']}" for of_set in SETS)
    return (
        f"Written by `bench/adapter_scores.py` and `bench/adapters.py`. hone / PEFT: accuracy (conll2003: F1) in percent, of alpaca_en the loss of held-out answers (less is better); mean and standard deviation where three seeds ran, one run "
        f"elsewhere; in bold where hone's mean is worse by more than both deviations together. all-MiniLM-L6-v2, at most {MOST_ROWS:,} training and {MOST_ROWS:,} test rows, epochs: {epochs}; alpaca_en on SmolLM2-135M-Instruct, {MOST_CONVERSATIONS} conversations. "
        "Rates are those of [peft.md](peft.md), for both; nothing was tuned. Numbers, bytes, time and memory are those of minilm-sst2. lora_int8 and lora_nf4 stand beside PEFT's LoRA on a full base.\n"
    )


def lines_of(kept):
    """The page's part; nothing where nothing is measured."""
    timed = adapters.read_results(adapters.results_file())
    if not kept.runs and not timed:
        return []
    lines = ["\n## Fine-tuning with few weights\n"]
    if kept.runs:
        of_minilm = timed.get("minilm-sst2", {}).get("methods", {})
        lines += [settings_line(), *score_table(kept, of_minilm), *spread_lines(kept)]
    if timed:
        lines += ["\n### Speed and memory beside PEFT\n", *adapters.table(timed)]
    return lines


# ---------------------------------------------------------------------------------------------------- the command


def list_runs(entries, kept):
    left = {"hone": 0, "peer": 0}
    for entry in entries:
        for is_peer in (False, True):
            for program, seed in results.turns(entry, is_peer):
                run, seconds = kept.find(entry, program, seed), entry.seconds(program)
                left[program] += 0 if run else seconds
                told = f"{run['score']:.4f}" if run else f"about {seconds:.0f} s"
                print(f"{entry.name} {program} seed {seed}: {told}")
    print(
        f"left, in minutes of one core: hone {left['hone'] / 60:.0f}, PEFT {left['peer'] / 60:.0f}"
    )


def chosen_entries(only, parser):
    if not only:
        return ENTRIES
    wanted = set(only.split(","))
    unknown = wanted - {name for entry in ENTRIES for name in (entry.rows, entry.name)}
    if unknown:
        parser.error(f"no set or run {', '.join(sorted(unknown))}; --list names all")
    return [entry for entry in ENTRIES if wanted & {entry.rows, entry.name}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--only", help="sets, or runs as SET/METHOD, with commas between them")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--steps", type=int, help="a trial of so many steps")
    parser.add_argument(
        "--smollm2", type=pathlib.Path, default=sets.ROOT / "models/SmolLM2-135M-Instruct"
    )
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/hone-adapters"))
    arguments = parser.parse_args()
    entries = chosen_entries(arguments.only, parser)
    is_trial = arguments.steps is not None
    kept = results.Kept(arguments.work / "trial.json" if is_trial else results_file())
    if arguments.list:
        return list_runs(entries, kept)
    failed = 0
    if not arguments.page:
        if not sets.DATA.exists():
            sys.exit(f"skipped: no data sets in {sets.DATA}")
        if any(entry.writes for entry in entries) and not arguments.smollm2.exists():
            sys.exit(f"no model in {arguments.smollm2}: --smollm2 FOLDER, or --only other sets")
        print(json.dumps({**results.machine(), "versions": results.versions()}), flush=True)
        failed = results.measure(entries, kept, arguments)
    if is_trial:
        print("\n".join(lines_of(kept)))
    elif not arguments.peer:
        results.write_page()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
