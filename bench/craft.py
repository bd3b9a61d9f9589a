"""The part of docs/results.md on what regularisation, adversarial training, balancing and augmentation are worth.

    python bench/craft.py                      train and attack what is not measured yet, then write the page
    python bench/craft.py --part 1/2           half of it, and 2/2 beside it the other half
    python bench/craft.py --only sst2/fgm      these alone; "sst2" for all of a set
    python bench/craft.py --list               all trials, their runs and about how long they take
    python bench/craft.py --substitutions      100 words that the attack on sst2 put in another's place, to be judged
    python bench/craft.py --page               only write the page
    python bench/craft.py --steps 3            a trial: few steps, few rows; kept apart, no page

Every method of a set has the same rows, at most 1,000, and as many optimizer steps; a run is made to take about a minute on one core. The size of an
adversarial shift is searched on rows held out from the training rows, by the accuracy under attack there among those that lose no score, with a seed of its
own; then three seeds are trained on all of them. Each run is one entry of bench/results/craft.json as soon as it has ended; the same call goes
on where it stopped.
"""

import argparse
import csv
import dataclasses
import functools
import hashlib
import json
import math
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
EPSILONS = (0.03, 0.1, 0.3)
LOST = 0.02  # of the held-out score, at most: a model that always says the same stands any attack
HELD_OUT = 0.2  # of the training rows: where epsilon is searched, and a threshold
MOST_ROWS = 1000  # for training
TEST_ROWS = 1000  # at most
HARD_ROWS = 200  # of each set that was made to be hard
ENGLISH = sets.DATA / "lexicon/ppdb_wordnet_en/ppdb_synonyms.txt"
CHINESE = sets.DATA / "lexicon/cilin_zh/dict_synonym.txt"
KINDS, CANDIDATES, MOST_WORDS = ("synonyms", "typos"), 4, 0.2  # of the attack
ATTACK = ["--by", ",".join(KINDS), "--lexicon", str(ENGLISH), "--candidates", str(CANDIDATES)]
# Rows to train on and to attack: of long texts fewer, for an attack asks for each word.
ATTACKED = {"sst2": (640, 200), "trec": (1000, 200), "rte": (256, 40), "conll2003": (640, 200)}
FEW = (16, 64, 256, 512)
BALANCE = {
    "plain": {},
    "balanced weights": {"class_weights": "balanced"},
    "root weights": {"class_weights": "inverse_sqrt"},
    "effective weights": {"class_weights": "effective"},
    "logit adjustment": {"logit_adjustment": 1},
    "focal": {"focal_gamma": 2},
}
SAMPLING = {"balanced sampling": {"class_sampling": "equal"}}  # of tasks with one class a row
SEVERAL = {"plain": {}, "focal": {"focal_gamma": 2}, "threshold": {"threshold": "auto"}}
BESIDE = {  # the score, in the table of balancing
    "goemotions_one": ("accuracy",),
    "goemotions": ("micro_f1",),
    "wnut17": ("precision", "recall"),
}
SUBSTITUTIONS = 100


@dataclasses.dataclass(frozen=True)
class Method:
    name: str
    regularise: dict = dataclasses.field(default_factory=dict)
    searched: tuple = ()  # of its epsilon
    passes: float = 1  # what a step costs beside a plain one

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
    Method("fgm", {"fgm": {}}, (*EPSILONS, 1), passes=2),
    Method("pgd", {"pgd": {"steps": 3}}, EPSILONS, passes=3.4),
    Method("freelb", {"freelb": {"steps": 3}}, EPSILONS, passes=3),
    Method("smart", {"smart": {}}, EPSILONS, passes=3),
    Method("r_drop", {"r_drop": {"alpha": 1}}, passes=2),
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
    train: dict = dataclasses.field(default_factory=dict)
    augment: dict | None = None
    rows: int = 0  # labelled rows to train on; 0: as the set's entry says
    steps: int = 0  # 0: as many as the entry's epochs have
    attacked: int = 0  # test rows

    @property
    def name(self):
        return f"{self.data}/{self.method}" + (f"/{self.rows}" if self.rows else "")


def entry_of(name, **other):
    entry = next(entry for entry in results.ENTRIES if entry.name == name)
    return dataclasses.replace(entry, **{"most": MOST_ROWS, **other})


def attacked_trials():
    return [
        Trial("attacked", name, method.name, entry_of(name, most=rows), method, attacked=attacked)
        for name, (rows, attacked) in ATTACKED.items()
        for method in METHODS
    ]


def balance_trials():
    longer = {"epochs": 10, "rate": 3e-4, "metric": "macro_f1"}
    sets_of = (
        (
            "goemotions_one",
            entry_of("goemotions", **longer, task=results.ONE),
            {**BALANCE, **dict.fromkeys(SAMPLING, {})},
        ),
        ("goemotions", entry_of("goemotions", **longer), SEVERAL),
        ("wnut17", entry_of("wnut17", epochs=6, rate=2e-4), BALANCE),
    )
    return [
        Trial(
            "balance",
            data,
            name,
            entry,
            task={**task, "unknown_labels": "count"},
            train=SAMPLING.get(name, {}),
        )
        for data, entry, methods in sets_of
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
    train, test = results.all_rows(trial.entry)
    if trial.data == "goemotions_one":
        train, test = one_label(train), one_label(test)
    train, test = results.cut(train, test, len(train), TEST_ROWS, steps)
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
            ][:HARD_ROWS]
    return found


# ---------------------------------------------------------------------------------------------------- how long it takes

RATE = 5000  # tokens a second that one core trains MiniLM on; three times as many only forward
OF_MULTILINGUAL = 2.5  # times as slow
PIECES = 1.33  # of a word
START = 4  # seconds until programs have started and a model is written


@functools.cache
def words_and_test_rows(data):
    """Words of a row, and rows of the test split."""
    train, test = (sets.rows(data, split) for split in ("train", "test"))

    def words(row):
        texts = [row[f] for f in ("text", "tokens", "sentence1", "sentence2") if f in row]
        return sum(len(t if isinstance(t, list) else t.split()) for t in texts)

    characters = statistics.mean(len(row.get("text", "")) for row in train)
    count = statistics.mean(words(row) for row in train)
    return (characters / PIECES if characters > 20 * count else count), min(len(test), TEST_ROWS)


def attack_tokens(words, rows, share):
    """Of an attack that may change so much of a text: each word is left out once, candidates are tried for some."""
    tried = math.ceil(share * words) * CANDIDATES * len(KINDS)
    return rows * (words + tried) * (words * PIECES + 2)


def estimate(trial, is_search):
    """Seconds of a run on one core."""
    words, test = words_and_test_rows(trial.entry.rows or trial.entry.name)
    length = words * PIECES + 2
    rows = (trial.rows or trial.entry.most) * ((1 - HELD_OUT) if is_search else 1)
    samples = trial.steps * trial.entry.batch or rows * trial.entry.epochs
    forward = length * (trial.entry.most * HELD_OUT if is_search else test)
    if trial.attacked:
        forward += attack_tokens(words, trial.attacked / (2 if is_search else 1), MOST_WORDS)
        if not is_search and trial.data == "sst2":
            forward += 2 * HARD_ROWS * trial.entry.length
        if not is_search and trial.method == "plain":
            forward += 2 * attack_tokens(words, trial.attacked / 4, 0.5)
    tokens = samples * length * trial.regularise.passes + forward / 3
    return START + tokens / RATE * (1 if trial.entry.language == "en" else OF_MULTILINGUAL)


def seeds_of(trial):
    """Of all runs of a trial, those of the search first; their epsilon is known when that has ended."""
    return [SEARCH_SEED] * len(trial.regularise.searched) + list(SEEDS)


def seconds_of(trial):
    return sum(estimate(trial, seed == SEARCH_SEED) for seed in seeds_of(trial))


def done(trial, kept):
    """How many of its runs have ended."""
    searched = [kept.find(trial, SEARCH_SEED, epsilon) for epsilon in trial.regularise.searched]
    return sum(map(bool, searched)) + len(ended(kept, trial))


def list_trials(trials, kept):
    if not sets.DATA.exists():
        return print("\n".join(trial.name for trial in trials))
    for trial in trials:
        print(
            f"{trial.name:34} {done(trial, kept)} of {len(seeds_of(trial))} runs, {seconds_of(trial) / 60:5.1f} min"
        )
    left = sum(seconds_of(t) * (1 - done(t, kept) / len(seeds_of(t))) for t in trials)
    print(
        f"{sum(len(seeds_of(t)) for t in trials)} runs, about {sum(map(seconds_of, trials)) / 60:.0f} core-minutes, "
        f"{left / 60:.0f} of them left; the longest run {max(estimate(t, False) for t in trials):.0f} s"
    )


def part_of(trials, part):
    """Part "1/2" of trials: of about equal length, and the same whatever has ended."""
    number, parts = map(int, part.split("/"))
    if not 1 <= number <= parts:
        sys.exit(f"--part {part}: it must be 1/{parts} to {parts}/{parts}")
    lengths, chosen = [0] * parts, []
    for trial in sorted(trials, key=seconds_of, reverse=True):
        least = lengths.index(min(lengths))
        lengths[least] += seconds_of(trial)
        if least == number - 1:
            chosen.append(trial)
    return [trial for trial in trials if trial in chosen]


# ---------------------------------------------------------------------------------------------------- runs


def configuration(trial, seed, epsilon, model, folder, arguments):
    splits = rows_of(trial, seed, arguments.steps)
    for split, chosen in splits.items():
        sets.write_jsonl(chosen, folder / f"{split}.jsonl")
    train = {
        **trial.entry.settings(),
        "precision": sets.PRECISION,
        **trial.train,
        "seed": seed,
        "logging_steps": 1,
        "threads": arguments.threads,
    }
    if trial.steps:
        train["max_steps"] = trial.steps
    if arguments.steps is not None:
        train["max_steps"] = arguments.steps
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
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)}: exit code {finished.returncode}\n{finished.stderr}"
        )
    return finished.stdout


class Trained:
    """A run's folder, and what programs say of its model."""

    def __init__(self, folder, threads):
        self.folder = folder
        self.usual = ["--threads", str(threads), "--json", "--quiet"]

    def attacked(self, rows, *more):
        words = [*ATTACK, "--rows", str(rows), *more, *self.usual]
        report = json.loads(
            call("attack", self.folder / "run/model", self.folder / "test.jsonl", *words)
        )
        wanted = ("accuracy", "accuracy_under_attack", "words_changed", "queries")
        return {name: report["metrics"].get(name) for name in wanted}

    def raised_loss(self):
        """How much greater the loss is at the shifted embeddings in the first step, where it is told."""
        for line in (self.folder / "run/metrics.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "step":
                told = [v for name, v in event.items() if name in ("fgm.loss", "pgd.loss")]
                return told[0] - event["loss"] if told else event.get("smart.divergence")
        return None

    def elsewhere(self, data):
        """Accuracy on sets that were made to be hard."""
        found = {}
        for name, rows in contrasts(data).items():
            path = self.folder / "hard.jsonl"
            sets.write_jsonl(rows, path)
            report = json.loads(call("eval", self.folder / "run/model", path, *self.usual))
            found[name] = report["metrics"]["accuracy"]
        return found


def attacked(trial, seed, trained):
    """What a run that is attacked has beside its score."""
    rows = trial.attacked if seed != SEARCH_SEED else trial.attacked // 2
    found = {"attack": trained.attacked(rows), "raised_loss": trained.raised_loss()}
    if seed == SEARCH_SEED:
        return found
    if trial.data in ("sst2", "rte"):
        found["hard"] = trained.elsewhere(trial.data)
    if trial.method == "plain":
        for order in ("importance", "random"):
            found[f"{order}_order"] = trained.attacked(
                trial.attacked // 4, "--order", order, "--most-words", "1"
            )
    return found


def run(trial, seed, epsilon, arguments):
    folder = arguments.work / trial.name.replace("/", "-").replace(" ", "-") / f"{seed}-{epsilon}"
    folder.mkdir(parents=True, exist_ok=True)
    model = sets.MINILM if trial.entry.language == "en" else arguments.multilingual
    path = folder / "config.yaml"
    asked = configuration(trial, seed, epsilon, model, folder, arguments)
    path.write_text(json.dumps(asked))  # JSON is YAML
    call("train", path, "--quiet", "--overwrite")
    report = json.loads((folder / "run/report.json").read_text())
    found = {
        "score": report["metrics"][trial.entry.metric],
        "metrics": {k: v for k, v in report["metrics"].items() if isinstance(v, (int, float))},
        "test_rows": report["n"],
        "seconds": report["timing"]["train_seconds"],
    }
    if trial.attacked:
        found.update(attacked(trial, seed, Trained(folder, arguments.threads)))
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
        with sets.updated(self.path) as self.runs:  # another part may run beside this one
            self.runs.setdefault(trial.name, {})[f"{seed} {epsilon}"] = found


def key_of(trial, epsilon):
    """Changes where a run of this trial would be another one."""
    told = [
        trial.entry.key(),
        trial.regularise.at(epsilon),
        trial.task,
        trial.augment and {**trial.augment, "lexicon": pathlib.Path(trial.augment["lexicon"]).name},
        trial.rows,
        trial.steps,
        [trial.attacked, KINDS, CANDIDATES],
        [TEST_ROWS, HARD_ROWS],
        *([trial.train] if trial.train else []),  # keys of trials without any stay as they were
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
    told = {"key": key_of(trial, epsilon), "machine": results.machine()}
    kept.store(trial, seed, epsilon, {**found, **told, "threads": arguments.threads})
    print(
        f"{trial.name} seed {seed} epsilon {epsilon}: {trial.entry.metric} {100 * found['score']:.2f}, "
        f"{time.time() - started:.0f} s (expected {estimate(trial, seed == SEARCH_SEED):.0f})",
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


# ---------------------------------------------------------------------------------------------------- what an attack writes


def substitutions_file():
    return sets.SCORES / "substitutions.json"


def substitutions_of(attacked_rows):
    """Words that were put in another's place, of rows that broke."""
    every = [
        {
            **{key: row[key] for key in ("text", "attacked")},
            **change,
            "label": row["before"]["label"],
        }
        for row in attacked_rows
        if row["broken"]
        for change in row["changes"]
    ]
    return random.Random(0).sample(every, min(SUBSTITUTIONS, len(every)))


def place_of(one):
    return one["text"], one["from"], one["to"]


def draw_substitutions(arguments):
    """Attacks a plain model, and prints what is to be judged. Whether a text keeps its label with the word in place, "keeps", is
    written into the file by whoever reads them; what is judged already stays."""
    trial = next(t for t in TRIALS if t.name == "sst2/plain")
    folder = arguments.work / "substitutions"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    asked = configuration(trial, SEEDS[0], None, sets.MINILM, folder, arguments)
    path.write_text(json.dumps(asked))
    call("train", path, "--quiet", "--overwrite")
    Trained(folder, arguments.threads).attacked(trial.attacked, "--report", folder / "attacked")
    lines = (folder / "attacked/attacked.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = substitutions_of([json.loads(line) for line in lines])
    with sets.updated(substitutions_file()) as held:
        judged = {place_of(one): one["keeps"] for one in held.get(trial.data, [])}
        held[trial.data] = [{**one, "keeps": judged.get(place_of(one))} for one in chosen]
    shutil.rmtree(folder)
    for number, one in enumerate(chosen, 1):
        print(
            f"{number}. [{one['label']}] {one['by']}: {one['from']} → {one['to']}\n    {one['text']}"
        )


# ---------------------------------------------------------------------------------------------------- the page


def spread(values, factor=100, digits=1):
    known = [factor * value for value in values if value is not None]
    return sets.mean_and_spread(known, digits, none="")


def ended(kept, trial):
    epsilon = best_epsilon(trial, kept)
    return [found for seed in SEEDS if (found := kept.find(trial, seed, epsilon))]


def gain(runs, plain):
    """Of accuracy under attack over the plain model's, bold where it is more than both standard deviations together."""
    ours, theirs = (
        [100 * run["attack"]["accuracy_under_attack"] for run in of] for of in (runs, plain)
    )
    if runs is plain or min(len(ours), len(theirs)) < 2:
        return ""
    more = statistics.mean(ours) - statistics.mean(theirs)
    is_beyond = abs(more) > statistics.stdev(ours) + statistics.stdev(theirs)
    return f"**{more:+.1f}**" if is_beyond else f"{more:+.1f}"


def attacked_table(kept):
    rows = "; ".join(f"{name} {train} and {rows}" for name, (train, rows) in ATTACKED.items())
    lines = [
        "\n### Adversarial training and other regularisers\n",
        f"Accuracy under attack: synonyms (PPDB) and typos, {CANDIDATES} of each for a word, at most a fifth of the words ([attack.md](attack.md)). Rows trained on, and attacked: {rows}; all methods make the same number of optimizer steps. "
        "ε: searched on held-out rows, by the accuracy under attack there, of those that lose at most 2 points of score. Gain: of accuracy under attack over the plain model's; bold: more than both standard deviations together. "
        "Seconds: of training, on one thread.\n",
        "| set | method | ε | score | accuracy under attack | gain | train seconds | hard sets |",
        "|---|---|---|---|---|---|---|---|",
    ]
    plain = []
    for trial in (t for t in TRIALS if t.group == "attacked"):
        runs = ended(kept, trial)
        plain = runs if trial.method == "plain" else plain
        if not runs:
            continue
        epsilon = best_epsilon(trial, kept)
        hard = ", ".join(
            f"{name} {spread([r['hard'][name] for r in runs])}" for name in runs[0].get("hard", {})
        )
        lines.append(
            f"| {trial.data} | {trial.method} | {'' if epsilon is None else epsilon} | {trial.entry.metric} {spread([r['score'] for r in runs])} "
            f"| {spread([r['attack']['accuracy_under_attack'] for r in runs])} | {gain(runs, plain)} | {spread([r['seconds'] for r in runs], 1, 0)} | {hard} |"
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
        "Of plain models, all words free to change: how many of the words are changed until an answer breaks, with the most important word first and in random order; the same rows.\n",
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
        "goemotions_one: the rows with one label; wnut17: tags of tokens, most of them O.\n",
        "| set | method | score | beside it |",
        "|---|---|---|---|",
    ]
    for trial in (t for t in TRIALS if t.group == "balance"):
        runs = ended(kept, trial)
        if runs:
            beside = ", ".join(
                f"{name} {spread([r['metrics'].get(name) for r in runs])}"
                for name in BESIDE[trial.data]
            )
            lines.append(
                f"| {trial.data} | {trial.method} | {trial.entry.metric} {spread([r['score'] for r in runs])} | {beside} |"
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


def judged_table(_):
    """Of the substitutions that somebody has judged."""
    path = substitutions_file()
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    judged = [one for of_set in held.values() for one in of_set if one["keeps"] is not None]
    lines = [
        "\n### What the attack writes\n",
        f"{len(judged)} words that the attack on sst2 put in another's place, of rows whose answer became wrong, read one by one (`{path.name}`): does the text keep its label with the word in place?\n",
        "| perturbation | substitutions | label kept |",
        "|---|---|---|",
    ]
    for kind in KINDS:
        keeps = [one["keeps"] for one in judged if one["by"] == kind]
        if keeps:
            lines.append(f"| {kind} | {len(keeps)} | {sum(keeps)} |")
    return lines


def lines_of(kept):
    """The page's part; nothing where nothing is measured."""
    if not kept.runs:
        return []
    runs = [run for of_trial in kept.runs.values() for run in of_trial.values()]
    lines = [
        "\n## Regularisation, attacks, few and uneven labels\n",
        f"Written by `bench/craft.py`: means and standard deviations over three seeds, at most {MOST_ROWS:,} training and {TEST_ROWS:,} test rows. Measured on {results.measured_on(runs)}.",
    ]
    tables = (attacked_table, search_table, order_table, judged_table, balance_table, few_table)
    for table in tables:
        rows = table(kept)
        if len(rows) > 4:  # more than its head
            lines += rows
    return lines


def results_file():
    return sets.SCORES / "craft.json"


def chosen_trials(only):
    if not only:
        return TRIALS
    wanted = only.split(",")
    found = [t for t in TRIALS if any(t.name == w or t.name.startswith(w + "/") for w in wanted)]
    if not found:
        sys.exit(f"no trial {only}; --list names all")
    return found


def arguments_of():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names of trials or of sets, with commas between them")
    parser.add_argument("--part", metavar="K/N", help="one of N parts of about equal length")
    parser.add_argument("--threads", type=int, default=1, help="of each run (1)")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--substitutions", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--steps", type=int, help="a trial of so many steps")
    parser.add_argument(
        "--multilingual", type=pathlib.Path, default=sets.ROOT / "models/multilingual-e5-small"
    )
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/hone-craft"))
    return parser.parse_args()


def main():
    arguments = arguments_of()
    is_trial = arguments.steps is not None
    kept = Kept(arguments.work / "trial.json" if is_trial else results_file())
    if arguments.page:
        return results.write_page()
    if not sets.DATA.exists() and not arguments.list:
        sys.exit(f"skipped: no data sets in {sets.DATA}")
    if arguments.substitutions:
        return draw_substitutions(arguments)
    trials = chosen_trials(arguments.only)
    if arguments.part:
        trials = part_of(trials, arguments.part)
    if arguments.list:
        return list_trials(trials, kept)
    if any(t.entry.language != "en" for t in trials) and not arguments.multilingual.exists():
        sys.exit(f"no multilingual model in {arguments.multilingual}: --multilingual FOLDER")
    failed = measure(trials, kept, arguments)
    if is_trial:
        print("\n".join(lines_of(kept)))
    else:
        results.write_page()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
