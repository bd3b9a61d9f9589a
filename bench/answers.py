"""What models that write are worth after training: hone, TRL and the untuned model, SmolLM2-135M-Instruct, over several seeds.

    python bench/answers.py losses [--sets …] [--seeds 1 2 3]      mean loss of held-out answers
    python bench/answers.py summaries [--sets …] [--rows N]        ROUGE-L of summaries beside LEAD and the untuned model
    python bench/answers.py table                                  all that was measured, as Markdown

Losses of all models are measured by one program, Transformers in fp32 (bench/peer_sft.py). Both train with the same rows, batch, rate and schedule; the order
of rows is each program's own. Results are kept in bench/results/answers.json, one entry per (program, set, seed); runs that are there are not repeated.
"""

import argparse
import json
import random
import re
import statistics

import sets
from decoders import FOLDER, rows_file, smollm2
from workers import HONE, PeerWorker, hone_train, run_measured, say

RESULTS = sets.ROOT / "bench" / "results" / "answers.json"
BATCH, RATE, WARMUP, LENGTH = 8, 1e-4, 10, 512
LOSS_SETS = ("alpaca_en", "xdailydialog_en")
SUMMARY_SETS = {"scitldr": 48, "dialogsum": 64}  # tokens of an answer


def load():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(results, key, value):
    results[key] = value
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    say(f"{key}: {json.dumps(value)[:200]}")


def split_file(name, split, most=None):
    """Of a long split `most` rows, drawn by a fixed seed."""
    rows = sets.rows(name, split)
    if most and len(rows) > most:
        rows = random.Random(7).sample(rows, most)
    return rows_file(rows, f"{name}.{split}"), rows


def job_of(name, seed):
    path, rows = split_file(name, "train")
    return {
        "model": str(smollm2()),
        "rows": str(path),
        "task": "causal_lm",
        "batch": BATCH,
        "max_length": LENGTH,
        "learning_rate": RATE,
        "packing": False,
        "precision": "fp32",
        "schedule": "cosine",
        "warmup": WARMUP,
        "seed": seed,
        "steps": -(-len(rows) // BATCH),
        "answers": {"max_new_tokens": SUMMARY_SETS.get(name, 128)},
    }


def train_hone(name, seed, **options):
    """The folder of a model that one epoch made."""
    job = job_of(name, seed)
    folder = FOLDER / "runs" / f"answers-{name}-{seed}"
    settings = {
        "seed": seed,
        "weight_decay": 0.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP,
        "precision": "fp32",
        **options,
    }
    hone_train(job, folder, settings.pop("steps", job["steps"]), skipped=0, **settings)
    return folder / "model"


def untuned(name):
    """The model as it comes, in hone's folder."""
    return train_hone(name, 0, steps=1, learning_rate=1e-12)


def held_out(model, name):
    path, _ = split_file(name, "test", 200)
    job = dict(job_of(name, 0), model=str(model))
    with PeerWorker(job, "peer_sft.py") as peer:
        return peer.ask("loss", rows=str(path))["loss"]


def losses(names, seeds):
    results = load()
    for name in names:
        if f"untuned {name}" not in results:
            keep(results, f"untuned {name}", {"loss": held_out(smollm2(), name)})
        for seed in seeds:
            if f"hone {name} {seed}" not in results:
                loss = held_out(train_hone(name, seed), name)
                keep(results, f"hone {name} {seed}", {"loss": loss})
            if f"trl {name} {seed}" not in results:
                keep(results, f"trl {name} {seed}", {"loss": trl_loss(name, seed)})


def trl_loss(name, seed):
    path, _ = split_file(name, "test", 200)
    job = job_of(name, seed)
    with PeerWorker(job, "peer_sft.py") as peer:
        peer.ask("train", steps=job["steps"])
        return peer.ask("loss", rows=str(path))["loss"]


# ---------------------------------------------------------------------------------------------------- summaries


def rouge_of(answers, rows):
    """ROUGE-L of each row, the best over its references."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(scorer.score(reference, answer)["rougeL"].fmeasure for reference in row["references"])
        for answer, row in zip(answers, rows, strict=True)
    ]


def lead(row):
    """The first sentence of what is to be summarized; of a dialogue its first turn."""
    text = row["messages"][0]["content"].split("\n\n", 1)[1]
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]


def written(model, rows_path):
    lines = run_measured([HONE, "predict", model, rows_path])["out"].splitlines()
    return [json.loads(line)["answer"] for line in lines]


def interval(differences, draws=2000):
    """95 %, rows drawn anew."""
    choose = random.Random(1)
    means = sorted(
        statistics.fmean(choose.choices(differences, k=len(differences))) for _ in range(draws)
    )
    return [means[int(0.025 * draws)], means[int(0.975 * draws) - 1]]


def summaries(names, most):
    results = load()
    for name in names:
        path, rows = split_file(name, "test", most)
        scores = {"lead": rouge_of([lead(row) for row in rows], rows)}
        scores["untuned"] = rouge_of(written(untuned(name), path), rows)
        scores["hone"] = rouge_of(written(train_hone(name, 1), path), rows)
        found = {who: statistics.fmean(values) for who, values in scores.items()}
        for other in ("lead", "untuned"):
            gains = [a - b for a, b in zip(scores["hone"], scores[other])]
            found[f"gain over {other}"] = interval(gains)
        keep(results, f"rougeL {name}", dict(found, rows=len(rows)))


# ---------------------------------------------------------------------------------------------------- all of it


def spread_of(results, prefix):
    found = [value["loss"] for key, value in results.items() if key.startswith(prefix)]
    if not found:
        return "not run"
    return f"{statistics.fmean(found):.4f} ({min(found):.4f} to {max(found):.4f})"


def table():
    results = load()
    print("| set | untuned | hone | TRL |\n|---|---|---|---|")
    for name in LOSS_SETS:
        shown = [spread_of(results, f"{who} {name} ") for who in ("hone", "trl")]
        untuned_loss = results.get(f"untuned {name}", {}).get("loss", float("nan"))
        print(f"| {name} | {untuned_loss:.4f} | {' | '.join(shown)} |")
    print(
        "\n| set | LEAD | untuned | hone | gain over LEAD | over untuned |\n|---|---|---|---|---|---|"
    )
    for name in SUMMARY_SETS:
        r = results.get(f"rougeL {name}")
        if r:
            gains = [
                f"{low:.4f} to {high:.4f}"
                for low, high in (r["gain over lead"], r["gain over untuned"])
            ]
            print(
                f"| {name} | {r['lead']:.4f} | {r['untuned']:.4f} | {r['hone']:.4f} | {' | '.join(gains)} |"
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=("losses", "summaries", "table"))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    if options.do == "losses":
        losses(options.sets or LOSS_SETS, options.seeds)
    elif options.do == "summaries":
        summaries(options.sets or SUMMARY_SETS, options.rows)
    else:
        table()


if __name__ == "__main__":
    main()
