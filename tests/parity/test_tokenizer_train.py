"""`hone tokenizer train` beside the trainers of Hugging Face tokenizers: the same tokens with the same ids, and files that both read.

HONE_BIN names the program; else build/release/hone. Texts are those of HONE_SHARED.
"""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HONE = pathlib.Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve()
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
WIKITEXT = SHARED / "data/corpus/wikitext2/valid.txt"
WAIMAI = SHARED / "data/classification/waimai_10k/waimai_10k.csv"
tokenizers = pytest.importorskip("tokenizers")
from tokenizers import (  # noqa: E402
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

pytestmark = [
    pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built"),
    pytest.mark.skipif(not WIKITEXT.exists(), reason=f"no {WIKITEXT}; set HONE_SHARED"),
]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def hone_train(folder, *words, data=WIKITEXT, code=0):
    done = subprocess.run(
        [str(HONE), "tokenizer", "train", str(folder), str(data), *words, "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def lines(path=WIKITEXT):
    return path.read_text(encoding="utf-8").split("\n")


def model_of(folder):
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]


def trained(model, pre_tokenizer, trainer, texts=None, normalizer=None):
    peer = Tokenizer(model)
    peer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        peer.normalizer = normalizer
    peer.train_from_iterator(texts or lines(), trainer)
    return json.loads(peer.to_str())["model"]


def assert_same_bpe(folder, theirs):
    ours = model_of(folder)
    assert ours["vocab"] == theirs["vocab"]
    assert ours["merges"] == theirs["merges"]


def test_byte_level_bpe(tmp_path):
    answer = hone_train(tmp_path / "out", "vocab_size=6000", "min_frequency=2")
    theirs = trained(
        models.BPE(),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        trainers.BpeTrainer(
            vocab_size=6000,
            min_frequency=2,
            show_progress=False,
            special_tokens=ROBERTA,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    assert answer["vocab_size"] == len(theirs["vocab"]) == 6000
    assert_same_bpe(tmp_path / "out", theirs)


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, []),
        ({"limit_alphabet": 60}, ["limit_alphabet=60"]),
        ({"max_token_length": 5}, ["max_token_length=5"]),
        ({"initial_alphabet": ["é", "中"]}, ["initial_alphabet=[é,中]"]),
    ],
    ids=str,
)
def test_plain_bpe(options, words, tmp_path):
    hone_train(
        tmp_path / "out", "algorithm=bpe", "pre_tokenizer=whitespace", "vocab_size=4000", *words
    )
    theirs = trained(
        models.BPE(),
        pre_tokenizers.Whitespace(),
        trainers.BpeTrainer(
            vocab_size=4000, show_progress=False, special_tokens=ROBERTA, **options
        ),
    )
    assert_same_bpe(tmp_path / "out", theirs)


def test_chinese_cells_of_a_table(tmp_path):
    import csv

    words = ["algorithm=bpe", "pre_tokenizer=bert", "normalizer=[nfkc,lowercase]", "text=review"]
    hone_train(tmp_path / "out", "vocab_size=6000", *words, data=WAIMAI)
    with open(WAIMAI, encoding="utf-8", newline="") as file:
        texts = [row["review"] for row in csv.DictReader(file)]
    theirs = trained(
        models.BPE(),
        pre_tokenizers.BertPreTokenizer(),
        trainers.BpeTrainer(vocab_size=6000, show_progress=False, special_tokens=ROBERTA),
        texts,
        normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    )
    assert_same_bpe(tmp_path / "out", theirs)


def test_wordpiece(tmp_path):
    """The reference numbers the "##" characters by the order of a hash table, another one in each run; given as special tokens, they have an order."""
    words = [
        word
        for text in lines()
        for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    ]
    alphabet = sorted({c for word in words for c in word})
    special = BERT + alphabet + [f"##{c}" for c in alphabet]
    theirs = trained(
        models.WordPiece(unk_token="[UNK]"),
        pre_tokenizers.BertPreTokenizer(),
        trainers.WordPieceTrainer(vocab_size=5000, show_progress=False, special_tokens=special),
    )
    hone_train(
        tmp_path / "out",
        "algorithm=wordpiece",
        "normalizer=[]",
        "vocab_size=5000",
        f"special_tokens={json.dumps(special)}",
    )
    assert model_of(tmp_path / "out")["vocab"] == theirs["vocab"]


@pytest.mark.parametrize("vocab_size", [9500, 6600, 3000], ids="{}".format)
def test_unigram(vocab_size, tmp_path):
    """The first size needs no pruning, the second one round of it, the third several.

    Equal scores are the order of a hash table in the reference: pieces are compared by their scores.
    """
    words = ["algorithm=unigram", "normalizer=[]", "special_tokens=[<s>,<unk>]"]
    hone_train(tmp_path / "out", *words, f"vocab_size={vocab_size}")
    theirs = trained(
        models.Unigram(),
        pre_tokenizers.Metaspace(),
        trainers.UnigramTrainer(
            vocab_size=vocab_size,
            show_progress=False,
            special_tokens=["<s>", "<unk>"],
            unk_token="<unk>",
        ),
    )
    ours = dict(map(tuple, model_of(tmp_path / "out")["vocab"]))
    theirs = dict(map(tuple, theirs["vocab"]))
    assert ours.keys() == theirs.keys()
    # characters that no round kept get the least score and a bit, in that order
    far = [piece for piece in ours if abs(ours[piece] - theirs[piece]) > 1e-9]
    assert all(len(piece) == 1 for piece in far) and len(far) < 10


@pytest.mark.parametrize("algorithm", ["byte_level_bpe", "bpe", "unigram", "wordpiece"])
def test_both_read_the_files(algorithm, tmp_path):
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "out"
    hone_train(out, f"algorithm={algorithm}", "vocab_size=3000")
    loaded = transformers.AutoTokenizer.from_pretrained(str(out))
    is_bert = algorithm == "wordpiece"
    roles = ["bos_token", "eos_token", "pad_token", "unk_token", "mask_token"]
    names = BERT if is_bert else ROBERTA
    expected = (
        [None, None, names[0], names[1], names[4]]
        if is_bert
        else [names[i] for i in (0, 2, 1, 3, 4)]
    )
    assert [getattr(loaded, role) for role in roles] == expected
    texts = [text for text in lines()[:300] if text.strip()] + ["naïve café 中国 <mask> [MASK]"]
    done = subprocess.run(
        [str(HONE), "tokenize", str(out)],
        input="\n".join(texts) + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours = [json.loads(line)["ids"] for line in done.stdout.splitlines()]
    assert ours == loaded(texts)["input_ids"]
    raw = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert ours == [encoding.ids for encoding in raw.encode_batch(texts)]


def test_messages_and_exit_codes(tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("a b c\n")
    train = lambda *words, code: hone_train(tmp_path / "out", *words, data=text, code=code)  # noqa: E731
    assert 'did you mean "wordpiece"?' in train("algorithm=wordpeice", code=2)
    assert "vocab_size is 3" in train("algorithm=bpe", "vocab_size=3", code=2)
    assert 'did you mean "vocab_size"?' in train("vocabsize=3", code=2)
    assert "no such file" in hone_train(tmp_path / "out", data=tmp_path / "none.txt", code=3)
    text.write_text("")
    assert "no texts in it" in train(code=3)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("")
    assert "something is there already" in train(code=2)
