"""hone check --baseline beside scikit-learn's TF-IDF and logistic regression on the same tokens."""

import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

sklearn = pytest.importorskip("sklearn")
np = pytest.importorskip("numpy")

ROOT = pathlib.Path(__file__).resolve().parents[2]
HONE = pathlib.Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone"))
sys.path.insert(0, str(ROOT / "tests/e2e"))

pytestmark = pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built")

WORDS = [chr(97 + i) for i in range(26)]


def rows_of(count, seed):
    """Texts of letters, whose first ones lean towards the label; not separable."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(["x", "y", "z"])
        words = draw.choices(WORDS, weights=[3 if i % 3 == "xyz".index(label) else 1 for i in range(26)],
                             k=draw.randint(1, 12))  # fmt: skip
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write_model(folder):
    import torch
    import transformers

    folder.mkdir()
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n"
    )
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 32}')
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32)
    ).save_pretrained(folder)  # fmt: skip


def features(rows, known=None):
    """Words and pairs of neighbours; of pairs those of two rows or more."""
    lists = []
    for row in rows:
        words = row["text"].split()
        lists.append(words + [f"{a} {b}" for a, b in zip(words, words[1:])])
    counts = {}
    for one in lists:
        for feature in set(one):
            counts[feature] = counts.get(feature, 0) + 1
    known = known or {f for f, n in counts.items() if " " not in f or n > 1}
    return [[f for f in one if f in known] for one in lists], known


def test_the_baseline_is_scikit_learns(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    write_model(tmp_path / "model")
    train, test = rows_of(400, 1), rows_of(150, 2)
    for name, rows in (("train", train), ("test", test)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.yaml").write_text(
        f"model: {{path: {tmp_path}/model}}\ntask: {{name: classify, temperature: auto}}\n"
        f"data: {{train: {{path: {tmp_path}/train.jsonl}}, test: {{path: {tmp_path}/test.jsonl}}, leakage: 'off'}}\n"
        f"train: {{device: cpu, precision: fp32, eval_strategy: 'no'}}\noutput: {{dir: {tmp_path}/run}}\n"
    )
    done = subprocess.run(
        [HONE, "check", tmp_path / "run.yaml", "--baseline", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)["baseline"]

    lists, known = features(train)
    vectorizer = TfidfVectorizer(analyzer=lambda x: x)
    x = vectorizer.fit_transform(lists)
    assert ours["features"] == x.shape[1]
    model = LogisticRegression(C=1, tol=1e-8, max_iter=2000).fit(x, [row["label"] for row in train])
    of_test = vectorizer.transform(features(test, known)[0])
    gold = [row["label"] for row in test]
    assert ours["report"]["metrics"]["accuracy"] == pytest.approx(
        model.score(of_test, gold), abs=1e-12
    )
    assert ours["report"]["metrics"]["nll"] == pytest.approx(
        log_loss(gold, model.predict_proba(of_test)), abs=2e-3
    )
