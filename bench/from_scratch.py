"""Translation and summarization from random weights: what hone alone reaches, and in what time. Runs with .venv-peers/bin/python.

    python bench/from_scratch.py [--only multi30k-en-de …]     what is not measured yet; a run that was stopped goes on
    python bench/from_scratch.py --steps 5                     a trial; kept apart
    python bench/from_scratch.py --table                       what was measured, as Markdown (bench/results.py --page has it in docs/results.md)

Each cell learns a tokenizer from its own training rows and trains a Marian model on them. Translations are those of the mean of the last
checkpoints, beam 5, scored by sacrebleu (BLEU 13a, cased; chrF) beside a copy: the target of the training row whose source is nearest by
character n-grams. Summaries are those of the test rows that bench/answers.py draws, scored as it scores a decoder's. Results:
bench/results/from_scratch.json, with the machine of each run.

The shape is the "tiny" one that Wu et al. 2021 (Good for Misconceived Reasons, https://arxiv.org/abs/2105.14462) have for Multi30k: 4 + 4 layers, 128
wide, feed-forward 256, 4 heads, one table of words; dropout 0.3, warm-up, the mean of ten checkpoints and beam 5 are theirs too. Rate, steps, label
smoothing and vocabulary are ours.
"""

import argparse
import dataclasses
import hashlib
import json
import random
import shutil
import statistics

import answers
import results
from sets import DATA, PRECISION, ROOT, SCORES, mean_and_spread, rows, updated
from workers import HONE, run_measured, say

FOLDER = ROOT / "build" / "bench" / "from_scratch"
FILE = SCORES / "from_scratch.json"
PAD, END, BEAMS = 0, 1, 5
MODEL = {
    "model_type": "marian",
    "d_model": 128,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 256,
    "decoder_ffn_dim": 256,
    "activation_function": "relu",
    "dropout": 0.3,
    "scale_embedding": True,
    "init_std": 0.088,  # 1 / sqrt(d_model): words that are scaled have a deviation of 1
    "pad_token_id": PAD,
    "eos_token_id": END,
    "decoder_start_token_id": PAD,
}


@dataclasses.dataclass(frozen=True)
class Cell:
    name: str
    goal: str = "translation"
    pieces: int = 8000
    epochs: int = 60
    rate: float = 4e-3
    warmup: int = 2000
    batch: int = 8192  # tokens of both sides
    length: int = 128  # of source and target
    answer: int = 100  # tokens at most
    analyzer: str = "char_wb"  # of the copy
    note: str = ""

    def key(self):
        """Changes where a run of this cell would be another one."""
        told = [dataclasses.asdict(self), MODEL, BEAMS]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


CELLS = [
    Cell("multi30k-en-de", note="test_2016_flickr"),
    Cell("multi30k-de-en", note="test_2016_flickr"),
    Cell(
        "tatoeba-zh-en", epochs=40, warmup=1000, batch=4096, analyzer="char",
        note="1,000 Chinese sentences drawn once, with all their translations",
    ),
    Cell(
        "scitldr", "summarization", pieces=6000, epochs=30, rate=2e-3, warmup=500, length=512, answer=48,
        note="one sentence of an abstract",
    ),
    Cell(
        "dialogsum", "summarization", pieces=4000, epochs=40, rate=2e-3, warmup=200, batch=4096, length=512, answer=64,
        note="500 training rows (its dev)",
    ),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- rows


def multi30k(source, target):
    def read(split):
        sides = (
            DATA / "translation/multi30k_en_de" / f"{split}.{side}" for side in (source, target)
        )
        lines = (side.read_text(encoding="utf-8").splitlines() for side in sides)
        return [{"source": a, "target": [b]} for a, b in zip(*lines, strict=True)]

    return read("train"), read("test_2016_flickr")


def tatoeba():
    """No sentence of a test row, on either side, stands in a training row."""
    path = DATA / "translation/tatoeba_en_zh/cmn.txt"
    pairs = [line.split("\t")[:2] for line in path.read_text(encoding="utf-8").splitlines()]
    sources = sorted({chinese for _, chinese in pairs})
    chosen = set(random.Random(7).sample(sources, 1000))
    references = {}
    for english, chinese in pairs:
        if chinese in chosen:
            references.setdefault(chinese, []).append(english)
    known = {english for all_of in references.values() for english in all_of}
    train = [
        {"source": chinese, "target": [english]}
        for english, chinese in pairs
        if chinese not in chosen and english not in known
    ]
    return train, [{"source": source, "target": all_of} for source, all_of in references.items()]


def decoder_entry(name):
    """The decoder's turn on the same set."""
    return next(entry for entry in answers.ENTRIES if entry.name == name)


def summaries(name):
    """The test rows are the decoder's, with what bench/answers.py reads of them."""

    def pair(row):
        return {
            "source": row["messages"][0]["content"].split("\n\n", 1)[1],
            "target": row["references"],
        }

    tested = answers.rows_of(decoder_entry(name), "test", steps=None)
    return [pair(row) for row in rows(name, "train")], [{**row, **pair(row)} for row in tested]


def rows_of(cell):
    if cell.goal == "summarization":
        return summaries(cell.name)
    if cell.name == "tatoeba-zh-en":
        return tatoeba()
    return multi30k(*cell.name.split("-")[1:])


def write_rows(path, given):
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in given)
    return path


# ---------------------------------------------------------------------------------------------------- a run


def blank(cell, folder, train):
    """A folder with the tokenizer and the configuration of a model, no weights."""
    model = folder / "blank"
    if (model / "config.json").exists():
        return model
    shutil.rmtree(model, ignore_errors=True)
    texts = folder / "texts.jsonl"
    write_rows(texts, ({"text": text} for row in train for text in (row["source"], *row["target"])))
    run_measured(
        [
            HONE, "tokenizer", "train", model, texts, "algorithm=unigram", f"vocab_size={cell.pieces}",
            "special_tokens=[<pad>,</s>,<unk>]",
        ]
    )  # fmt: skip
    pieces = len(json.loads((model / "tokenizer.json").read_text())["model"]["vocab"])
    config = {**MODEL, "vocab_size": pieces, "max_position_embeddings": cell.length}
    (model / "config.json").write_text(json.dumps(config, indent=1))
    return model


def configuration(cell, folder, model, steps):
    return {
        "model": {"path": str(model), "init": "random"},
        "task": {
            "name": "seq2seq",
            "goal": cell.goal,
            "metrics": [],
            "max_source_length": cell.length,
            "max_target_length": cell.length,
            "max_new_tokens": cell.answer,
            "num_beams": BEAMS,
        },
        "data": {"train": {"path": str(folder / "train.jsonl")}, "leakage": "off"},
        "train": {
            "num_train_epochs": cell.epochs,
            "max_tokens_per_batch": cell.batch,
            "learning_rate": cell.rate,
            "lr_scheduler_type": "inverse_sqrt",
            "warmup_steps": cell.warmup,
            "label_smoothing_factor": 0.1,
            "adam_beta2": 0.98,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "logging_steps": 1,
            "save_strategy": "epoch",
            "eval_strategy": "no",
            "load_best_model_at_end": False,
            "seed": 1,
            "device": "cpu",
            "precision": PRECISION,
            **({"max_steps": steps} if steps else {}),
        },
        "regularise": {"average": {"last": 10}},
        "output": {"dir": str(folder / "run")},
    }


def train(cell, folder, steps):
    """Goes on where it was stopped. Returns what its own metrics say of all steps."""
    given, tested = rows_of(cell)
    if steps:
        given, tested = given[:2000], tested[:20]
    write_rows(folder / "train.jsonl", given)
    write_rows(folder / "test.jsonl", ({k: row[k] for k in ("source", "target")} for row in tested))
    config = folder / "run.yaml"
    config.write_text(json.dumps(configuration(cell, folder, blank(cell, folder, given), steps)))
    if not (folder / "run/model/model.safetensors").exists():
        run_measured([HONE, "train", config, "--resume"])
    lines = map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines())
    taken = [line for line in lines if line["event"] == "step"]
    return tested, {
        "train_rows": len(given),
        "steps": taken[-1]["step"],
        "tokens": sum(line["tokens"] for line in taken),
        "seconds": sum(line["seconds"] for line in taken),
    }


def written(folder):
    run = run_measured([HONE, "predict", folder / "run/model", folder / "test.jsonl"])
    return [json.loads(line)["target"] for line in run["out"].splitlines()], run["wall"]


def copies(cell, folder, tested):
    """Of each test row the first target of the training row whose source is the nearest."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    given = [json.loads(line) for line in (folder / "train.jsonl").open(encoding="utf-8")]
    vectors = TfidfVectorizer(
        analyzer=cell.analyzer, ngram_range=(1, 4), lowercase=False, sublinear_tf=True
    )
    known = vectors.fit_transform(row["source"] for row in given)
    asked = vectors.transform(row["source"] for row in tested)
    return [given[(asked[i] @ known.T).toarray().argmax()]["target"][0] for i in range(len(tested))]


def translation_scores(texts, tested):
    import sacrebleu

    most = max(len(row["target"]) for row in tested)
    references = [
        [row["target"][i] if i < len(row["target"]) else None for row in tested]
        for i in range(most)
    ]
    return {
        "bleu": sacrebleu.corpus_bleu(texts, references).score,
        "chrf": sacrebleu.corpus_chrf(texts, references).score,
    }


def summary_scores(texts, tested):
    return {"rougeL": 100 * statistics.fmean(answers.rouge_of(texts, tested))}


def best_lead(tested):
    """As bench/answers.py has it: as many sentences as score best on these very rows."""
    found = {
        count: summary_scores([answers.lead(row, count) for row in tested], tested)
        for count in range(1, answers.LEAD_MOST + 1)
    }
    count = max(found, key=lambda count: found[count]["rougeL"])
    return {**found[count], "sentences": count}


def scores_of(cell, folder, texts, tested):
    """Of hone, and of what stands beside it."""
    if cell.goal == "summarization":
        return {"hone": summary_scores(texts, tested), "lead": best_lead(tested)}
    return {
        "hone": translation_scores(texts, tested),
        "copy": translation_scores(copies(cell, folder, tested), tested),
    }


def measure(cell, steps=None, folder=FOLDER):
    folder = folder / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    tested, told = train(cell, folder, steps)
    texts, seconds = written(folder)
    return {
        "key": cell.key(),
        "machine": results.machine(),
        **told,
        "test_rows": len(tested),
        "predict_seconds": seconds,
        **scores_of(cell, folder, texts, tested),
    }


# ---------------------------------------------------------------------------------------------------- what is kept


def load(file=FILE):
    return json.loads(file.read_text()) if file.exists() else {}


def is_measured(cell, found):
    """Summaries that were scored on other rows than the decoder's are written again; their training is not made again."""
    has_rows = cell.goal == "translation" or "sentences" in found.get("lead", {})
    return found.get("key") == cell.key() and has_rows


def measure_all(names, steps=None):
    """Cells that are not measured yet, or were with other settings."""
    file = FOLDER / "trial" / "from_scratch.json" if steps else FILE
    for cell in (cell for cell in CELLS if cell.name in names):
        if is_measured(cell, load(file).get(cell.name, {})):
            continue
        folder = FOLDER / "trial" if steps else FOLDER / cell.key()
        found = measure(cell, steps, folder)
        with updated(file) as kept:
            kept[cell.name] = found
        say(f"{cell.name}: {json.dumps(found)}")


def model_folder(name):
    """The trained model of a cell that was measured."""
    cell = next(cell for cell in CELLS if cell.name == name)
    return FOLDER / cell.key() / name / "run" / "model"


def decoder_score(name):
    """ROUGE-L of what SmolLM2-135M wrote for the same test rows after fine-tuning (bench/answers.py)."""
    kept = results.Kept(answers.results_file())
    runs = answers.found_runs(kept, decoder_entry(name), "hone")
    return mean_and_spread([100 * answers.value_of(run) for run in runs])


def translation_row(cell, run):
    scores = [run[who][score] for who in ("hone", "copy") for score in ("bleu", "chrf")]
    told = f"{run['train_rows']:,}, {run['tokens'] / 1e6:.1f} million, {run['seconds'] / 60:.0f} on {run['machine']['cores']}"
    return (
        f"| {cell.name} | {' | '.join(f'{score:.1f}' for score in scores)} | {told} | {cell.note} |"
    )


def summarization_row(cell, run):
    lead = f"{run['lead']['rougeL']:.1f} ({run['lead']['sentences']})"
    told = f"{run['train_rows']:,}, {run['test_rows']:,} | {run['seconds'] / 60:.0f}"
    return f"| {cell.name} | {run['hone']['rougeL']:.1f} | {lead} | {decoder_score(cell.name)} | {told} | {cell.note} |"


TABLES = {
    "translation": (
        translation_row,
        "`bench/from_scratch.py`: a tokenizer and a Marian model of 4 + 4 layers, 128 wide, learned from the training rows alone; the mean of the last ten checkpoints, beam 5, sacrebleu (BLEU 13a, cased). "
        "The copy is the target of the training row whose source is nearest by character n-grams.",
        "| set | BLEU | chrF | BLEU of the copy | chrF of the copy | training rows, tokens, minutes and cores | test |",
    ),
    "summarization": (
        summarization_row,
        "The same model; so few rows teach it next to nothing, which is what is shown. ROUGE-L (stemmed, the best over a row's references) on the test rows of `bench/answers.py`; LEAD has as many sentences as score best on them.",
        "| set | from random weights | LEAD (sentences) | SmolLM2-135M fine-tuned | rows: train, test | minutes | |",
    ),
}


def lines_of(found):
    """Tables for docs/results.md; none where nothing was measured."""
    lines = []
    for goal, (row_of, told, head) in TABLES.items():
        cells = [
            (cell, found[cell.name])
            for cell in CELLS
            if cell.goal == goal and is_measured(cell, found.get(cell.name, {}))
        ]
        if cells:
            machines = results.measured_on(run for _, run in cells)
            lines += [
                f"\n## From random weights: {goal}\n",
                f"{told} Measured on {machines}.\n",
                head,
                "|---" * (head.count("|") - 1) + "|",
                *(row_of(cell, run) for cell, run in cells),
            ]
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [cell.name for cell in CELLS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        measure_all(options.only, options.steps)
    print(
        "\n".join(lines_of(load(FOLDER / "trial" / "from_scratch.json" if options.steps else FILE)))
    )


if __name__ == "__main__":
    main()
