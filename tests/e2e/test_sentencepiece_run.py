"""A run from a folder whose tokenizer is a SentencePiece model; and what such a folder may be wrong with."""

import json
import struct

import pytest
from conftest import WORDS, write_run

PIECES = [
    *("<unk>", "<s>", "</s>", "\u2581"),
    *("\u2581" + word for word in dict.fromkeys(map(str.lower, WORDS))),
    *"abcdefghijklmnopqrstuvwxyz",
]


def field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value


def sentencepiece(pieces=PIECES):
    """The bytes of a Unigram model: the fields of sentencepiece_model.proto."""
    out = b""
    for i, piece in enumerate(pieces):
        kind = 2 if i == 0 else 3 if i < 3 else 1
        score = bytes([2 << 3 | 5]) + struct.pack("<f", 0.0 if i < 3 else -1.0 - i / 100)
        out += field(1, field(1, piece.encode()) + score + bytes([3 << 3, kind]))
    return out + field(2, bytes([3 << 3, 1])) + field(3, bytes([3 << 3, 1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("sentencepiece")
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(PIECES) + 2,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 64})
    )
    return folder


def test_a_run_learns_and_saves_a_tokenizer_that_is_the_same(hone, folder, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    hone("train", write_run(tmp_path, folder, num_train_epochs=4))
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["data"]["train"]["unknown_tokens"] == 0
    texts = ["good film", "  the <mask> plot\n", "zz \u00e9 x"]
    lines = "".join(json.dumps(text) + "\n" for text in texts).encode()
    before, after = (
        hone("tokenize", model, "--jsonl", stdin=lines).rows
        for model in (folder, tmp_path / "run/model")
    )
    assert before == after
    peer = tokenizers.Tokenizer.from_file(str(tmp_path / "run/model/tokenizer.json"))
    assert [row["ids"] for row in after] == [peer.encode(text).ids for text in texts]


def test_what_is_wrong_is_told_with_its_place(hone, tmp_path):
    path = tmp_path / "spiece.model"
    whole = sentencepiece()
    for content, message in (
        (whole[:-1], "cut short"),
        (b"", "the file ends before its first piece"),
        (whole.replace(b"\x0a\x05<unk>", b"\x0a\x05<un\xff>"), "piece 0 is not valid UTF-8"),
    ):
        path.write_bytes(content)
        result = hone("tokenize", path, stdin=b"x\n", code=4)
        assert "spiece.model: byte " in result.stderr and message in result.stderr
