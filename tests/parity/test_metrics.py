"""Scores against scikit-learn, SciPy, seqeval and the rules of published scripts, on random and edge inputs.

Run with .venv-peers/bin/python -m pytest tests/parity/test_metrics.py. HONE_BUILD names the build folder (default build/release).
"""

import collections
import functools
import json
import os
import pathlib
import random
import re
import string
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.stats
import seqeval.metrics
import seqeval.scheme
import sklearn.metrics
from sklearn.preprocessing import MultiLabelBinarizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from results_peer import CMRC_MARKS, cmrc_units, common_run  # noqa: E402

PROBE = ROOT / os.environ.get("HONE_BUILD", "build/release") / "task_probe"

pytestmark = [
    pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built"),
    pytest.mark.filterwarnings("ignore"),
]


@functools.cache
def process():
    return subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def score(task, golds, predictions, options=None):
    request = {
        "do": "score",
        "task": task,
        "options": options or {},
        "gold": golds,
        "predicted": predictions,
    }
    process().stdin.write(json.dumps(request) + "\n")
    process().stdin.flush()
    return json.loads(process().stdout.readline())


def rows_equal(report, expected, digits=12):
    """expected: scikit-learn's or seqeval's output_dict. A mean over no class is nan there and 0 here."""
    ours = {row["label"]: row for row in report["per_class"] + report["averages"]}
    expected = dict(expected)
    if "accuracy" in expected:
        assert ours.pop("accuracy")["f1"] == pytest.approx(
            expected.pop("accuracy"), abs=10**-digits
        )
    assert set(ours) == set(expected)
    for label, row in expected.items():
        for key, theirs in (
            ("precision", "precision"),
            ("recall", "recall"),
            ("f1", "f1-score"),
            ("support", "support"),
        ):
            assert ours[label][key] == pytest.approx(np.nan_to_num(row[theirs]), abs=10**-digits), (
                label,
                key,
            )


def whole_supports(table):
    """scikit-learn prints 2.0 for a support of 2 where nothing was right."""
    return re.sub(r"  (\d+)\.0$", r"    \1", table, flags=re.MULTILINE)


# ---- one label


def single_cases():
    rng = random.Random(0)
    names = ["b", "a", "Ünï", "weighted avgg longer", "10", "9x"]
    yield "perfect", ["a", "b"], ["a", "b"]
    yield "all wrong", ["a", "b"], ["b", "a"]
    yield "one class in gold", ["a", "a", "a"], ["a", "b", "a"]
    yield "one class in both", ["a", "a"], ["a", "a"]
    yield "disjoint", ["a", "a"], ["b", "c"]
    yield "numbers", [10, 9, 9, 1], [9, 9, 10, 1]
    yield "booleans", [True, False, True], [True, True, False]
    for i in range(60):
        classes = names[: rng.randint(1, len(names))]
        n = rng.randint(1, 60)
        yield (
            f"random {i}",
            [rng.choice(classes) for _ in range(n)],
            [rng.choice(classes) for _ in range(n)],
        )


@pytest.mark.parametrize(
    "name,gold,said", list(single_cases()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_single_label(name, gold, said):
    result = score(
        "classify", [{"text": "t", "label": g} for g in gold], [{"label": s} for s in said]
    )
    report = result["report"]
    as_text = (
        [str(v).lower() if isinstance(v, bool) else v for v in gold],
        [str(v).lower() if isinstance(v, bool) else v for v in said],
    )
    rows_equal(
        report, sklearn.metrics.classification_report(*as_text, output_dict=True, zero_division=0)
    )
    table = sklearn.metrics.classification_report(*as_text, digits=4, zero_division=0)
    assert whole_supports(table) in result["text"], result["text"] + table
    metrics = report["metrics"]
    assert (
        metrics["accuracy"]
        == report["score"]
        == pytest.approx(sklearn.metrics.accuracy_score(*as_text))
    )
    for average in ("macro", "weighted"):
        assert metrics[f"{average}_f1"] == pytest.approx(
            sklearn.metrics.f1_score(*as_text, average=average, zero_division=0)
        )
    assert metrics["mcc"] == pytest.approx(sklearn.metrics.matthews_corrcoef(*as_text), abs=1e-12)
    labels = [row["label"] for row in report["per_class"]]
    by_text = {str(v): v for v in as_text[0] + as_text[1]}
    expected = sklearn.metrics.confusion_matrix(
        *as_text, labels=[by_text[label] for label in labels]
    )
    assert report["confusion"]["counts"] == expected.tolist()


# ---- several labels


def multi_cases():
    rng = random.Random(1)
    yield "perfect", [["a", "b"], ["a"]], [["b", "a"], ["a"]]
    yield "nothing predicted", [["a"], ["b"]], [[], []]
    yield "nothing there", [[], []], [["a"], ["b"]]
    yield "both empty in one row", [[], ["a"]], [[], ["a"]]
    for i in range(60):
        labels = "abcdefgh"[: rng.randint(1, 8)]
        n = rng.randint(1, 50)
        pick = lambda: [label for label in labels if rng.random() < 0.3]
        yield f"random {i}", [pick() for _ in range(n)], [pick() for _ in range(n)]


@pytest.mark.parametrize(
    "name,gold,said", list(multi_cases()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_several_labels(name, gold, said):
    result = score(
        "classify",
        [{"text": "t", "label": g} for g in gold],
        [{"label": s} for s in said],
        {"type": "multi"},
    )
    if not any(gold) and not any(said):
        return
    binarizer = MultiLabelBinarizer().fit(gold + said)
    y, p = binarizer.transform(gold), binarizer.transform(said)
    if len(binarizer.classes_) == 1:  # scikit-learn would take one column for a binary problem
        y, p = np.hstack([y, 0 * y]), np.hstack([p, 0 * p])
        metrics = result["report"]["metrics"]
        assert metrics["micro_f1"] == pytest.approx(
            sklearn.metrics.f1_score(y, p, average="micro", zero_division=0)
        )
        assert metrics["subset_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(y, p))
        return
    names = list(binarizer.classes_)
    rows_equal(
        result["report"],
        sklearn.metrics.classification_report(
            y, p, target_names=names, output_dict=True, zero_division=0
        ),
    )
    table = sklearn.metrics.classification_report(
        y, p, target_names=names, digits=4, zero_division=0
    )
    assert whole_supports(table) in result["text"]
    metrics = result["report"]["metrics"]
    for average in ("micro", "macro", "weighted", "samples"):
        assert metrics[f"{average}_f1"] == pytest.approx(
            sklearn.metrics.f1_score(y, p, average=average, zero_division=0), abs=1e-12
        )
    assert metrics["subset_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(y, p))
    assert metrics["hamming_loss"] == pytest.approx(sklearn.metrics.hamming_loss(y, p))


# ---- numbers


@pytest.mark.parametrize("seed", range(20))
def test_numbers(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 80))
    gold = np.round(rng.normal(size=n) * 5, seed % 3)  # with ties
    said = np.round(gold + rng.normal(size=n) * 3, seed % 4)
    report = score(
        "classify",
        [{"text": "t", "label": float(g)} for g in gold],
        [{"label": float(s)} for s in said],
        {"type": "regression"},
    )["report"]
    metrics = report["metrics"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pearson, spearman = (
            scipy.stats.pearsonr(gold, said).statistic,
            scipy.stats.spearmanr(gold, said).statistic,
        )
    assert metrics["pearson"] == pytest.approx(np.nan_to_num(pearson), abs=1e-9)
    assert metrics["spearman"] == pytest.approx(np.nan_to_num(spearman), abs=1e-9)
    assert metrics["mse"] == pytest.approx(sklearn.metrics.mean_squared_error(gold, said))
    assert metrics["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(gold, said))


# ---- entities


def tag_cases(letters):
    rng = random.Random(2)
    types = ["PER", "LOC", "a-b"]
    tags = ["O"] + [f"{letter}-{t}" for letter in letters for t in types]
    yield "perfect", [["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]]
    yield "nothing found", [["B-PER", "O"]], [["O", "O"]]
    yield "boundary", [["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "I-PER"]]
    yield "type", [["B-PER", "I-PER"]], [["B-LOC", "I-LOC"]]
    for i in range(120):
        p_outside = rng.random()
        pick = lambda: "O" if rng.random() < p_outside else rng.choice(tags)
        lengths = [rng.randint(1, 12) for _ in range(rng.randint(1, 8))]
        yield (
            f"random {i}",
            [[pick() for _ in range(n)] for n in lengths],
            [[pick() for _ in range(n)] for n in lengths],
        )


def compare_entities(gold, said, options, **seqeval_options):
    records = [{"tokens": ["w"] * len(tags), "tags": tags} for tags in gold]
    result = score("ner", records, [{"tags": tags} for tags in said], options)
    report = result["report"]
    try:
        expected = seqeval.metrics.classification_report(
            gold, said, output_dict=True, zero_division=0, **seqeval_options
        )
    except (ValueError, IndexError):  # seqeval has no report where there is no entity at all
        assert report["per_class"] == []
        return
    rows_equal(report, expected)
    if report["per_class"]:
        table = seqeval.metrics.classification_report(
            gold, said, digits=4, zero_division=0, **seqeval_options
        )
        assert table in result["text"]
    assert (
        report["metrics"]["f1"]
        == report["score"]
        == pytest.approx(seqeval.metrics.f1_score(gold, said, zero_division=0, **seqeval_options))
    )


@pytest.mark.parametrize(
    "name,gold,said", list(tag_cases("BI")), ids=lambda v: v if isinstance(v, str) else ""
)
def test_entities_of_iob2(name, gold, said):
    compare_entities(gold, said, {})
    compare_entities(gold, said, {"scoring": "strict"}, mode="strict", scheme=seqeval.scheme.IOB2)


@pytest.mark.parametrize(
    "name,gold,said", list(tag_cases("BIES")), ids=lambda v: v if isinstance(v, str) else ""
)
def test_entities_of_bioes(name, gold, said):
    compare_entities(gold, said, {})


def test_token_accuracy():
    gold, said = [["B-A", "I-A", "O"], ["O"]], [["B-A", "O", "O"], ["B-A"]]
    report = score(
        "ner", [{"tokens": ["w"] * len(t), "tags": t} for t in gold], [{"tags": t} for t in said]
    )["report"]
    assert report["metrics"]["accuracy"] == seqeval.metrics.accuracy_score(gold, said)


# ---- intervals and calibration


def test_intervals_cover_what_numpy_finds():
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 4, 400)
    said = np.where(rng.random(400) < 0.7, gold, rng.integers(0, 4, 400))
    report = score(
        "classify",
        [{"text": "t", "label": int(g)} for g in gold],
        [{"label": int(s)} for s in said],
    )["report"]
    draws = []
    for _ in range(1000):
        pick = rng.integers(0, 400, 400)
        draws.append(
            (
                sklearn.metrics.accuracy_score(gold[pick], said[pick]),
                sklearn.metrics.f1_score(gold[pick], said[pick], average="macro"),
            )
        )
    for j, metric in enumerate(("accuracy", "macro_f1")):
        low, high = np.percentile(np.array(draws)[:, j], [2.5, 97.5])
        assert report["intervals"][metric] == pytest.approx([low, high], abs=0.01), metric


def test_calibration():
    rng = np.random.default_rng(6)
    p = np.round(rng.random(500), 6)
    gold = np.where(rng.random(500) < p**2, "yes", "no")
    said = np.where(p >= 0.5, "yes", "no")
    predicted = [
        {"label": s, "scores": {"yes": float(x), "no": float(np.round(1 - x, 6))}}
        for s, x in zip(said, p)
    ]
    report = score(
        "classify",
        [{"text": "t", "label": str(g)} for g in gold],
        [{**r, "label": str(r["label"])} for r in predicted],
    )["report"]
    confidence, right = np.maximum(p, np.round(1 - p, 6)), gold == said
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    ece = (
        sum(
            abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).sum()
            for b in set(bins)
        )
        / 500
    )
    assert report["metrics"]["ece"] == pytest.approx(ece, abs=1e-9)
    assert [row["count"] for row in report["reliability"]] == [
        int((bins == b).sum()) for b in sorted(set(bins))
    ]


# ---- answers


def squad_words(text):
    """SQuAD's script: lower case, no ASCII punctuation, no articles, words."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def squad_rule(said, golds):
    """evaluate-v2.0.py: the best of the gold answers that have a word; none: right is no word."""
    best = [0, 0]
    for gold in [g for g in golds if squad_words(g)] or [""]:
        a, b = squad_words(gold), squad_words(said)
        shared = sum((collections.Counter(a) & collections.Counter(b)).values())
        f1 = float(a == b) if not a or not b else 2 * shared / (len(a) + len(b))
        best = [max(best[0], float(a == b)), max(best[1], f1)]
    return best


def cmrc_rule(said, golds):
    def bare(text):
        return [c for c in text.lower().strip() if c not in CMRC_MARKS]

    best = [0, 0]
    for gold in golds:
        a, b = cmrc_units(gold), cmrc_units(said)
        shared = common_run(a, b)
        f1 = 2 * shared / (len(a) + len(b)) if shared else 0
        best = [max(best[0], float(bare(gold) == bare(said))), max(best[1], f1)]
    return best


ANSWER_PARTS = [
    "the", "a", "An", "cat", "CAT.", "U.S.", "can't", "dog's", "'quoted'", '"double"', "3.14", "1,000",
    "$5", "x--y", "İstanbul", "ΣΊΣΥΦΟΣ", "a\u0301", "\u00a0", "(one)", "…", "....", "cannot", "Zoë", "_", "½",
    "中国", "上海市", "，", "《红楼梦》", "2010年", "ω-force", "don't.", "100%", "A&B", "“so”", "no. 7", "e.g.,", "wanna go",
    "\x1f", "end.", "?!", "'tis", "l'été", "–", "[x]", "“", "'",
]  # fmt: skip


def answer_cases(seed):
    rng = random.Random(seed)

    def text():
        return rng.choice(["", " ", " ", " "]).join(rng.choices(ANSWER_PARTS, k=rng.randint(1, 5)))

    for _ in range(400):
        golds = [text() for _ in range(rng.randint(1, 3))]
        yield golds, rng.choice([text(), rng.choice(golds), rng.choice(golds).upper(), text()[:4]])


@pytest.mark.parametrize("scoring, rule", [("squad", squad_rule), ("cmrc", cmrc_rule)])
def test_answers(scoring, rule):
    seen = collections.Counter()
    for golds, said in answer_cases(7):
        if not all(g.strip() for g in golds) or not said.strip():
            continue
        report = score("qa", [{"answers": golds}], [{"answers": said}], {"scoring": scoring})
        metrics = report["report"]["metrics"]
        expected = rule(said, golds)
        assert [metrics["exact_match"], metrics["f1"]] == pytest.approx(expected), (golds, said)
        seen["right" if expected[0] else "partly" if expected[1] else "wrong"] += 1
    assert min(seen["right"], seen["partly"], seen["wrong"]) > 20, seen


def test_questions_without_an_answer():
    for golds, said, right in (([], "", 1), ([], "x", 0), (["x"], "", 0), (["the"], "", 1)):
        metrics = score("qa", [{"answers": golds}], [{"answers": said}])["report"]["metrics"]
        assert [metrics["exact_match"], metrics["f1"]] == [right, right], (golds, said)


def test_best_threshold():
    """SQuAD's find_best_thresh: questions are answered up to the margin that gives the highest sum."""
    rng = random.Random(3)
    golds, results = [], []
    for _ in range(60):
        golds.append({"answers": rng.choice([[], ["red lamp"]])})
        best = rng.choice(["red lamp", "lamp", "chair"])
        results.append(
            {
                "answers": rng.choice(["", best]),
                "no_answer_margin": rng.choice([-2, -1, 0, 1, 2]) + rng.random(),
                "candidates": [{"text": best}],
            }
        )
    metrics = score("qa", golds, results)["report"]["metrics"]
    sums = []
    for threshold in [-9] + [r["no_answer_margin"] for r in results]:
        sums.append(
            sum(
                squad_rule(
                    r["candidates"][0]["text"] if r["no_answer_margin"] <= threshold else "",
                    g["answers"],
                )[1]
                for g, r in zip(golds, results)
            )
        )
    assert metrics["best_f1"] == pytest.approx(max(sums) / len(golds))
    assert metrics["best_threshold"] == results[sums.index(max(sums)) - 1]["no_answer_margin"]


# ---- relations


def semeval_rule(golds, said):
    """semeval2010_task8_scorer-v1.2.pl, (9+1)-way with directionality: macro F1 over the key's relations but Other."""
    of = [g.split("(")[0] for g in golds]
    scores = []
    for label in sorted(set(of) - {"Other"}):
        hits = sum(g == s and t == label for g, s, t in zip(golds, said, of))
        predicted = sum(s.split("(")[0] == label for s in said)
        precision, recall = hits / predicted if predicted else 0, hits / of.count(label)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0)
    return sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(5))
def test_relations(seed):
    rng = random.Random(seed)
    labels = ["Other", *(f"{r}({d})" for r in ("A-B", "C-D", "E-F") for d in ("e1,e2", "e2,e1"))]
    golds = rng.choices(labels, k=120)
    said = [g if rng.random() < 0.5 else rng.choice(labels) for g in golds]
    text = {"text": "<e1>a</e1> <e2>b</e2>"}
    report = score(
        "relation",
        [text | {"relation": g} for g in golds],
        [{"relation": s} for s in said],
    )["report"]
    assert report["metrics"]["macro_f1"] == pytest.approx(semeval_rule(golds, said))
    related = [g for g in labels if g != "Other"]
    assert report["metrics"]["exact_match"] == pytest.approx(
        sklearn.metrics.accuracy_score(golds, said)
    )
    assert report["metrics"]["f1"] == pytest.approx(
        sklearn.metrics.f1_score(golds, said, labels=related, average="micro")
    )
