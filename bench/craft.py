"""The part of docs/results.md on what regularisation, adversarial training, balancing and augmentation are worth.

    python bench/craft.py                      train and attack what is not measured yet, then write the page
    python bench/craft.py --only sst2/fgm      these alone (see --list); "sst2" for all of a set
    python bench/craft.py --page               only write the page
    python bench/craft.py --steps 3            a trial: few steps, few rows; kept apart, no page

Each set has the rows, the task and the settings that bench/results.py gives it, and every method as many optimizer steps. The size of an adversarial
shift is searched on rows held out from the training rows, by the accuracy under attack there among those that lose no score, with a seed of its own; then three seeds are trained on
all of them. Each run is one entry of bench/results/<processor>/craft.json as soon as it has ended; the same call goes on where it stopped.
"""

import argparse
import csv
import dataclasses
import hashlib
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time

import results
import sets

SEEDS = (1, 2, 3)
SEARCH_SEED = 0
EPSILONS = (0.03, 0.1, 0.3, 1)
LOST = 0.02  # of the held-out score, at most: a model that always says the same stands any attack
HELD_OUT = 0.2  # of the training rows: where epsilon is searched, and a threshold
ENGLISH = sets.DATA / "lexicon/ppdb_wordnet_en/ppdb_synonyms.txt"
CHINESE = sets.DATA / "lexicon/cilin_zh/dict_synonym.txt"
ATTACK = ["--by", "synonyms,typos", "--lexicon", str(ENGLISH), "--rows", "100"]
FEW = (16, 64, 256, 512)
BALANCE = {
    "plain": {},
    "balanced weights": {"class_weights": "balanced"},
    "root weights": {"class_weights": "inverse_sqrt"},
    "effective weights": {"class_weights": "effective"},
    "logit adjustment": {"logit_adjustment": 1},
    "focal": {"focal_gamma": 2},
}


@dataclasses.dataclass(frozen=True)
class Method:
    name: str
    regularise: dict = dataclasses.field(default_factory=dict)
    searched: tuple = ()  # of its epsilon

    def at(self, epsilon):
        if epsilon is None:
            return self.regularise
        return {name: {**given, **sizes(name, epsilon)} for name, given in self.regularise.items()}


def sizes(name, epsilon):
    """The options of a method whose shifts end about `epsilon` away."""
    steps = {"pgd": {"alpha": epsilon / 2}, "freelb": {"alpha": epsilon / 2, "init": epsilon / 2}}
    return {"epsilon": epsilon, **steps.get(name, {})}


METHODS = [
    Method("plain"),
    Method("fgm", {"fgm": {}}, EPSILONS),
    Method("pgd", {"pgd": {"steps": 3}}, EPSILONS),
    Method("freelb", {"freelb": {"steps": 3}}, EPSILONS),
    Method("smart", {"smart": {}}, EPSILONS),
    Method("r_drop", {"r_drop": {"alpha": 1}}),
    Method("ema", {"ema": {"decay": 0.99}}),
]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One method on one set."""

    group: str  # attacked | balance | few
    data: str
    method: str
    entry: results.Entry
    regularise: Method = METHODS[0]
    task: dict = dataclasses.field(default_factory=dict)
    augment: dict | None = None
    rows: int = 0  # labelled rows to train on; 0: as the set's entry says
    steps: int = 0  # 0: as many as the entry's epochs have

    @property
    def name(self):
        return f"{self.data}/{self.method}" + (f"/{self.rows}" if self.rows else "")


def entry_of(name):
    return next(entry for entry in results.ENTRIES if entry.name == name)


def attacked_trials():
    return [
        Trial("attacked", name, method.name, entry_of(name), method)
        for name in ("sst2", "trec", "rte", "conll2003")
        for method in METHODS
    ]


def balance_trials():
    single = dataclasses.replace(entry_of("goemotions"), task=results.ONE, metric="macro_f1")
    several = dataclasses.replace(entry_of("goemotions"), metric="macro_f1")
    many = {"plain": {}, "focal": {"focal_gamma": 2}, "threshold": {"threshold": "auto"}}
    return [
        Trial("balance", data, name, entry, task={**task, "unknown_labels": "count"})
        for data, entry, methods in (
            ("goemotions_one", single, BALANCE),
            ("goemotions", several, many),
        )
        for name, task in methods.items()
    ]


def few_trials():
    found = []
    for name, lexicon in (("sst2", ENGLISH), ("waimai_10k", CHINESE)):
        augment = {
            "copies": 4,
            "by": ["synonyms", "insert", "swap", "delete"],
            "lexicon": str(lexicon),
        }
        for rows in FEW:
            for method, given in (("plain", None), ("augmented", augment)):
                found.append(
                    Trial(
                        "few",
                        name,
                        method,
                        entry_of(name),
                        augment=given,
                        rows=rows,
                        steps=max(100, rows // 4),
                    )
                )
    return found


TRIALS = attacked_trials() + balance_trials() + few_trials()


# ---------------------------------------------------------------------------------------------------- rows


def one_label(rows):
    """Of rows with several labels those that have one."""
    return [{**row, "label": row["labels"][0]} for row in rows if len(row["labels"]) == 1]


def drawn_evenly(rows, count, seed):
    """As many rows of each label."""
    by_label = {}
    for row in rows:
        by_label.setdefault(row["label"], []).append(row)
    draw, chosen = random.Random(seed), []
    for label in sorted(by_label):
        chosen += draw.sample(by_label[label], count // len(by_label))
    draw.shuffle(chosen)
    return chosen


def rows_of(trial, seed, steps):
    """Rows of each split; those of "validation" are held out from training."""
    train, test = results.rows_of(dataclasses.replace(trial.entry, most=10**9), steps)
    if trial.data == "goemotions_one":
        train, test = one_label(train), one_label(test)
    if trial.rows:
        count = trial.rows if steps is None else min(trial.rows, 16)
        return {"train": drawn_evenly(train, count, seed), "test": test}
    random.Random(0).shuffle(train)
    train = train[: trial.entry.most]
    held_out = int(len(train) * HELD_OUT)
    if seed == SEARCH_SEED:
        return {"train": train[held_out:], "test": train[:held_out]}
    if trial.task.get("threshold") == "auto":
        return {"train": train[held_out:], "validation": train[:held_out], "test": test}
    return {"train": train, "test": test}


def contrasts(task):
    """Sets that were made to be hard, as (name, rows); for models of sst2 and rte."""
    advglue = json.loads((sets.DATA / "robustness/advglue/dev.json").read_text(encoding="utf-8"))
    if task == "rte":
        names = ("entailment", "not_entailment")
        fields = ("sentence1", "sentence2")
        return {
            "advglue": [
                {**{field: row[field] for field in fields}, "label": names[row["label"]]}
                for row in advglue["rte"]
            ]
        }
    found = {
        "advglue": [
            {"text": row["sentence"], "label": ("negative", "positive")[row["label"]]}
            for row in advglue["sst2"]
        ]
    }
    for kind in ("original", "contrast"):
        path = sets.DATA / f"robustness/imdb_contrast/test_{kind}.tsv"
        with path.open(encoding="utf-8", newline="") as file:
            found[f"imdb {kind}"] = [
                {
                    "text": row["Text"].replace("<br />", " "),
                    "label": row["Sentiment"].strip().lower(),
                }
                for row in csv.DictReader(file, delimiter="\t")
            ]
    return found


# ---------------------------------------------------------------------------------------------------- runs


def configuration(trial, seed, epsilon, model, folder, steps):
    splits = rows_of(trial, seed, steps)
    for split, chosen in splits.items():
        sets.write_jsonl(chosen, folder / f"{split}.jsonl")
    train = {**trial.entry.settings(), "seed": seed, "logging_steps": 1}
    if trial.steps:
        train["max_steps"] = trial.steps
    if steps is not None:
        train["max_steps"] = steps
    asked = {
        "model": {"path": str(model)},
        "task": {**trial.entry.task, **trial.task},
        "data": {
            **{split: {"path": str(folder / f"{split}.jsonl")} for split in splits},
            "leakage": "off",
        },
        "train": train,
        "output": {"dir": str(folder / "run")},
    }
    if trial.regularise.regularise:
        asked["regularise"] = trial.regularise.at(epsilon)
    if trial.augment:
        asked["augment"] = trial.augment
    return asked


def call(*words):
    command = [results.PROGRAM, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def attacked(folder, data, more=()):
    report = json.loads(
        call("attack", folder / "run/model", data, *ATTACK, *more, "--json", "--quiet")
    )
    wanted = ("accuracy", "accuracy_under_attack", "words_changed", "queries")
    return {name: report["metrics"].get(name) for name in wanted}


def raised_loss(folder):
    """How much greater the loss at the shifted embeddings is in the first step, where it is told."""
    for line in (folder / "run/metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "step":
            told = [v for name, v in event.items() if name in ("fgm.loss", "pgd.loss")]
            return told[0] - event["loss"] if told else event.get("smart.divergence")
    return None


def elsewhere(trial, folder):
    """Accuracy on sets that were made to be hard."""
    found = {}
    for name, rows in contrasts(trial.data).items():
        path = folder / "hard.jsonl"
        sets.write_jsonl(rows, path)
        report = json.loads(call("eval", folder / "run/model", path, "--json", "--quiet"))
        found[name] = report["metrics"]["accuracy"]
    return found


def run(trial, seed, epsilon, arguments):
    folder = arguments.work / trial.name.replace("/", "-").replace(" ", "-") / f"{seed}-{epsilon}"
    folder.mkdir(parents=True, exist_ok=True)
    model = sets.MINILM if trial.entry.language == "en" else arguments.multilingual
    path = folder / "config.yaml"
    asked = configuration(trial, seed, epsilon, model, folder, arguments.steps)
    path.write_text(json.dumps(asked))  # JSON is YAML
    call("train", path, "--quiet", "--overwrite")
    report = json.loads((folder / "run/report.json").read_text())
    found = {
        "score": report["metrics"][trial.entry.metric],
        "metrics": {k: v for k, v in report["metrics"].items() if isinstance(v, (int, float))},
        "test_rows": report["n"],
        "seconds": report["timing"]["train_seconds"],
    }
    if trial.group == "attacked":
        found["attack"] = attacked(folder, folder / "test.jsonl")
        found["raised_loss"] = raised_loss(folder)
        if seed != SEARCH_SEED and trial.data in ("sst2", "rte"):
            found["hard"] = elsewhere(trial, folder)
        if seed != SEARCH_SEED and trial.method == "plain":
            found["random_order"] = attacked(
                folder, folder / "test.jsonl", ["--order", "random", "--most-words", "1"]
            )
            found["importance_order"] = attacked(
                folder, folder / "test.jsonl", ["--most-words", "1"]
            )
    shutil.rmtree(folder)
    return found


# ---------------------------------------------------------------------------------------------------- what is kept


class Kept:
    """Runs that have ended, by trial and by seed and epsilon."""

    def __init__(self, path):
        self.path = path
        self.runs = json.loads(path.read_text()) if path.exists() else {}

    def find(self, trial, seed, epsilon):
        found = self.runs.get(trial.name, {}).get(f"{seed} {epsilon}")
        return found if found and found["key"] == key_of(trial, epsilon) else None

    def store(self, trial, seed, epsilon, found):
        self.runs.setdefault(trial.name, {})[f"{seed} {epsilon}"] = found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.runs, indent=1, sort_keys=True) + "\n")
        temporary.replace(self.path)


def key_of(trial, epsilon):
    """Changes where a run of this trial would be another one."""
    told = [
        trial.entry.key(),
        trial.regularise.at(epsilon),
        trial.task,
        trial.augment and {**trial.augment, "lexicon": pathlib.Path(trial.augment["lexicon"]).name},
        trial.rows,
        trial.steps,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def best_epsilon(trial, kept):
    """The one under which most held-out answers stand an attack, of those whose score is near the best; None where nothing
    is searched, or not all is known."""
    searched = [kept.find(trial, SEARCH_SEED, epsilon) for epsilon in trial.regularise.searched]
    if not searched or not all(searched):
        return None
    least = max(found["score"] for found in searched) - LOST
    by_merit = [
        (found["attack"]["accuracy_under_attack"], -epsilon)
        for found, epsilon in zip(searched, trial.regularise.searched)
        if found["score"] >= least
    ]
    return -max(by_merit)[1]


def measure_one(trial, seed, epsilon, kept, arguments):
    """Whether it ended."""
    if kept.find(trial, seed, epsilon):
        return True
    started = time.time()
    try:
        found = run(trial, seed, epsilon, arguments)
    except Exception as error:  # the others are still worth their time
        print(f"{trial.name} seed {seed}: FAILED: {error}", flush=True)
        return False
    kept.store(
        trial,
        seed,
        epsilon,
        {**found, "key": key_of(trial, epsilon), "machine": results.machine()},
    )
    print(
        f"{trial.name} seed {seed} epsilon {epsilon}: {trial.entry.metric} {100 * found['score']:.2f}, "
        f"{time.time() - started:.0f} s",
        flush=True,
    )
    return True


def measure(trials, kept, arguments):
    """How many runs failed."""
    failed = 0
    for trial in trials:
        for epsilon in trial.regularise.searched:
            failed += not measure_one(trial, SEARCH_SEED, epsilon, kept, arguments)
        chosen = best_epsilon(trial, kept)
        if trial.regularise.searched and chosen is None:
            continue  # a search that failed
        for seed in SEEDS:
            failed += not measure_one(trial, seed, chosen, kept, arguments)
    return failed


# ---------------------------------------------------------------------------------------------------- the page


def spread(values, factor=100, digits=1):
    known = [factor * value for value in values if value is not None]
    if not known:
        return ""
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{statistics.mean(known):.{digits}f} ± {statistics.stdev(known):.{digits}f}"


def ended(kept, trial):
    epsilon = best_epsilon(trial, kept)
    return [found for seed in SEEDS if (found := kept.find(trial, seed, epsilon))]


def attacked_table(kept):
    lines = [
        "\n### Adversarial training and other regularisers\n",
        "Accuracy under attack: of 100 test rows, synonyms (PPDB) and typos, at most a fifth of the words ([attack.md](attack.md)). ε: searched on held-out rows, by the accuracy under attack there, of those that lose at most 2 points of score.\n",
        "| set | method | ε | score | accuracy under attack | train seconds | hard sets |",
        "|---|---|---|---|---|---|---|",
    ]
    for trial in (t for t in TRIALS if t.group == "attacked"):
        runs = ended(kept, trial)
        if not runs:
            continue
        epsilon = best_epsilon(trial, kept)
        hard = ", ".join(
            f"{name} {spread([r['hard'][name] for r in runs])}" for name in runs[0].get("hard", {})
        )
        lines.append(
            f"| {trial.data} | {trial.method} | {'' if epsilon is None else epsilon} | {trial.entry.metric} {spread([r['score'] for r in runs])} "
            f"| {spread([r['attack']['accuracy_under_attack'] for r in runs])} | {spread([r['seconds'] for r in runs], 1, 0)} | {hard} |"
        )
    return lines


def search_table(kept):
    lines = [
        "\n### How far embeddings are shifted\n",
        "One run each, tested on held-out training rows. The raise: how much greater the loss is at the shifted embeddings in the first step (smart: how far the outputs are apart).\n",
        "| set | method | ε | score | accuracy under attack | raise |",
        "|---|---|---|---|---|---|",
    ]
    for trial in (t for t in TRIALS if t.regularise.searched):
        for epsilon in trial.regularise.searched:
            found = kept.find(trial, SEARCH_SEED, epsilon)
            if not found:
                continue
            rise = found["raised_loss"]
            lines.append(
                f"| {trial.data} | {trial.method} | {epsilon} | {100 * found['score']:.1f} | {100 * found['attack']['accuracy_under_attack']:.1f} "
                f"| {'' if rise is None else f'{rise:.2g}'} |"
            )
    return lines


def order_table(kept):
    lines = [
        "\n### The order of the attack\n",
        "Of plain models, all words free to change: how many of the words are changed until an answer breaks, with the most important word first and in random order.\n",
        "| set | words changed, by importance | words changed, at random | queries for a row, by importance | at random |",
        "|---|---|---|---|---|",
    ]
    for trial in (t for t in TRIALS if t.group == "attacked" and t.method == "plain"):
        runs = ended(kept, trial)
        if runs:
            cells = [
                spread([r[order][what] for r in runs], factor)
                for what, factor in (("words_changed", 100), ("queries", 1))
                for order in ("importance_order", "random_order")
            ]
            lines.append(f"| {trial.data} | {' | '.join(cells)} |")
    return lines


def balance_table(kept):
    lines = [
        "\n### Classes of very different size\n",
        "goemotions_one: the rows with one label. Tags of tokens have no such options.\n",
        "| set | method | macro F1 | micro F1 or accuracy |",
        "|---|---|---|---|",
    ]
    for trial in (t for t in TRIALS if t.group == "balance"):
        runs = ended(kept, trial)
        if runs:
            other = [r["metrics"].get("micro_f1", r["metrics"].get("accuracy")) for r in runs]
            lines.append(
                f"| {trial.data} | {trial.method} | {spread([r['score'] for r in runs])} | {spread(other)} |"
            )
    return lines


def few_table(kept):
    lines = [
        "\n### Few labels\n",
        "As many rows of each label, drawn by the seed; four copies with a tenth of the words changed (synonyms, insertions, swaps, deletions), at equal optimizer steps.\n",
        "| set | rows | plain | augmented |",
        "|---|---|---|---|",
    ]
    by_rows = {}
    for trial in (t for t in TRIALS if t.group == "few"):
        if runs := ended(kept, trial):
            by_rows.setdefault((trial.data, trial.rows), {})[trial.method] = spread(
                [r["score"] for r in runs]
            )
    for (data, rows), cells in by_rows.items():
        lines.append(
            f"| {data} | {rows} | {cells.get('plain', '')} | {cells.get('augmented', '')} |"
        )
    return lines


def lines_of(kept):
    """The page's part; nothing where nothing is measured."""
    if not kept.runs:
        return []
    lines = ["\n## Regularisation, attacks, few and uneven labels\n"]
    lines.append("Written by `bench/craft.py`: means and standard deviations over three seeds.")
    for table in (attacked_table, search_table, order_table, balance_table, few_table):
        rows = table(kept)
        if any(line.startswith("| ") for line in rows[4:]):
            lines += rows
    return lines


def results_file():
    return sets.RESULTS / "craft.json"


def chosen_trials(only):
    if not only:
        return TRIALS
    wanted = only.split(",")
    found = [t for t in TRIALS if any(t.name == w or t.name.startswith(w + "/") for w in wanted)]
    if not found:
        sys.exit(f"no trial {only}; --list names all")
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names of trials or of sets, with commas between them")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--list", action="store_true", help="names of all trials")
    parser.add_argument("--steps", type=int, help="a trial of so many steps")
    parser.add_argument(
        "--multilingual", type=pathlib.Path, default=sets.ROOT / "models/multilingual-e5-small"
    )
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/hone-craft"))
    arguments = parser.parse_args()
    trials = chosen_trials(arguments.only)
    if arguments.list:
        return print("\n".join(trial.name for trial in trials))
    is_trial = arguments.steps is not None
    kept = Kept(arguments.work / "trial.json" if is_trial else results_file())
    failed = 0
    if not arguments.page:
        if not sets.DATA.exists():
            sys.exit(f"skipped: no data sets in {sets.DATA}")
        if any(t.entry.language != "en" for t in trials) and not arguments.multilingual.exists():
            sys.exit(f"no multilingual model in {arguments.multilingual}: --multilingual FOLDER")
        failed = measure(trials, kept, arguments)
    if is_trial:
        print("\n".join(lines_of(kept)))
    else:
        results.page(results.Kept(sets.RESULTS / "results.json"), results.ENTRIES)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
