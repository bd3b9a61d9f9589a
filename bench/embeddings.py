"""Sentence embeddings: hone beside the same training in PyTorch, from equal weights, rows and hyper-parameters.

    python bench/embeddings.py [--sets xquad sick] [--seeds 1 2 3] [--precision fp32 bf16]

xquad: English questions, each with the paragraph that answers it (multiple negatives; ndcg@10 of a search among the paragraphs kept apart).
sick: pairs of sentences with a score of 1 to 5 (CoSENT; Spearman). The programs take turns; tokens are real ones, and seconds are those of
training steps after the first four. The peer computes the loss of sentence-transformers on Transformers' model: batches by length,
dynamic padding, fused AdamW, in fp32 or with autocast to bf16. Results are kept in bench/results/<processor>/embeddings.json.
"""

import argparse
import csv
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

import sets
from workers import HONE, PEER_PYTHON, SKIPPED

FOLDER = sets.ROOT / "build" / "bench" / "embeddings"
SETTINGS = {
    "xquad": {"loss": "multiple_negatives", "epochs": 3, "learning_rate": 5e-5, "longest": 128},
    "sick": {"loss": "cosent", "epochs": 2, "learning_rate": 5e-5, "longest": 64},
}
METRIC = {"xquad": "ndcg@10", "sick": "spearman"}
BATCH, WARMUP, MAX_SCORE = 32, 0.1, 5


def xquad():
    """Paragraphs 0 to 159 of 240 are for training."""
    data = json.loads((sets.DATA / "qa/xquad/xquad.en.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    rows = {"train": [], "test": []}
    for index, paragraph in enumerate(paragraphs):
        for question in paragraph["qas"]:
            row = {"anchor": question["question"].strip(), "positive": paragraph["context"].strip()}
            rows["train" if index < 160 else "test"].append(row)
    return rows


def sick():
    rows = {}
    for split, name in (("train", "SICK_train.txt"), ("test", "SICK_test_annotated.txt")):
        with open(sets.DATA / "sentence_pair/sick" / name, encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows[split] = [
                {
                    "anchor": row["sentence_A"],
                    "positive": row["sentence_B"],
                    "score": float(row["relatedness_score"]),
                }
                for row in table
            ]
    return {"train": rows["train"][:4000], "test": rows["test"]}


def write(name):
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = {"xquad": xquad, "sick": sick}[name]()
    for split, part in rows.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (FOLDER / f"{name}-{split}.jsonl").write_text(text, encoding="utf-8")


def task_of(name):
    task = {"name": "embedding", "loss": SETTINGS[name]["loss"], "mask_duplicates": False}
    if name == "sick":
        task = {"name": "embedding", "loss": "cosent", "max_score": MAX_SCORE}
    return task


def run_hone(name, seed, precision):
    setting, folder = SETTINGS[name], FOLDER / f"{name}-{seed}-{precision}"
    config = {
        "model": {"path": str(sets.MINILM)},
        "task": {**task_of(name), "pooling": "mean", "normalize": True},
        "data": {s: {"path": str(FOLDER / f"{name}-{s}.jsonl")} for s in ("train", "test")},
        "train": {
            "num_train_epochs": setting["epochs"],
            "per_device_train_batch_size": BATCH,
            "learning_rate": setting["learning_rate"],
            "max_seq_length": setting["longest"],
            "warmup_ratio": WARMUP,
            "weight_decay": 0.01,
            "seed": seed,
            "precision": precision,
            "save_strategy": "no",
            "logging_steps": 1,
            "device": "cpu",
        },
        "output": {"dir": str(folder)},
    }
    path = folder.with_suffix(".yaml")
    path.write_text(json.dumps(config))
    subprocess.run(
        [HONE, "train", path, "--overwrite", "--quiet"], check=True, stdout=subprocess.DEVNULL
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"][SKIPPED:]
    report = json.loads((folder / "report.json").read_text())
    return {
        "speed": sum(s["tokens"] for s in steps) / sum(s["seconds"] for s in steps),
        "score": report["metrics"][METRIC[name]],
    }


# ---- the peer, in its own Python


class Peer:
    def __init__(self, name, seed, precision):
        import torch
        import transformers

        torch.manual_seed(seed)
        self.setting, self.precision, self.seed = SETTINGS[name], precision, seed
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(sets.MINILM)
        self.model = transformers.AutoModel.from_pretrained(
            sets.MINILM, attn_implementation="sdpa", add_pooling_layer=False
        )

    def vectors(self, texts):
        import torch

        batch = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self.setting["longest"],
            return_tensors="pt",
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            states = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        mean = (states.float() * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1), int(mask.sum())

    def loss(self, rows):
        import torch

        anchors, seen = self.vectors([row["anchor"] for row in rows])
        positives, more = self.vectors([row["positive"] for row in rows])
        if self.setting["loss"] == "multiple_negatives":
            scores = 20 * anchors @ positives.T
            loss = torch.nn.functional.cross_entropy(scores, torch.arange(len(rows)))
        else:
            cosines = 20 * (anchors * positives).sum(1)
            gold = torch.tensor([row["score"] for row in rows])
            excess = (cosines[:, None] - cosines[None])[gold[:, None] < gold[None]]
            loss = torch.logsumexp(torch.cat([torch.zeros(1), excess]), 0)
        return loss, seen + more

    def train(self, rows):
        import torch
        import transformers

        plain = [p for n, p in self.model.named_parameters() if n.endswith("bias") or "Norm" in n]
        known = {id(p) for p in plain}
        decaying = [p for p in self.model.parameters() if id(p) not in known]
        optimizer = torch.optim.AdamW(
            [{"params": decaying, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}],
            lr=self.setting["learning_rate"],
            fused=True,
        )
        steps = -(-len(rows) // BATCH) * self.setting["epochs"]
        schedule = transformers.get_linear_schedule_with_warmup(
            optimizer, round(WARMUP * steps), steps
        )
        order, seconds, tokens, done = random.Random(self.seed), 0.0, 0, 0
        self.model.train()
        for _ in range(self.setting["epochs"]):
            shuffled = order.sample(rows, len(rows))
            for begin in range(0, len(rows), BATCH):
                start = time.perf_counter()
                loss, seen = self.loss(shuffled[begin : begin + BATCH])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                done += 1
                if done > SKIPPED:
                    seconds += time.perf_counter() - start
                    tokens += seen
        return tokens / seconds

    def score(self, rows, name):
        import torch

        self.model.eval()

        def all_vectors(texts):
            with torch.no_grad():
                return torch.cat(
                    [self.vectors(texts[i : i + 64])[0] for i in range(0, len(texts), 64)]
                )

        anchors = all_vectors([row["anchor"] for row in rows])
        if name == "sick":
            import scipy.stats

            cosines = (anchors * all_vectors([row["positive"] for row in rows])).sum(1)
            return float(
                scipy.stats.spearmanr(cosines.numpy(), [row["score"] for row in rows]).statistic
            )
        import sklearn.metrics

        texts = list(dict.fromkeys(row["positive"] for row in rows))
        scores = anchors @ all_vectors(texts).T
        relevant = torch.zeros_like(scores)
        for i, row in enumerate(rows):
            relevant[i, texts.index(row["positive"])] = 1
        return float(sklearn.metrics.ndcg_score(relevant.numpy(), scores.numpy(), k=10))


def peer_turn(name, seed, precision):
    peer = Peer(name, seed, precision)
    rows = {
        split: [json.loads(line) for line in open(FOLDER / f"{name}-{split}.jsonl")]
        for split in ("train", "test")
    }
    speed = peer.train(rows["train"])
    return {"speed": speed, "score": peer.score(rows["test"], name)}


def run_peer(name, seed, precision):
    command = [PEER_PYTHON, pathlib.Path(__file__), "--peer", name, str(seed), precision]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def summary(name, precision, turns):
    ratio = statistics.median(hone["speed"] / peer["speed"] for hone, peer in turns)
    scores = [[turn[side]["score"] for turn in turns] for side in (0, 1)]
    shown = [f"{statistics.mean(s):.4f} ({min(s):.4f} to {max(s):.4f})" for s in scores]
    return (
        f"{name} {precision}: {ratio:.2f} times the peer's tokens a second "
        f"({statistics.median(t[0]['speed'] for t in turns):,.0f} and "
        f"{statistics.median(t[1]['speed'] for t in turns):,.0f}); "
        f"{METRIC[name]} hone {shown[0]}, peer {shown[1]}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32"])
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        name, seed, precision = arguments.peer
        print(json.dumps(peer_turn(name, int(seed), precision)))
        return 0
    results = {}
    for name in arguments.sets:
        write(name)
        for precision in arguments.precision:
            turns = [
                (run_hone(name, seed, precision), run_peer(name, seed, precision))
                for seed in arguments.seeds
            ]
            results[f"{name} {precision}"] = turns
            print(summary(name, precision, turns), flush=True)
    sets.RESULTS.mkdir(parents=True, exist_ok=True)
    (sets.RESULTS / "embeddings.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
