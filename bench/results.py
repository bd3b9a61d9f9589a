"""docs/results.md: what small models reach on every set at hand, as one script measures it.

    python bench/results.py                   train what is not measured yet, then write the page
    python bench/results.py --only rte,sst2   these entries alone (see --list)
    python bench/results.py --peer            Transformers' turn, of the entries that have one (run with .venv-peers/bin/python)
    python bench/results.py --page            only write the page
    python bench/results.py --steps 3         a trial: few steps, few rows; kept apart, no page

English sets are trained from all-MiniLM-L6-v2, others from multilingual-e5-small (--multilingual FOLDER). Each run is one entry of
bench/results/results.json as soon as it has ended; the same call goes on where it stopped, and an entry whose settings have changed is
measured again. Both programs get the same rows, at most 1,000 for training (more where there are many
classes) and 1,000 for the test, drawn once.
"""

import argparse
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import time

import sets

PAGE = sets.ROOT / "docs" / "results.md"
PROGRAM = os.environ.get("HONE", str(sets.ROOT / "build" / "release" / "hone"))
MOST_ROWS = MOST_TEST_ROWS = 1000
COMMON = {
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "linear",
    "eval_strategy": "no",
    "save_strategy": "no",
    "device": "cpu",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str  # of the set too, as bench/sets.py reads it, unless `rows` or `data` say otherwise
    group: str
    task: dict
    metric: str
    language: str = "en"
    epochs: float = 3
    rate: float = 1e-4
    batch: int = 16
    length: int = 128
    seeds: int = 1
    peer: bool = False
    scratch: bool = False  # from random weights too
    data: dict | None = None
    rows: str = ""  # the set's name, where it is not the entry's
    most: int = (
        MOST_ROWS  # of training rows; where it is less than MOST_TEST_ROWS, of test rows too
    )
    documents: int = 0  # of `data`, for training; 0: all
    note: str = ""
    peft: dict | None = None  # hone's section; None: the whole model is trained
    peer_peft: dict | None = None  # of PEFT's configuration

    def model(self, arguments):
        return sets.MINILM if self.language == "en" else arguments.multilingual

    def settings(self):
        return {
            **COMMON,
            "num_train_epochs": self.epochs,
            "learning_rate": self.rate,
            "per_device_train_batch_size": self.batch,
            "max_seq_length": self.length,
        }

    def key(self):
        """Changes where a run of this entry would be another one."""
        told = [self.task, self.settings(), self.language, self.data, self.most]
        told += [self.documents, MOST_TEST_ROWS]
        told += [self.peft, self.peer_peft] if self.peft else []
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


ONE = {"name": "classify", "text": "text", "label": "label", "unknown_labels": "count"}
MULTI = {"name": "classify", "text": "text", "label": "labels", "type": "multi"}
PAIR = {"name": "classify", "text": "sentence1", "text_pair": "sentence2", "label": "label"}
NER = {"name": "ner", "tokens": "tokens", "tags": "tags", "unknown_labels": "count"}
JOINT = {"name": "intent_slots", "intent": "label", "unknown_labels": "count"}
CHOICE = {
    "name": "choice",
    "context": "content",
    "blank": "#idiom#",
    "choices": "candidates",
    "answer": "answer",
}
PROMPT = {
    "name": "prompt",
    "pattern": "{text}。总的来说{mask}",
    "label": "label",
    "words": {"Positive": "好", "Negative": "差"},
}
SEARCH = {
    "name": "embedding",
    "anchor": "question",
    "positive": "context",
    "mask_duplicates": False,  # as sentence-transformers has it
}
ALIKE = {
    "name": "embedding",
    "anchor": "sentence1",
    "positive": "sentence2",
    "score": "label",
    "loss": "cosent",
    "max_score": 5,
}
MANY = {"most": 2000}  # classes
THREE = {"seeds": 3, "peer": True}
TAGS = {"epochs": 6, "rate": 3e-4}  # of so small a model: 1e-4 has not ended learning after 3
# multilingual-e5-small learns little at more than 1e-4: it needs steps.
TAGS_ZH = {"epochs": 4, "batch": 8}
LITERATURE = {
    split: {"path": str(sets.DATA / "relation/literature_zh" / folder), "format": "brat"}
    for split, folder in (("train", "Training"), ("test", "Testing"))
}

# Sets of the same kind have the same settings; only many classes and few rows ask for more.
ENTRIES = [
    Entry("sst2", "classification", ONE, "accuracy", scratch=True, **THREE),
    Entry("ag_news", "classification", ONE, "accuracy"),
    Entry("trec", "classification", ONE, "accuracy", **THREE),
    Entry("banking77", "classification", ONE, "accuracy", epochs=6, rate=2e-4, **MANY),
    Entry(
        "clinc150",
        "classification",
        ONE,
        "accuracy",
        epochs=10,
        rate=3e-4,
        note="150 intents and out of scope",
        **MANY,
    ),
    Entry("goemotions", "classification", MULTI, "micro_f1", epochs=10, rate=3e-4, **MANY),
    Entry("financial_phrasebank", "classification", ONE, "macro_f1"),
    Entry("chnsenticorp", "classification", ONE, "accuracy", "zh", epochs=2),
    Entry("waimai_10k", "classification", ONE, "accuracy", "zh"),
    Entry("thucnews_titles", "classification", ONE, "accuracy", "zh"),
    Entry("cola", "sentences and pairs", ONE, "mcc", note="tested on GLUE's dev"),
    Entry("rte", "sentences and pairs", PAIR, "accuracy", note="tested on GLUE's dev", **THREE),
    Entry("sick_relatedness", "sentences and pairs", {**PAIR, "type": "regression"}, "pearson"),
    Entry("sick_entailment", "sentences and pairs", PAIR, "accuracy"),
    Entry("snips", "intents and slots", JOINT, "exact_match", note="jointly", **TAGS, **THREE),
    Entry("atis", "intents and slots", JOINT, "exact_match", note="jointly", **TAGS),
    Entry("conll2003", "entities", NER, "f1", **TAGS),
    Entry("wnut17", "entities", NER, "f1", **TAGS, **THREE),
    Entry("resume_zh", "entities", NER, "f1", "zh"),
    Entry("weibo_zh", "entities", NER, "f1", "zh", **TAGS_ZH),
    Entry("cluener2020", "entities", NER, "f1", "zh", **TAGS_ZH, note="tested on its dev"),
    Entry(
        "semeval2010_task8",
        "relations",
        {"name": "relation", "text": "text", "relation": "relation"},
        "macro_f1",
        epochs=5,
        note="the official macro-F1",
        **THREE,
    ),
    Entry(
        "literature_zh",
        "relations",
        {
            "name": "relation",
            "max_distance": 5,
            "unknown_labels": "count",
            "class_weights": "inverse_sqrt",  # five of six pairs are not related
        },
        "macro_f1",
        "zh",
        length=64,
        data=LITERATURE,
        documents=16,
        note="pairs of entities up to 5 characters apart, which two thirds of the relations are",
    ),
    Entry(
        "cmrc2018",
        "questions",
        {"name": "qa", "scoring": "cmrc", "max_answer_length": 50, "stride": 64},
        "f1",
        "zh",
        epochs=2,
        rate=1e-4,
        length=384,
        batch=2,  # of so few rows steps enough
        most=600,
        note="trained on its dev, tested on its trial set",
        **THREE,
    ),
    Entry(
        "subjqa_restaurants",
        "questions",
        {"name": "qa", "stride": 128},
        "f1",
        epochs=2,
        length=384,
        batch=12,
        most=500,
    ),
    Entry("afqmc", "CLUE", {**PAIR, "text": "text", "text_pair": "pair"}, "accuracy", "zh"),
    Entry("tnews", "CLUE", ONE, "accuracy", "zh"),
    Entry("fewclue_tnews", "FewCLUE", ONE, "accuracy", "zh", epochs=10),
    Entry("fewclue_eprstmt", "FewCLUE", ONE, "accuracy", "zh", epochs=10),
    Entry("fewclue_csldcp", "FewCLUE", ONE, "accuracy", "zh", epochs=4, length=64),
    Entry("fewclue_iflytek", "FewCLUE", ONE, "accuracy", "zh", epochs=4, length=48),
    Entry("fewclue_bustm", "FewCLUE", PAIR, "accuracy", "zh", epochs=10),
    Entry("fewclue_ocnli", "FewCLUE", PAIR, "accuracy", "zh", epochs=10),
    Entry("fewclue_csl", "FewCLUE", PAIR, "accuracy", "zh", epochs=10, length=64),
    Entry("fewclue_cluewsc", "FewCLUE", PAIR, "accuracy", "zh", epochs=10),
    Entry(
        "fewclue_chid",
        "FewCLUE",
        CHOICE,
        "accuracy",
        "zh",
        epochs=2,
        batch=4,
        length=48,
        most=100,
        note="one of seven idioms",
        **THREE,
    ),
    Entry(
        "fewclue_eprstmt_prompt",
        "FewCLUE",
        PROMPT,
        "accuracy",
        "zh",
        epochs=10,
        rows="fewclue_eprstmt",
        note="by a pattern (PET), on a model without a head for masked words",
        **THREE,
    ),
    Entry(
        "fewclue_eprstmt_setfit",
        "FewCLUE",
        {"name": "setfit", "text": "text", "label": "label"},
        "accuracy",
        "zh",
        epochs=5,
        batch=32,
        rows="fewclue_eprstmt",
        note="by SetFit",
    ),
    Entry(
        "cmrc2018_search",
        "embeddings",
        SEARCH,
        "ndcg@10",
        "zh",
        epochs=1,
        batch=16,
        length=128,
        most=300,
        rows="cmrc2018",
        note="300 questions find their texts",
        peer=True,
        seeds=6,  # the spread of three is that of a few questions
    ),
    Entry(
        "xdailydialog_acts",
        "dialogue",
        {**ONE, "history": 3},
        "macro_f1",
        note="what a turn does, seen with three before it",
    ),
    Entry("xdailydialog_acts_alone", "dialogue", ONE, "macro_f1", note="the turn alone"),
    Entry("sick_similarity", "embeddings", ALIKE, "spearman", rows="sick_relatedness", batch=32),
]


# ---------------------------------------------------------------------------------------------------- what is kept


class Kept:
    """Runs that have ended, by entry, program and seed."""

    def __init__(self, path):
        self.path = path
        self.runs = json.loads(path.read_text()) if path.exists() else {}

    def find(self, entry, program, seed):
        run = self.runs.get(entry.name, {}).get(program, {}).get(str(seed))
        return run if run and run["key"] == entry.key() else None

    def all(self):
        return [
            run
            for programs in self.runs.values()
            for seeds in programs.values()
            for run in seeds.values()
        ]

    def store(self, entry, program, seed, run):
        with sets.updated(self.path) as self.runs:  # hone's and the peer's turn run side by side
            self.runs.setdefault(entry.name, {}).setdefault(program, {})[str(seed)] = run


def drawn(rows, most):
    """In their order, the same ones each time."""
    if len(rows) <= most:
        return rows
    return [rows[i] for i in sorted(random.Random(0).sample(range(len(rows)), most))]


def all_rows(entry):
    """(train, test) rows of the set."""
    return [sets.rows(entry.rows or entry.name, split) for split in ("train", "test")]


def cut(train, test, most, most_tested, steps):
    """At most so many of each; of a trial only a few."""
    if steps is not None:
        most, most_tested = 60, 30
    return drawn(train, most), drawn(test, most_tested)


def has_texts(row):
    """hone leaves a row with an empty text out, and names it; the peers would take it."""
    return all(value.strip() for value in row.values() if isinstance(value, str))


def rows_of(entry, steps):
    parts = cut(*all_rows(entry), entry.most, min(entry.most, MOST_TEST_ROWS), steps)
    return [list(filter(has_texts, part)) for part in parts]


def machine():
    name, flags = sets.processor()
    commit = ["git", "-C", str(sets.ROOT), "rev-parse", "--short", "HEAD"]
    return {
        "processor": name,
        "instructions": flags,
        "cores": len(os.sched_getaffinity(0)),
        "precision": sets.PRECISION,
        "system": platform.platform(),
        "commit": subprocess.run(
            commit, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


def versions():
    found = {}
    for package in ("torch", "transformers", "peft", "sentence-transformers", "trl"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


# ---------------------------------------------------------------------------------------------------- hone


def random_model(model, folder):
    """The same architecture and tokenizer without its weights; made by the peer's Python."""
    code = (
        "import sys, transformers as t; t.set_seed(0); source, folder = sys.argv[1:]; "
        "t.AutoModel.from_config(t.AutoConfig.from_pretrained(source)).save_pretrained(folder); "
        "t.AutoTokenizer.from_pretrained(source).save_pretrained(folder)"
    )
    python = sets.ROOT / ".venv-peers/bin/python"
    subprocess.run([str(python), "-c", code, str(model), str(folder)], check=True)
    return folder


def configuration(entry, seed, model, folder, steps):
    data = {
        split: {**asked, "path": str(first_documents(entry, split, asked["path"], folder))}
        for split, asked in (entry.data or {}).items()
    }
    if not data:
        for split, chosen in zip(("train", "test"), rows_of(entry, steps)):
            sets.write_jsonl(chosen, folder / f"{split}.jsonl")
            data[split] = {"path": str(folder / f"{split}.jsonl")}
    train = {**entry.settings(), "precision": sets.PRECISION, "seed": seed}
    if steps is not None:
        train["max_steps"] = steps
    return {
        "model": {"path": str(model)},
        "task": entry.task,
        "data": {**data, "leakage": "off"},
        "train": train,
        "output": {"dir": str(folder / "run")},
        **({"peft": entry.peft} if entry.peft else {}),
    }


def first_documents(entry, split, source, folder):
    """A folder of the first documents to train on; the whole one where all are asked for."""
    if not entry.documents or split == "test":
        return source
    kept = folder / split
    kept.mkdir(exist_ok=True)
    for document in sorted(pathlib.Path(source).glob("*.txt"))[: entry.documents]:
        for file in (document, document.with_suffix(".ann")):
            shutil.copy(file, kept)
    return kept


def run_hone(entry, seed, model, folder, steps):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(json.dumps(configuration(entry, seed, model, folder, steps)))  # JSON is YAML
    command = [PROGRAM, "train", str(path), "--quiet", "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    report = json.loads((folder / "run/report.json").read_text())
    shutil.rmtree(folder)  # a model of half a gigabyte each
    return {
        "score": report["metrics"][entry.metric],
        "interval": report.get("intervals", {}).get(entry.metric),
        "test_rows": report["n"],
        "seconds": report["timing"]["train_seconds"],
    }


def run_one(entry, program, seed, arguments):
    model = entry.model(arguments)
    folder = arguments.work / entry.name / f"{program}-{seed}"
    if program == "peer":
        import results_peer

        return results_peer.run(
            entry, seed, model, *rows_of(entry, arguments.steps), arguments.steps
        )
    if program == "scratch":
        folder.mkdir(parents=True, exist_ok=True)
        model = random_model(model, folder / "random")
    return run_hone(entry, seed, model, folder, arguments.steps)


def turns(entry, is_peer):
    """(program, seed) of all runs of an entry."""
    if is_peer:
        return [("peer", seed) for seed in range(1, entry.seeds + 1)] if entry.peer else []
    found = [("hone", seed) for seed in range(1, entry.seeds + 1)]
    return found + ([("scratch", 1)] if entry.scratch else [])


def measure(entries, kept, arguments):
    """How many runs failed."""
    failed = 0
    for entry in entries:
        for program, seed in turns(entry, arguments.peer):
            if kept.find(entry, program, seed):
                continue
            started = time.time()
            try:
                run = run_one(entry, program, seed, arguments)
            except Exception as error:  # the others are still worth their time
                print(f"{entry.name} {program} seed {seed}: FAILED: {error}", flush=True)
                failed += 1
                continue
            told = {"key": entry.key(), "machine": machine(), "versions": versions()}
            kept.store(entry, program, seed, {**run, **told})
            print(
                f"{entry.name} {program} seed {seed}: {entry.metric} {run['score']:.4f}, "
                f"{time.time() - started:.0f} s",
                flush=True,
            )
    return failed


# ---------------------------------------------------------------------------------------------------- the page


def shown(runs):
    return sets.mean_and_spread([100 * run["score"] for run in runs])


def runs_of(kept, entry, program):
    """Of the seeds that the entry asks for, those that have ended."""
    found = (kept.find(entry, program, seed) for seed in range(1, entry.seeds + 1))
    return [run for run in found if run]


def compared(kept, entry):
    """Whether hone's mean is the peer's within both spreads, or better."""
    scores = ([r["score"] for r in runs_of(kept, entry, p)] for p in ("hone", "peer"))
    return {None: "", True: "yes", False: "**no**"}[sets.is_as_good(*scores)]


def measured_on(runs):
    """Each processor once, with the last commit measured on it."""
    newest = {}
    for told in sorted((run["machine"] for run in runs), key=lambda told: told["date"]):
        newest[told["processor"], told["precision"]] = told
    return " and on ".join(
        f"{told['processor']} with products in {told['precision']}, {told['system']}, hone {told['commit']}, {told['date']}"
        for told in newest.values()
    )


def group_table(kept, group, entries):
    lines = [
        f"\n## {group[0].upper()}{group[1:]}\n",
        "| set | score | hone | test rows | epochs, rate, batch, length | note |",
        "|---|---|---|---|---|---|",
    ]
    for entry in (e for e in entries if e.group == group):
        runs = runs_of(kept, entry, "hone")
        rows = f"{runs[0]['test_rows']:,}" if runs else ""
        settings = f"{entry.epochs:g}, {entry.rate:g}, {entry.batch}, {entry.length}"
        lines.append(
            f"| {entry.name} | {entry.metric} | {shown(runs)} | {rows} | {settings} | {entry.note} |"
        )
    return lines


def page(kept, entries):
    runs = [
        run for e in entries for program in ("hone", "peer") for run in runs_of(kept, e, program)
    ]
    if not runs:
        sys.exit("nothing is measured yet")
    packages = max((run["versions"] for run in runs), key=len)
    lines = [
        "# Results\n",
        "What small models reach on the sets at hand, written by `bench/results.py`; no number here was typed. English sets are fine-tuned from all-MiniLM-L6-v2 (22 M weights),",
        f"others from multilingual-e5-small (118 M). At most {MOST_ROWS:,} training rows (2,000 of sets with many classes) and {MOST_TEST_ROWS:,} test rows, drawn once; the weights after the last step; a kind of set has its settings, which were not searched. Scores are in percent; where several",
        "seeds ran, their mean and standard deviation. Times are not told: runs stood side by side (docs/performance.md has speed). So few rows and so small a model are no match for published scores on whole sets: the point is that all runs, and that it",
        "does as well as the same model elsewhere.\n",
        f"Measured on {measured_on(runs)}; "
        + ", ".join(f"{name} {version}" for name, version in packages.items())
        + ".",
    ]
    for group in dict.fromkeys(entry.group for entry in entries):
        lines += group_table(kept, group, entries)
    lines += [
        "\n## Beside Transformers\n",
        'The same rows, hyper-parameters and seeds. "Within the spread": hone\'s mean is no further below the other than both standard deviations together.\n',
        "| set | score | hone | Transformers | within the spread or better |",
        "|---|---|---|---|---|",
    ]
    for entry in (e for e in entries if e.peer):
        lines.append(
            f"| {entry.name} | {entry.metric} | {shown(runs_of(kept, entry, 'hone'))} | {shown(runs_of(kept, entry, 'peer'))} | {compared(kept, entry)} |"
        )
    lines += [
        "\n## Fine-tuned and from random weights\n",
        "| set | score | fine-tuned | the same model from random weights |",
        "|---|---|---|---|",
    ]
    for entry in (e for e in entries if e.scratch):
        scratch = kept.find(entry, "scratch", 1)
        lines.append(
            f"| {entry.name} | {entry.metric} | {shown(runs_of(kept, entry, 'hone'))} | {shown([scratch] if scratch else [])} |"
        )
    import adapter_scores  # these have the entries' settings
    import answers
    import craft
    import from_scratch
    import optimizers
    import seq2seq

    lines += answers.lines_of(Kept(answers.results_file()))
    lines += craft.lines_of(craft.Kept(craft.results_file()))
    lines += optimizers.lines_of(optimizers.results_file())
    lines += adapter_scores.lines_of(Kept(adapter_scores.results_file()))
    lines += from_scratch.lines_of(from_scratch.load())
    lines += seq2seq.lines_of(seq2seq.kept())
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE}")


def results_file():
    return sets.SCORES / "results.json"


def write_page():
    page(Kept(results_file()), ENTRIES)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names of entries, with commas between them")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--list", action="store_true", help="names of all entries")
    parser.add_argument("--steps", type=int, help="a trial of so many steps")
    parser.add_argument(
        "--multilingual", type=pathlib.Path, default=sets.ROOT / "models/multilingual-e5-small"
    )
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/hone-results"))
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else [e.name for e in ENTRIES]
    unknown = set(wanted) - {e.name for e in ENTRIES}
    if unknown:
        parser.error(f"no entry {', '.join(sorted(unknown))}; --list names all")
    entries = [e for e in ENTRIES if e.name in wanted]
    if arguments.list:
        return print("\n".join(e.name for e in ENTRIES))
    is_trial = arguments.steps is not None
    kept = Kept(arguments.work / "trial.json" if is_trial else results_file())
    if arguments.page:
        return write_page()
    if not sets.DATA.exists():
        sys.exit(f"skipped: no data sets in {sets.DATA}")
    if any(e.language != "en" for e in entries) and not arguments.multilingual.exists():
        sys.exit(
            f"no multilingual model in {arguments.multilingual}; name its folder: --multilingual FOLDER"
        )
    print(json.dumps({**machine(), "versions": versions()}), flush=True)
    failed = measure(entries, kept, arguments)
    if not is_trial and not arguments.peer:
        write_page()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
