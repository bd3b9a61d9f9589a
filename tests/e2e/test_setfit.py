"""Few labelled texts: the logistic head of a run is scikit-learn's on the run's own vectors."""

import json
import shutil

import numpy as np
import pytest
from conftest import MINILM, ROOT


def test_the_head_is_the_regression_of_scikit_learn(hone, tmp_path):
    import sklearn.linear_model

    if not MINILM.exists():
        pytest.skip(f"{MINILM} is not there; run scripts/setup")
    told = hone(
        *("train", ROOT / "examples/setfit/config.yaml", f"output.dir={tmp_path / 'run'}"),
        *("train.num_train_epochs=1", "train.precision=fp32"),
    )
    assert "the head was fitted to the vectors of 32 training texts" in told.stderr
    rows = {
        split: [json.loads(line) for line in open(ROOT / f"examples/setfit/{split}.jsonl")]
        for split in ("train", "test")
    }
    encoder = tmp_path / "encoder"
    shutil.copytree(tmp_path / "run/model", encoder)
    (encoder / "hone.json").unlink()  # a folder of sentence-transformers
    vectors = {}
    for split, texts in rows.items():
        stdin = "".join(json.dumps({"text": row["text"]}) + "\n" for row in texts).encode()
        shown = hone("embed", encoder, "--precision", "fp32", stdin=stdin).rows
        vectors[split] = np.array([row["embedding"] for row in shown])
    peer = sklearn.linear_model.LogisticRegression(C=1, tol=1e-10, max_iter=10000)
    peer.fit(vectors["train"], [row["label"] for row in rows["train"]])
    exact = peer.predict_proba(vectors["test"])
    predicted = [json.loads(line) for line in open(tmp_path / "run/predictions.jsonl")]
    ours = np.array([[row["scores"][label] for label in peer.classes_] for row in predicted])
    assert np.abs(ours - exact).max() < 1e-4
    assert ours.std() > 0.01  # not all alike
