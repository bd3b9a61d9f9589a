"""Quality on real data: hone and Transformers with the same weights, rows and hyper-parameters, over several seeds.

    python bench/quality.py peer [--sets …] [--seeds 1 2 3]    Transformers (run with .venv-peers/bin/python)
    python bench/quality.py peer-random [--sets …]             the same, batches in random order instead of by length
    python bench/quality.py peer-bf16 [--sets …]               the same, by length, with autocast to bf16
    python bench/quality.py peer-random-bf16 [--sets …]        the same, in random order, with autocast to bf16
    python bench/quality.py hone [--sets …] [--seeds 1 2 3]    hone (build/release/hone) in fp32
    python bench/quality.py hone-bf16 [--sets …]               the same trained in bf16; then its model evaluated in int8 too
    python bench/quality.py table                              all, as a Markdown table

Chinese sets begin from multilingual-e5-small (build/bench/models, made by ../shared/weights), English ones from MiniLM-L6.
Results are kept in bench/results/quality.json, one entry per (program, set, seed); runs that are there are not repeated.
"""

import argparse
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import sets

RESULTS = sets.ROOT / "bench" / "results" / "quality.json"
COMMON = {
    "per_device_train_batch_size": 32,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_seq_length": 128,
    "max_grad_norm": 1.0,
}

# metric: the report's name of the score that is compared. rows: of the training data, drawn by a fixed seed; else all.
SETS = {
    "sst2": {
        "task": "classify",
        "splits": ("train", "test"),
        "epochs": 1,
        "learning_rate": 5e-5,
        "metric": "accuracy",
    },
    "banking77": {
        "task": "classify",
        "splits": ("train", "test"),
        "epochs": 2,
        "learning_rate": 2e-4,
        "metric": "accuracy",
    },
    "trec": {
        "task": "classify",
        "splits": ("train", "test"),
        "epochs": 2,
        "learning_rate": 1e-4,
        "metric": "accuracy",
    },
    "goemotions": {
        "task": "multi",
        "splits": ("train", "test"),
        "epochs": 3,
        "learning_rate": 1e-4,
        "metric": "micro_f1",
        "batch": 16,
    },
    "conll2003": {
        "task": "ner",
        "splits": ("train", "test"),
        "epochs": 1,
        "learning_rate": 1e-4,
        "metric": "f1",
    },
    "wnut17": {
        "task": "ner",
        "splits": ("train", "test"),
        "epochs": 2,
        "learning_rate": 1e-4,
        "metric": "f1",
    },
    "waimai_10k": {
        "task": "classify",
        "model": "e5",
        "splits": ("train", "test"),
        "rows": 4000,
        "epochs": 1,
        "learning_rate": 1e-4,
        "metric": "accuracy",
    },
    "chnsenticorp": {
        "task": "classify",
        "model": "e5",
        "splits": ("train", "test"),
        "rows": 1600,
        "epochs": 1,
        "learning_rate": 1e-4,
        "metric": "accuracy",
    },
    "afqmc": {
        "task": "classify",
        "model": "e5",
        "splits": ("train", "test"),
        "rows": 8000,
        "epochs": 2,
        "learning_rate": 5e-5,
        "metric": "accuracy",
    },
    "resume_zh": {
        "task": "ner",
        "model": "e5",
        "splits": ("train", "test"),
        "rows": 1000,
        "epochs": 2,
        "learning_rate": 2e-4,
        "metric": "f1",
        "batch": 16,
        "max_seq_length": 256,  # a character takes two tokens, and only hone cuts into windows
    },
}
MODELS = {
    "minilm": sets.MINILM,
    "e5": sets.ROOT / "build" / "bench" / "models" / "multilingual-e5-small",
}


def model_of(spec):
    return MODELS[spec.get("model", "minilm")]


def rows_of(name, split):
    """Of the split that is trained on no more than the set's `rows`."""
    spec, rows = SETS[name], sets.rows(name, split)
    is_cut = split == spec["splits"][0] and len(rows) > spec.get("rows", len(rows))
    return random.Random(7).sample(rows, spec["rows"]) if is_cut else rows


def longest_of(spec):
    return spec.get("max_seq_length", COMMON["max_seq_length"])


def batch_of(spec):
    return spec.get("batch", COMMON["per_device_train_batch_size"])


def load_results():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def store(program, name, seed, entry):
    results = load_results()
    results.setdefault(program, {}).setdefault(name, {})[str(seed)] = entry
    RESULTS.parent.mkdir(exist_ok=True)
    temporary = RESULTS.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    temporary.replace(RESULTS)


# ---------------------------------------------------------------------------------------------------- Transformers


def encode_classify(rows, tokenizer, labels, is_multi, longest):
    fields = ("sentence1", "sentence2") if "sentence1" in rows[0] else ("text",)
    texts = [[row[field] for row in rows] for field in fields]
    encoded = tokenizer(*texts, truncation=True, max_length=longest)
    for index, row in enumerate(rows):
        if is_multi:
            target = [1.0 if label in row["labels"] else 0.0 for label in labels]
        else:
            target = labels.index(row["label"])
        yield {"input_ids": encoded["input_ids"][index], "labels": target}


def encode_ner(rows, tokenizer, labels, longest):
    """The alignment of Transformers' own example: the first sub-word of a token carries its tag."""
    for row in rows:
        encoded = tokenizer(
            row["tokens"],
            is_split_into_words=True,
            truncation=True,
            max_length=longest,
        )
        previous, target = None, []
        for word in encoded.word_ids():
            target.append(
                labels.index(row["tags"][word]) if word is not None and word != previous else -100
            )
            previous = word
        yield {"input_ids": encoded["input_ids"], "labels": target, "words": encoded.word_ids()}


def pad(samples, pad_id, is_ner, torch):
    length = max(len(sample["input_ids"]) for sample in samples)
    ids = torch.tensor(
        [s["input_ids"] + [pad_id] * (length - len(s["input_ids"])) for s in samples]
    )
    mask = torch.tensor(
        [[1] * len(s["input_ids"]) + [0] * (length - len(s["input_ids"])) for s in samples]
    )
    if is_ner:
        labels = torch.tensor([s["labels"] + [-100] * (length - len(s["labels"])) for s in samples])
    else:
        labels = torch.tensor([s["labels"] for s in samples])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def score_peer(task, rows, samples, logits, labels, metric):
    if task == "ner":
        from seqeval.metrics import f1_score

        predicted = []
        for row, sample, output in zip(rows, samples, logits):
            tags, seen = ["O"] * len(row["tokens"]), set()
            for position, word in enumerate(sample["words"]):
                if word is not None and word not in seen:
                    seen.add(word)
                    tags[word] = labels[int(output[position].argmax())]
            predicted.append(tags)
        return f1_score([row["tags"] for row in rows], predicted)
    from sklearn.metrics import accuracy_score, f1_score

    if task == "multi":
        gold = [[int(x) for x in sample["labels"]] for sample in samples]
        return f1_score(
            gold,
            [[int(x > 0) for x in output] for output in logits],
            average="micro",
            zero_division=0,
        )
    return accuracy_score(
        [sample["labels"] for sample in samples], [int(output.argmax()) for output in logits]
    )


def run_peer(name, seed, groups_lengths=True, precision="fp32"):
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
        get_scheduler,
        set_seed,
    )
    from transformers.trainer_pt_utils import LengthGroupedSampler

    spec = SETS[name]
    task, is_ner = spec["task"], spec["task"] == "ner"
    set_seed(seed)
    train_rows, test_rows = (rows_of(name, split) for split in spec["splits"])
    key = {
        "classify": lambda r: [r["label"]],
        "multi": lambda r: r["labels"],
        "ner": lambda r: r["tags"],
    }[task]
    labels = sorted({label for row in train_rows for label in key(row)})
    tokenizer = AutoTokenizer.from_pretrained(model_of(spec))
    kind = AutoModelForTokenClassification if is_ner else AutoModelForSequenceClassification
    options = {"problem_type": "multi_label_classification"} if task == "multi" else {}
    model = kind.from_pretrained(model_of(spec), num_labels=len(labels), **options)
    encode = (
        (lambda r: list(encode_ner(r, tokenizer, labels, longest_of(spec))))
        if is_ner
        else (
            lambda r: list(encode_classify(r, tokenizer, labels, task == "multi", longest_of(spec)))
        )
    )
    train_samples, test_samples = encode(train_rows), encode(test_rows)

    plain = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    decayed = [p for n, p in model.named_parameters() if not ("bias" in n or "LayerNorm" in n)]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": COMMON["weight_decay"]},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=spec["learning_rate"],
        fused=True,
    )
    batch = batch_of(spec)
    steps = spec["epochs"] * -(-len(train_samples) // batch)
    schedule = get_scheduler("linear", optimizer, math.ceil(steps * COMMON["warmup_ratio"]), steps)
    generator = torch.Generator().manual_seed(seed)
    started, tokens = time.time(), 0
    model.train()
    for _ in range(spec["epochs"]):
        order = torch.randperm(len(train_samples), generator=generator).tolist()
        if groups_lengths:
            order = list(
                LengthGroupedSampler(
                    batch,
                    lengths=[len(sample["input_ids"]) for sample in train_samples],
                    generator=generator,
                )
            )
        for start in range(0, len(order), batch):
            inputs = pad(
                [train_samples[i] for i in order[start : start + batch]],
                tokenizer.pad_token_id,
                is_ner,
                torch,
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = model(**inputs).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            tokens += int(inputs["attention_mask"].sum())
    seconds = time.time() - started

    model.eval()
    order = sorted(range(len(test_samples)), key=lambda i: len(test_samples[i]["input_ids"]))
    logits = [None] * len(order)
    with torch.no_grad():
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            inputs = pad([test_samples[i] for i in chosen], tokenizer.pad_token_id, is_ner, torch)
            for i, row in zip(
                chosen,
                model(
                    input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
                ).logits.float(),
            ):
                logits[i] = row
    score = score_peer(task, test_rows, test_samples, logits, labels, spec["metric"])
    return {
        "score": score,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "precision": precision,
    }


# ---------------------------------------------------------------------------------------------------- hone


def hone_config(name, seed, precision, folder):
    spec = SETS[name]
    task = {
        "classify": {"name": "classify", "text": "text", "label": "label"},
        "multi": {"name": "classify", "text": "text", "label": "labels", "type": "multi"},
        "ner": {"name": "ner", "tokens": "tokens", "tags": "tags"},
    }[spec["task"]]
    if "sentence1" in sets.rows(name, spec["splits"][1])[0]:
        task.update(text="sentence1", text_pair="sentence2")
    data = {}
    for section, split in zip(("train", "test"), spec["splits"]):
        path = folder / f"{split}.jsonl"
        sets.write_jsonl(rows_of(name, split), path)
        data[section] = {"path": str(path)}
    train = dict(
        COMMON,
        num_train_epochs=spec["epochs"],
        learning_rate=spec["learning_rate"],
        seed=seed,
        eval_strategy="no",
        save_strategy="no",
        precision=precision,
        device="cpu",
        per_device_train_batch_size=batch_of(spec),
        max_seq_length=longest_of(spec),
    )
    return {
        "model": {"path": str(model_of(spec))},
        "task": task,
        "data": data,
        "train": train,
        "output": {"dir": str(folder / "run")},
    }


def run_hone(name, seed, precision):
    program = os.environ.get("HONE", str(sets.ROOT / "build" / "release" / "hone"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "config.yaml").write_text(
            json.dumps(hone_config(name, seed, precision, folder))
        )  # JSON is YAML
        subprocess.run(
            [program, "train", str(folder / "config.yaml"), "--quiet"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        report = json.loads((folder / "run" / "report.json").read_text())
        rounded = {}
        if precision == "bf16":
            told = subprocess.run(
                [
                    program,
                    "eval",
                    str(folder / "run" / "model"),
                    str(folder / f"{SETS[name]['splits'][1]}.jsonl"),
                    "--json",
                    "--quiet",
                    "--precision",
                    "int8",
                ],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            rounded = {"score_in_int8": json.loads(told)["metrics"][SETS[name]["metric"]]}
    return {
        "score": report["metrics"][SETS[name]["metric"]],
        "seconds": report["timing"]["train_seconds"],
        "tokens_per_second": report["timing"]["tokens_per_second"],
        "precision": precision,
        **rounded,
    }


def table():
    results = load_results()
    print(
        "| set | score | hone fp32 | hone bf16 | that in int8 | Transformers, batches by length | Transformers, random order | Transformers bf16, by length | that in random order |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name, spec in SETS.items():
        cells = []
        for program, field in (
            ("hone", "score"),
            ("hone-bf16", "score"),
            ("hone-bf16", "score_in_int8"),
            ("peer", "score"),
            ("peer-random", "score"),
            ("peer-bf16", "score"),
            ("peer-random-bf16", "score"),
        ):
            scores = [
                100 * entry[field] for entry in results.get(program, {}).get(name, {}).values()
            ]
            shown = ", ".join(f"{s:.2f}" for s in scores)
            cells.append(f"{statistics.mean(scores):.2f} ({shown})" if scores else "not run")
        print(f"| {name} | {spec['metric']} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        choices=[
            "peer",
            "peer-random",
            "peer-bf16",
            "peer-random-bf16",
            "hone",
            "hone-bf16",
            "table",
        ],
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    if arguments.what == "table":
        return table()
    if not sets.DATA.exists():
        sys.exit(f"skipped: no data sets in {sets.DATA}")
    run = {
        "peer": run_peer,
        "peer-random": lambda name, seed: run_peer(name, seed, groups_lengths=False),
        "peer-bf16": lambda name, seed: run_peer(name, seed, precision="bf16"),
        "peer-random-bf16": lambda name, seed: run_peer(
            name, seed, groups_lengths=False, precision="bf16"
        ),
        "hone": lambda name, seed: run_hone(name, seed, "fp32"),
        "hone-bf16": lambda name, seed: run_hone(name, seed, "bf16"),
    }[arguments.what]
    for seed in arguments.seeds:
        for name in arguments.sets:
            if str(seed) in load_results().get(arguments.what, {}).get(name, {}):
                continue
            entry = run(name, seed)
            store(arguments.what, name, seed, entry)
            print(
                f"{arguments.what} {name} seed {seed}: {100 * entry['score']:.2f} ({entry['tokens_per_second']:.0f} real tokens/s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
