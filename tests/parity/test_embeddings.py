"""Sentence embeddings against plain PyTorch: vectors, each loss by its published formula and every gradient; scores against scikit-learn; folders against sentence-transformers, where that is installed.

Run with .venv-peers/bin/python -m pytest tests/parity/test_embeddings.py. HONE_BUILD names the build folder (default build/release).
"""

import inspect
import json
import subprocess

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from test_tasks import MINILM, PROBE, TOLERANCE, ask, attention_of, distances, write_random_model

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")

PAIRS = [
    ("a film", "the plot is thin"),
    ("my card was lost, what now?", "we send you a new card"),
    ("why", "no"),
    ("i want 2 lamps", "two new lamps for you"),
]
NEGATIVES = [["the actors"], ["why not", "a lamp is lost"], [], ["no card"]]
PAIR_ROWS = [{"anchor": a, "positive": p} for a, p in PAIRS]
TRIPLETS = [row | {"negative": n} for row, n in zip(PAIR_ROWS, NEGATIVES)]
SCORES = [row | {"score": s} for row, s in zip(PAIR_ROWS, [0.5, 4.5, 2.0, 4.5])]
LABELS = [row | {"label": s} for row, s in zip(PAIR_ROWS, [0, 1, 0, 1])]


# ---- losses: vectors is a list of [anchor, positive, negatives…] for each row


def stack(vectors, place):
    return torch.stack([texts[place] for texts in vectors])


def multiple_negatives(vectors, rows, symmetric=False):
    """Cross-entropy of 20 * cosine; candidates are all positives, then all negatives."""
    anchors = F.normalize(stack(vectors, 0), dim=1)
    candidates = [texts[1] for texts in vectors] + [n for texts in vectors for n in texts[2:]]
    scores = 20 * anchors @ F.normalize(torch.stack(candidates), dim=1).T
    own = torch.arange(len(vectors))
    loss = F.cross_entropy(scores, own)
    if symmetric:
        loss = (loss + F.cross_entropy(scores[:, : len(vectors)].T, own)) / 2
    return loss


def triplet(vectors, rows, distance="cosine", margin=0.5):
    def d(a, b):
        return (
            F.pairwise_distance(a[None], b[None])[0]
            if distance == "euclidean"
            else 1 - F.cosine_similarity(a, b, dim=0)
        )

    terms = [F.relu(d(t[0], t[1]) - d(t[0], n) + margin) for t in vectors for n in t[2:]]
    return torch.stack(terms).mean()


def cosines(vectors):
    return F.cosine_similarity(stack(vectors, 0), stack(vectors, 1))


def cosine(vectors, rows):
    return F.mse_loss(cosines(vectors), torch.tensor([row["score"] / 5 for row in rows]).double())


def cosent(vectors, rows):
    x, terms = 20 * cosines(vectors), [torch.zeros((), dtype=torch.double)]
    for i, low in enumerate(rows):
        for j, high in enumerate(rows):
            if low["score"] < high["score"]:
                terms.append(x[i] - x[j])
    return torch.logsumexp(torch.stack(terms), 0)


def contrastive(vectors, rows, margin=0.5):
    d = 1 - cosines(vectors)
    labels = torch.tensor([float(row["label"]) for row in rows])
    return (0.5 * (labels * d.square() + (1 - labels) * F.relu(margin - d).square())).mean()


CASES = {
    "pairs": ({}, PAIR_ROWS, multiple_negatives),
    "negatives": ({"normalize": "false"}, TRIPLETS, multiple_negatives),
    "symmetric": (
        {"symmetric": True, "pooling": "max"},
        TRIPLETS,
        lambda v, r: multiple_negatives(v, r, symmetric=True),
    ),
    "triplet": ({"loss": "triplet", "pooling": "cls"}, [TRIPLETS[i] for i in (0, 1, 3)], triplet),
    "euclidean": (
        {"loss": "triplet", "distance": "euclidean", "margin": 5, "normalize": "false"},
        [TRIPLETS[i] for i in (0, 1, 3)],
        lambda v, r: triplet(v, r, "euclidean", 5),
    ),
    "cosine": ({"loss": "cosine", "max_score": 5}, SCORES, cosine),
    "cosent": ({"loss": "cosent", "max_score": 5}, SCORES, cosent),
    "contrastive": ({"loss": "contrastive"}, LABELS, contrastive),
}


class Encoder:
    """Each text by itself in fp64: tokens, states, pooling, length 1."""

    def __init__(self, folder, options):
        self.model = (
            transformers.AutoModel.from_pretrained(folder, attn_implementation=attention_of(folder))
            .double()
            .eval()
        )
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.accepted = inspect.signature(self.model.forward).parameters
        self.options = options

    def __call__(self, text):
        inputs = {
            k: v for k, v in self.tokenizer(text, return_tensors="pt").items() if k in self.accepted
        }
        states = self.model(**inputs).last_hidden_state[0]
        pooling = self.options.get("pooling", "mean")
        vector = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0)}[pooling]
        return vector if self.options.get("normalize") == "false" else F.normalize(vector, dim=0)


def texts_of(row):
    negatives = row.get("negative", [])
    return [row["anchor"], row["positive"], *negatives]


@pytest.fixture(scope="module", params=["bert", "roberta", "mpnet", "modernbert"])
def model(request, tmp_path_factory):
    return write_random_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("case", CASES)
def test_vectors_loss_and_gradients(model, case, tmp_path):
    options, rows, formula = CASES[case]
    answer = ask(
        do="step",
        model=str(model),
        task="embedding",
        options=options,
        records=rows,
        out=str(tmp_path),
    )
    ours = load_file(tmp_path / "tensors.safetensors")
    encoder = Encoder(tmp_path / "model", options)
    vectors = [[encoder(text) for text in texts_of(row)] for row in rows]
    loss = formula(vectors, rows)
    loss.backward()
    assert answer["loss"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    width = vectors[0][0].numel()
    for row, texts in zip(ours["logits"], vectors):
        exact = torch.cat(texts).detach()
        assert (row[: len(texts) * width] - exact).norm() < TOLERANCE * exact.norm()
    prefix = encoder.model.base_model_prefix
    exact = {
        f"grad.{prefix}.{name}": p.grad
        for name, p in encoder.model.named_parameters()
        if p.grad is not None
    }
    apart = distances({name: ours[name] for name in exact}, exact)
    assert max(apart.values()) < 10 * TOLERANCE, max(apart, key=apart.get)


def test_duplicates_count_as_negatives_where_that_is_asked_for(model, tmp_path):
    rows = [*PAIR_ROWS, {"anchor": "lamps?", "positive": PAIRS[0][1]}]
    losses = {}
    for mask in (True, False):
        answer = ask(
            do="step",
            model=str(model),
            task="embedding",
            options={"mask_duplicates": mask},
            records=rows,
            out=str(tmp_path),
        )
        losses[mask] = answer["loss"]
    encoder = Encoder(tmp_path / "model", {})
    vectors = [[encoder(text) for text in texts_of(row)] for row in rows]
    assert losses[False] == pytest.approx(multiple_negatives(vectors, rows).item(), rel=1e-5)
    assert losses[True] < losses[False]


# ---- scores


def scored(rows, results, options=None):
    request = dict(do="score", task="embedding", options=options or {}, gold=rows)
    return ask(**request, predicted=results)["report"]


def value(report, name):
    return report["metrics"][name]


@pytest.mark.parametrize("seed", range(4))
def test_search_scores(seed):
    rng = np.random.default_rng(seed)
    width, queries, texts, k = 8, 30, 80, 5
    vectors = rng.normal(size=(texts, width)).astype(np.float32)
    anchors = rng.normal(size=(queries, width)).astype(np.float32)
    rows, results, relevant = [], [], np.zeros((queries, texts))
    for q in range(queries):
        for t in rng.choice(texts, rng.integers(1, 4), replace=False):
            relevant[q, t] = 1
            n = int(rng.integers(texts))
            rows.append({"anchor": f"q{q}", "positive": f"t{t}", "negative": f"t{n}"})
            if n == t:
                rows[-1]["negative"] = ""
            both = [anchors[q], vectors[t], *([] if n == t else [vectors[n]])]
            results.append({"embeddings": [v.tolist() for v in both]})
    there = sorted({int(r[f][1:]) for r in rows for f in ("positive", "negative") if r[f]})
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (anchors, vectors[there])]
    scores, relevant = unit[0] @ unit[1].T, relevant[:, there]
    report = scored(rows, results, {"k": k})
    assert value(report, f"ndcg@{k}") == pytest.approx(
        sklearn.metrics.ndcg_score(relevant, scores, k=k), abs=1e-6
    )
    order = np.argsort(-scores, axis=1)[:, :k]
    hits = np.take_along_axis(relevant, order, 1)
    first = np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0)
    assert value(report, f"mrr@{k}") == pytest.approx(first.mean(), abs=1e-6)
    recall = (hits.sum(1) / relevant.sum(1)).mean()
    assert value(report, f"recall@{k}") == pytest.approx(recall, abs=1e-6)
    assert value(report, "accuracy@1") == pytest.approx(hits[:, 0].mean(), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 12, 60) / 12  # with ties
    rows = [{"anchor": "a", "positive": "b", "label": int(label)} for label in labels]
    report = scored(rows, [{"score": s} for s in scores], {"loss": "contrastive"})
    assert value(report, "average_precision") == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-6
    )


# ---- folders


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_saved_folder_gives_the_vectors_in_sentence_transformers(pooling, tmp_path):
    peer = pytest.importorskip("sentence_transformers")
    if not MINILM.exists():
        pytest.skip(f"{MINILM} is not there; run scripts/setup")
    options = {"pooling": pooling, "normalize": "false" if pooling == "max" else "true"}
    ask(
        do="step",
        model=str(MINILM),
        task="embedding",
        options=options,
        records=PAIR_ROWS,
        out=str(tmp_path),
    )
    ours = load_file(tmp_path / "tensors.safetensors")["logits"].view(-1, 384)
    theirs = peer.SentenceTransformer(str(tmp_path / "model"), device="cpu")
    exact = theirs.encode([text for pair in PAIRS for text in pair], convert_to_tensor=True)
    assert (ours - exact).norm() < TOLERANCE * exact.norm()
    assert json.loads((tmp_path / "model/modules.json").read_text())[0]["path"] == ""


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_folder_of_sentence_transformers_gives_its_vectors(pooling, tmp_path):
    peer = pytest.importorskip("sentence_transformers")
    if not MINILM.exists():
        pytest.skip(f"{MINILM} is not there; run scripts/setup")
    parts = pytest.importorskip("sentence_transformers.models")
    encoder = parts.Transformer(str(MINILM), max_seq_length=32)
    modules = [encoder, parts.Pooling(384, pooling_mode=pooling)]
    if pooling == "mean":
        modules.append(parts.Normalize())
    theirs = peer.SentenceTransformer(modules=modules, device="cpu")
    theirs.save(str(tmp_path))
    texts = [*(text for pair in PAIRS for text in pair), "word " * 60]
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run(
        [PROBE.parent / "hone", "embed", tmp_path], input=rows, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ours = np.array([json.loads(line)["embedding"] for line in done.stdout.splitlines()])
    exact = theirs.encode(texts)
    assert np.linalg.norm(ours - exact) < TOLERANCE * np.linalg.norm(exact)
