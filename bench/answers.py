"""What models that write are worth after training: hone, TRL and the untuned model, SmolLM2-135M-Instruct; a part of docs/results.md.

    python bench/answers.py                            measure what is not measured yet, then write the page
    python bench/answers.py --only alpaca,dialogsum/hone   these entries, or of an entry these programs (see --list)
    python bench/answers.py --page                     only write the page
    python bench/answers.py --steps 2                  a trial: few steps, few rows; kept apart, no page

Two questions. The mean loss of held-out answers: hone and TRL train with the same rows, batch, rate, schedule and precision, the order of rows is each program's own, and one
program, Transformers in fp32 (bench/peer_sft.py), measures all models. And the ROUGE-L of summaries that a trained model writes, beside the untuned one's and LEAD.

Each run is one entry of bench/results/answers.json as soon as it has ended; the same call goes on where it stopped, and an entry whose settings have
changed is measured again. Calls with entries of their own may run side by side. To be run with .venv-peers/bin/python, which has rouge-score.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import random
import re
import shutil
import statistics
import sys
import time

import results
import sets
from decoders import FOLDER, rows_file, smollm2
from workers import HONE, PeerWorker, hone_train, run_measured

BATCH, WARMUP, LENGTH = 8, 5, 512
LEAD_MOST = 3  # sentences or turns


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str
    data: str  # as bench/sets.py reads it
    train: int  # rows at most, drawn once
    test: int
    rate: float
    epochs: int = 1
    turns: int = 0  # of a conversation, the last ones; 0: all
    characters: int = 10**9  # of a conversation at most; longer ones are left out
    written: int = 0  # tokens of an answer at most; 0: losses are measured, nothing is written
    seeds: int = 1

    def key(self):
        """Changes where a run of this entry would be another one."""
        told = [dataclasses.astuple(self), BATCH, WARMUP, LENGTH]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]

    def turns_of_programs(self):
        """(program, seed) of all runs."""
        seeds = range(1, self.seeds + 1)
        if self.written:
            return [("lead", 0), ("untuned", 0)] + [("hone", seed) for seed in seeds]
        return [("untuned", 0)] + [(who, seed) for seed in seeds for who in ("hone", "trl")]


ENTRIES = [
    Entry("alpaca", "alpaca_en", train=128, test=60, rate=1e-4, characters=900, seeds=3),
    Entry("xdailydialog", "xdailydialog_en", train=200, test=150, rate=1e-4, turns=4, seeds=3),
    Entry("scitldr", "scitldr", train=1992, test=300, rate=2e-4, written=48),
    Entry("dialogsum", "dialogsum", train=500, test=300, rate=2e-4, epochs=3, written=64),
]


# ---------------------------------------------------------------------------------------------------- rows


def characters_of(row):
    return sum(len(message["content"]) for message in row["messages"])


def rows_of(entry, split, steps):
    """The same rows for every program and seed; of a trial few."""
    found = [
        {**row, "messages": row["messages"][-entry.turns :]} for row in sets.rows(entry.data, split)
    ]
    found = [row for row in found if characters_of(row) <= entry.characters]
    most = entry.train if split == "train" else entry.test
    if steps is not None:
        most = min(most, steps * BATCH)
    return random.Random(7).sample(found, most) if len(found) > most else found


def job_of(entry, seed, arguments):
    rows = rows_of(entry, "train", arguments.steps)
    return {
        "model": str(arguments.model),
        "rows": str(rows_file(rows, f"answers-{entry.name}-train")),
        "task": "causal_lm",
        "batch": BATCH,
        "max_length": LENGTH,
        "learning_rate": entry.rate,
        "packing": False,
        "precision": sets.PRECISION,
        "schedule": "cosine",
        "warmup": WARMUP,
        "seed": seed,
        "steps": arguments.steps or entry.epochs * -(-len(rows) // BATCH),
        "answers": {"max_new_tokens": entry.written} if entry.written else {},
    }


def test_file(entry, arguments):
    return rows_file(rows_of(entry, "test", arguments.steps), f"answers-{entry.name}-test")


# ---------------------------------------------------------------------------------------------------- losses


def train_hone(entry, job, **options):
    """The folder of the model that it saved."""
    folder = FOLDER / "runs" / f"answers-{entry.name}-{job['seed']}"
    settings = {
        "seed": job["seed"],
        "weight_decay": 0.0,
        "lr_scheduler_type": job["schedule"],
        "warmup_steps": WARMUP,
        "precision": sets.PRECISION,
    }
    hone_train(job, folder, skipped=0, **{**settings, "steps": job["steps"], **options})
    return folder / "model"


def held_out(worker, entry, model, arguments):
    return worker.ask("loss", rows=str(test_file(entry, arguments)), model=str(model))


def untuned_loss(entry, seed, arguments):
    with PeerWorker(job_of(entry, seed, arguments), "peer_sft.py") as judge:
        return held_out(judge, entry, arguments.model, arguments)


def hone_loss(entry, seed, arguments):
    job = job_of(entry, seed, arguments)
    model = train_hone(entry, job)
    with PeerWorker(job, "peer_sft.py") as judge:
        found = held_out(judge, entry, model, arguments)
    shutil.rmtree(model.parent)  # half a gigabyte
    return found


def trl_loss(entry, seed, arguments):
    job = job_of(entry, seed, arguments)
    folder = FOLDER / "runs" / f"answers-{entry.name}-trl-{seed}"
    with PeerWorker(job, "peer_sft.py") as worker:
        worker.ask("train", steps=job["steps"])
        worker.ask("save", folder=str(folder))
        found = held_out(worker, entry, folder, arguments)
    shutil.rmtree(folder)
    return found


# ---------------------------------------------------------------------------------------------------- summaries


def rouge_of(answers, rows):
    """ROUGE-L of each row, the best over its references."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(scorer.score(reference, answer)["rougeL"].fmeasure for reference in row["references"])
        for answer, row in zip(answers, rows, strict=True)
    ]


def lead(row, count):
    """The first sentences of what is to be summarized; of a dialogue its first turns."""
    text = row["messages"][0]["content"].split("\n\n", 1)[1].strip()
    turns = text.split("\n")
    if len(turns) > 1:
        return "\n".join(turns[:count])
    return " ".join(re.split(r"(?<=[.!?])\s", text)[:count])


def best_lead(entry, _seed, arguments):
    """As many sentences as score best on the very test rows: the most that LEAD can have."""
    rows = rows_of(entry, "test", arguments.steps)
    found = {
        count: rouge_of([lead(row, count) for row in rows], rows)
        for count in range(1, LEAD_MOST + 1)
    }
    count = max(found, key=lambda count: statistics.fmean(found[count]))
    return {"sentences": count, "scores": found[count]}


def written_scores(entry, model, arguments):
    command = [HONE, "predict", model, test_file(entry, arguments), "--precision", sets.PRECISION]
    answers = [json.loads(line)["answer"] for line in run_measured(command)["out"].splitlines()]
    shutil.rmtree(model.parent)
    rows = rows_of(entry, "test", arguments.steps)
    return {"scores": rouge_of(answers, rows), "first_answers": answers[:3]}


def untuned_summaries(entry, seed, arguments):
    """hone writes them too; a step of no length gives it the model as it comes in a folder of its own."""
    model = train_hone(entry, job_of(entry, seed, arguments), steps=1, learning_rate=1e-12)
    return written_scores(entry, model, arguments)


def hone_summaries(entry, seed, arguments):
    model = train_hone(entry, job_of(entry, seed, arguments))
    return written_scores(entry, model, arguments)


# ---------------------------------------------------------------------------------------------------- runs

LOSSES = {"untuned": untuned_loss, "hone": hone_loss, "trl": trl_loss}
SUMMARIES = {"lead": best_lead, "untuned": untuned_summaries, "hone": hone_summaries}


def measure(chosen, kept, arguments):
    """How many runs failed."""
    failed = 0
    for entry, program, seed in chosen:
        if kept.find(entry, program, seed):
            continue
        started = time.time()
        try:
            run = (SUMMARIES if entry.written else LOSSES)[program](entry, seed, arguments)
        except Exception as error:  # the others are still worth their time
            print(f"{entry.name} {program} seed {seed}: FAILED: {error}", flush=True)
            failed += 1
            continue
        seconds = time.time() - started
        told = {"key": entry.key(), "seconds": seconds, "machine": results.machine()}
        kept.store(entry, program, seed, {**run, **told, "versions": results.versions()})
        print(
            f"{entry.name} {program} seed {seed}: {value_of(run):.4f}, {seconds:.0f} s", flush=True
        )
    return failed


def value_of(run):
    """A mean loss, or a mean ROUGE-L."""
    return run["loss"] if "loss" in run else statistics.fmean(run["scores"])


# ---------------------------------------------------------------------------------------------------- the page


def found_runs(kept, entry, program):
    return [
        run
        for who, seed in entry.turns_of_programs()
        if who == program and (run := kept.find(entry, program, seed))
    ]


def shown(values):
    return sets.mean_and_spread(values, 4)


def compared(ours, theirs):
    """How far hone's mean loss is above TRL's, and whether that is within both spreads, or better."""
    is_as_good = sets.is_as_good(ours, theirs, greater_is_better=False)
    if is_as_good is None:
        return ""
    more = statistics.fmean(ours) - statistics.fmean(theirs)
    return f"{more:+.4f}, {'yes' if is_as_good else '**no**'}"


def loss_table(kept):
    lines = [
        "\n### Held-out loss after fine-tuning\n",
        f"Mean loss of a held-out answer's token, measured by Transformers in fp32 for all. Batches of {BATCH} rows, one epoch, AdamW, cosine; means and standard deviations of the seeds.\n",
        "| set | rows: train, test | rate | untuned | hone | TRL | hone less TRL; within both spreads or better |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in (e for e in ENTRIES if not e.written):
        values = {
            who: [value_of(run) for run in found_runs(kept, entry, who)]
            for who in ("untuned", "hone", "trl")
        }
        cells = " | ".join(shown(found) for found in values.values())
        lines.append(
            f"| {entry.data} | {entry.train}, {entry.test} | {entry.rate:g} | {cells} | {compared(values['hone'], values['trl'])} |"
        )
    return lines


def interval(differences, draws=2000):
    """95 %, rows drawn anew."""
    choose = random.Random(1)
    means = sorted(
        statistics.fmean(choose.choices(differences, k=len(differences))) for _ in range(draws)
    )
    return means[int(0.025 * draws)], means[int(0.975 * draws) - 1]


def gain(runs, over):
    """Of the mean over the seeds, row by row."""
    if not runs or not over:
        return ""
    ours = [statistics.fmean(scores) for scores in zip(*(run["scores"] for run in runs))]
    gains = [a - b for a, b in zip(ours, over[0]["scores"], strict=True)]
    low, high = interval(gains)
    return f"{statistics.fmean(gains):+.4f} ({low:+.4f} to {high:+.4f})"


def summary_table(kept):
    lines = [
        "\n### Summaries beside LEAD and the untuned model\n",
        f"ROUGE-L (stemmed, the best over a row's references) of greedy answers. LEAD: the first sentences or turns, of one to {LEAD_MOST} as many as score best on these very rows. Gains with "
        "their 95 % intervals, rows drawn anew.\n",
        "| set | rows: train, test | epochs, rate | LEAD | untuned | hone | gain over LEAD | gain over untuned |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in (e for e in ENTRIES if e.written):
        runs = {who: found_runs(kept, entry, who) for who in ("lead", "untuned", "hone")}
        cells = " | ".join(shown([value_of(run) for run in found]) for found in runs.values())
        gains = " | ".join(gain(runs["hone"], runs[other]) for other in ("lead", "untuned"))
        lines.append(
            f"| {entry.data} | {entry.train}, {entry.test} | {entry.epochs}, {entry.rate:g} | {cells} | {gains} |"
        )
    return lines


def lines_of(kept):
    """The page's part; nothing where nothing is measured."""
    if not kept.runs:
        return []
    begin = (
        "SmolLM2-135M-Instruct, written by `bench/answers.py`. "
        f"Measured on {results.measured_on(kept.all())}."
    )
    return ["\n## Models that write\n", begin] + loss_table(kept) + summary_table(kept)


def results_file():
    return sets.SCORES / "answers.json"


# ---------------------------------------------------------------------------------------------------- the command


def chosen_runs(only):
    runs = [(e, program, seed) for e in ENTRIES for program, seed in e.turns_of_programs()]
    if not only:
        return runs
    wanted = set(only.split(","))
    known = {name for e, program, _ in runs for name in (e.name, f"{e.name}/{program}")}
    if wanted - known:
        sys.exit(f"no entry {', '.join(sorted(wanted - known))}; --list names all")
    return [run for run in runs if {run[0].name, f"{run[0].name}/{run[1]}"} & wanted]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="ENTRY or ENTRY/PROGRAM, with commas between them")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--list", action="store_true", help="names of all entries and programs")
    parser.add_argument("--steps", type=int, help="a trial of so many steps")
    parser.add_argument("--model", type=pathlib.Path, help="a folder of SmolLM2-135M-Instruct")
    arguments = parser.parse_args()
    chosen = chosen_runs(arguments.only)
    if arguments.list:
        return print("\n".join(dict.fromkeys(f"{e.name}/{who}" for e, who, _ in chosen)))
    is_trial = arguments.steps is not None
    kept = results.Kept(FOLDER / "answers-trial.json" if is_trial else results_file())
    failed = 0
    if not arguments.page:
        if not sets.DATA.exists():
            sys.exit(f"skipped: no data sets in {sets.DATA}")
        arguments.model = arguments.model or smollm2()
        failed = measure(chosen, kept, arguments)
    if is_trial:
        print("\n".join(lines_of(kept)))
    else:
        results.write_page()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
