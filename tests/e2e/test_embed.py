"""hone embed and hone search, and folders of sentence-transformers, as a user meets them."""

import json

import numpy as np
import pytest
from conftest import MINILM, ROOT

TEXTS = ["good film", "my card was lost", "Anna lives in Paris", "the plot was awful", "good"]


@pytest.fixture(scope="module")
def minilm():
    if not MINILM.exists():
        pytest.skip(f"{MINILM} is not there; run scripts/setup")
    return MINILM


def lines(texts):
    return ("\n".join(texts) + "\n").encode()


def vectors(result):
    return np.array([row["embedding"] for row in result.rows], dtype=np.float32)


def test_embed_writes_what_numpy_reads(hone, minilm, tmp_path):
    told = hone("embed", minilm, "-", "--out", tmp_path / "a.npy", stdin=lines(TEXTS))
    matrix = np.load(tmp_path / "a.npy")
    assert matrix.dtype == np.float32 and matrix.shape == (5, 384)
    assert f"{tmp_path}/a.npy: 5 rows of 384 numbers" in told.stdout
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-6)
    shown = hone("embed", minilm, stdin=lines(TEXTS))
    assert np.array_equal(vectors(shown), matrix)
    assert [row["text"] for row in shown.rows] == TEXTS
    hone("embed", minilm, "-", "--out", tmp_path / "a.jsonl", stdin=lines(TEXTS))
    assert (tmp_path / "a.jsonl").read_text() == shown.stdout


def test_embed_gives_the_vectors_of_the_published_model(hone, minilm):
    """Mean of the tokens' states, length 1: what the model card of all-MiniLM-L6-v2 computes."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    model = transformers.AutoModel.from_pretrained(minilm).double().eval()
    ours = vectors(hone("embed", minilm, "--precision", "fp32", stdin=lines(TEXTS)))
    for text, vector in zip(TEXTS, ours, strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        exact = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
        assert np.abs(vector - exact).max() < 1e-6


def test_embed_answers_every_row_and_names_the_bad_ones(hone, minilm, tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        '{"text": "one", "id": 7}\n{"txt": "two"}\n{"text": ""}\nnot json\n'
    )
    told = hone("embed", minilm, tmp_path / "rows.jsonl", code=3)
    assert ["error" in row for row in told.rows] == [False, True, False, True]
    assert told.rows[0]["id"] == 7
    assert 'did you mean "txt"' in told.rows[1]["error"] and "rows.jsonl:2" in told.rows[1]["error"]
    assert "2 of 4 rows have no answer" in told.stderr
    matrix = hone("embed", minilm, tmp_path / "rows.jsonl", "--out", tmp_path / "x.npy", code=3)
    assert "rows.jsonl:2" in matrix.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_embed_refuses_models_and_files_of_other_kinds(hone, minilm, tmp_path):
    told = hone("embed", minilm, "--out", tmp_path / "a.csv", code=2, stdin=b"a\n")
    assert "the name says what is written: .npy, or .jsonl" in told.stderr
    told = hone("embed", minilm, "-", "task.poling=mean", code=2, stdin=b"a\n")
    assert 'did you mean "pooling"' in told.stderr


def test_search_finds_by_meaning_whether_it_embeds_or_reads(hone, minilm, tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS) + "\n")
    queries = lines(["where does she live", "a credit card that is gone"])
    found = hone("search", minilm, tmp_path / "corpus.txt", "-", "-k", 2, stdin=queries)
    assert [row["hits"][0]["row"] for row in found.rows] == [2, 1]
    assert found.rows[0]["text"] == "where does she live"
    assert found.rows[0]["hits"][0]["text"] == "Anna lives in Paris"
    assert [len(row["hits"]) for row in found.rows] == [2, 2]
    assert found.rows[0]["hits"][0]["score"] > found.rows[0]["hits"][1]["score"]

    hone("embed", minilm, tmp_path / "corpus.txt", "--out", tmp_path / "corpus.npy")
    with_texts = hone(
        *("search", minilm, tmp_path / "corpus.npy", "-", "-k", 2),
        *("--texts", tmp_path / "corpus.txt"),
        stdin=queries,
    )
    assert with_texts.stdout == found.stdout
    rows = hone("search", minilm, tmp_path / "corpus.npy", "-", "-k", 2, stdin=queries).rows
    assert [[hit["row"] for hit in row["hits"]] for row in rows] == [
        [hit["row"] for hit in row["hits"]] for row in found.rows
    ]
    assert "text" not in rows[0]["hits"][0]


def test_search_reads_vectors_that_numpy_wrote(hone, minilm, tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3, 384, dtype=np.float32))
    found = hone("search", minilm, tmp_path / "a.npy", "-", stdin=b"good\n")
    assert sorted(hit["row"] for hit in found.rows[0]["hits"]) == [0, 1, 2]
    np.save(tmp_path / "b.npy", np.eye(3, 100, dtype=np.float32))
    told = hone("search", minilm, tmp_path / "b.npy", "-", code=3, stdin=b"good\n")
    assert "its vectors have 100 numbers, the model's have 384" in told.stderr
    (tmp_path / "two.txt").write_text("a\nb\n")
    told = hone(
        *("search", minilm, tmp_path / "a.npy", "-", "--texts", tmp_path / "two.txt"),
        code=3,
        stdin=b"good\n",
    )
    assert "two.txt: has 2 rows, but" in told.stderr


def test_search_tells_of_bad_rows(hone, minilm, tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    told = hone("search", minilm, tmp_path / "corpus.jsonl", "-", code=3, stdin=b"a\n")
    assert "corpus.jsonl:2" in told.stderr and told.stdout == ""
    (tmp_path / "corpus.jsonl").write_text('{"text": "a", "id": "x"}\n')
    told = hone(
        *("search", minilm, tmp_path / "corpus.jsonl", "-"),
        code=3,
        stdin=b'{"text": 3}\n{"text": "a"}\n',
    )
    assert "must be a text" in told.rows[0]["error"]
    assert told.rows[1]["hits"][0]["id"] == "x"


def train(hone, model, folder, *words):
    hone(
        *("train", ROOT / "examples/embedding/config.yaml", f"model.path={model}"),
        *(f"output.dir={folder}", "train.num_train_epochs=1", *words),
    )
    return folder / "model"


def test_a_model_of_a_run_embeds_and_keeps_what_its_base_pools(hone, tiny_model, tmp_path):
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    (base / "1_Pooling").mkdir()
    (base / "modules.json").write_text(
        json.dumps(
            [
                {"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ]
        )
    )
    (base / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    (base / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    model = train(hone, base, tmp_path / "run")
    pooling = json.loads((model / "1_Pooling/config.json").read_text())
    assert pooling["pooling_mode_cls_token"] and not pooling["pooling_mode_mean_tokens"]
    assert json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"] == 20
    assert len(json.loads((model / "modules.json").read_text())) == 2  # no Normalize
    embed = ("embed", model, "--precision", "fp32")
    shown = hone(*embed, stdin=lines(TEXTS))
    (model / "hone.json").unlink()  # as another program's model
    assert hone(*embed, stdin=lines(TEXTS)).stdout == shown.stdout


def test_a_step_of_one_pair_is_refused_before_training(hone, tiny_model, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(
        '{"anchor": "a", "positive": "b"}\n{"anchor": "c", "positive": "d"}\n'
    )
    told = hone(
        *("train", ROOT / "examples/embedding/config.yaml", f"model.path={tiny_model}"),
        *(f"output.dir={tmp_path / 'run'}", f"data.train.path={tmp_path / 'pairs.jsonl'}"),
        "train.per_device_train_batch_size=1",
        code=2,
    )
    assert "per_device_train_batch_size is 1" in told.stderr


def test_predictions_of_a_run_give_its_scores_again(hone, tiny_model, tmp_path):
    folder = train(hone, tiny_model, tmp_path / "run").parent
    report = json.loads((folder / "report.json").read_text())
    again = hone(
        *("score", "embedding", ROOT / "examples/embedding/test.jsonl"),
        *(folder / "predictions.jsonl", "--json"),
    )
    assert json.loads(again.stdout)["score"] == report["score"]
    assert list(report["metrics"]) == ["ndcg@10", "mrr@10", "recall@10", "accuracy@1"]
    assert report["metrics"].keys() == report["intervals"].keys()


def with_dense(folder, source, activation="Tanh"):
    """A folder as sentence-transformers writes it: the model, a mean, a layer of 24 numbers, length 1."""
    import shutil

    import torch
    from safetensors.torch import save_file

    shutil.copytree(source, folder)
    modules = ["Transformer", "Pooling", "Dense", "Normalize"]
    paths = ["", "1_Pooling", "2_Dense", "3_Normalize"]
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {
                    "idx": i,
                    "name": str(i),
                    "path": path,
                    "type": f"sentence_transformers.models.{name}",
                }
                for i, (path, name) in enumerate(zip(paths, modules))
            ]
        )
    )
    for path in paths[1:]:
        (folder / path).mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    hidden = json.loads((folder / "config.json").read_text())["hidden_size"]
    (folder / "2_Dense/config.json").write_text(
        json.dumps(
            {
                "in_features": hidden,
                "out_features": 24,
                "bias": True,
                "activation_function": f"torch.nn.modules.activation.{activation}",
            }
        )
    )
    torch.manual_seed(3)
    weights = {"linear.weight": torch.randn(24, hidden), "linear.bias": torch.randn(24)}
    save_file(weights, folder / "2_Dense/model.safetensors")
    return folder


def dense_vectors(folder, texts):
    """What sentence-transformers' modules compute."""
    import torch
    import transformers
    from safetensors.torch import load_file

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).double().eval()
    layer = {k: v.double() for k, v in load_file(folder / "2_Dense/model.safetensors").items()}
    for text in texts:
        with torch.no_grad():
            state = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        made = (layer["linear.weight"] @ state + layer["linear.bias"]).tanh()
        yield torch.nn.functional.normalize(made, dim=0).numpy()


def test_a_layer_behind_the_pooling_is_read_trained_and_saved(hone, tiny_model, tmp_path):
    folder = with_dense(tmp_path / "st", tiny_model)
    ours = vectors(hone("embed", folder, stdin=lines(TEXTS)))
    assert ours.shape == (5, 24)
    for vector, exact in zip(ours, dense_vectors(folder, TEXTS), strict=True):
        assert np.abs(vector - exact).max() < 1e-5

    hone(
        *("train", ROOT / "examples/embedding/config.yaml", f"model.path={folder}"),
        *("train.max_steps=2", "train.precision=fp32", f"output.dir={tmp_path / 'run'}"),
    )
    saved = tmp_path / "run/model"
    trained = vectors(hone("embed", saved, stdin=lines(TEXTS)))
    assert np.abs(trained - ours).max() > 1e-6
    for vector, exact in zip(trained, dense_vectors(saved, TEXTS), strict=True):
        assert np.abs(vector - exact).max() < 1e-5
    assert [m["path"] for m in json.loads((saved / "modules.json").read_text())] == [
        *("", "1_Pooling", "2_Dense", "3_Normalize")
    ]
    told = hone("embed", folder, "-", "task.dense=7", code=2, stdin=b"a\n")
    assert "task.dense" in told.stderr


def test_a_prompt_is_put_before_each_text(hone, tiny_model, tmp_path):
    plain = vectors(hone("embed", tiny_model, stdin=lines(["query: " + text for text in TEXTS])))
    asked = hone("embed", tiny_model, "--prompt", "query: ", stdin=lines(TEXTS))
    assert np.array_equal(vectors(asked), plain)
    assert [row["text"] for row in asked.rows] == TEXTS
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS) + "\n")
    found = hone(
        *("search", tiny_model, tmp_path / "corpus.txt", "-", "-k", 5),
        *("--prompt", "a ", "--query-prompt", "a "),
        stdin=lines(TEXTS[:1]),
    )
    assert found.rows[0]["hits"][0]["score"] == pytest.approx(1, abs=1e-6)
    np.save(tmp_path / "a.npy", np.eye(2, 32, dtype=np.float32))
    told = hone(
        "search", tiny_model, tmp_path / "a.npy", "-", "--prompt", "x", code=2, stdin=b"a\n"
    )
    assert "hone embed --prompt" in told.stderr
