"""hone's tokenizer beside Hugging Face tokenizers: ids, byte offsets, words and segments are equal, and saved files load there.

Drives build/*/tokenizer_bench (bench/tokenizer.cpp); run with .venv-peers/bin/python -m pytest tests/parity/test_tokenizer.py
Of each data set 40 texts are taken and of all code points beyond U+3000 every 17th; HONE_ATTACK=1 takes all.
"""

import contextlib
import gc
import json
import os
import pathlib
import random
import sys
import unicodedata

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
tokenizers = pytest.importorskip("tokenizers")
from tokenizer_driver import (  # noqa: E402
    BERT,
    TOKENIZERS,
    Driver,
    bert_tokenizer,
    byte_offsets,
    find_program,
    gpt2_tokenizer,
    some_texts,
)

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

pytestmark = [
    pytest.mark.skipif(
        find_program() is None,
        reason="no tokenizer_bench under build/; build it, or set HONE_TOKENIZER_BENCH",
    ),
    pytest.mark.skipif(
        not TOKENIZERS.exists(),
        reason=f"no {TOKENIZERS}; set HONE_SHARED to the folder that holds it",
    ),
]
BYTE_LEVEL = {
    "gpt2": gpt2_tokenizer,
    "roberta-base": lambda: Tokenizer.from_file(str(TOKENIZERS / "roberta-base/tokenizer.json")),
}
NAMES = [*BERT, *BYTE_LEVEL]
IS_LONG = os.environ.get("HONE_ATTACK") == "1"


@pytest.fixture(scope="module")
def driver():
    driver = Driver()
    yield driver
    driver.close()


def reference(name):
    return bert_tokenizer(name) if name in BERT else BYTE_LEVEL[name]()


@contextlib.contextmanager
def uncollected():
    """Millions of small lists without a cycle: the collector would walk them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@uncollected()
def assert_equal(driver, peer, texts):
    """Ids and offsets with special tokens, by the fast path and by the parts; the number of tokens compared."""
    count = 0
    for start in range(0, len(texts), 20_000):
        part = texts[start : start + 20_000]
        driver.texts(part)
        for text, ours, theirs in zip(part, driver.encode(), peer.encode_batch(part), strict=True):
            assert ours["ids"] == theirs.ids, ascii(text)
            assert ours["offsets"] == byte_offsets(text, theirs.offsets), ascii(text)
            count += len(theirs.ids)
        assert driver.ask("parts")[0]["different"] == 0
    return count


def scalar_values():
    return (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def some_scalar_values():
    step = 1 if IS_LONG else 17
    return (c for c in scalar_values() if c < "\u3000" or ord(c) % step == 0)


def random_texts(seed, count):
    """Texts of what tokenizers stumble over, each from one to four kinds of it."""
    draw = random.Random(seed)
    marks = [c for c in scalar_values() if unicodedata.combining(c)]
    pick = lambda first, last: lambda: chr(draw.randrange(first, last + 1))  # noqa: E731
    choose = lambda items: lambda: draw.choice(items)  # noqa: E731
    kinds = [
        *(
            pick(*r)
            for r in (
                (0x20, 0x7E),
                (0, 0xFF),
                (0x300, 0x36F),
                (0x100, 0x5FF),
                (0x1E00, 0x1FFF),
                (0x4E00, 0x9FFF),
            )
        ),
        *(
            pick(*r)
            for r in (
                (0xAC00, 0xD7A3),
                (0x900, 0xE7F),
                (0x20000, 0x2FFFF),
                (0x1F300, 0x1FAFF),
                (0x590, 0x6FF),
                (0xF900, 0xFFFF),
            )
        ),
        choose(marks),
        choose(marks),
        choose(
            [
                " ",
                "\t",
                "\n",
                "\r",
                "\x0b",
                "\x0c",
                "\x85",
                "\xa0",
                "\u2028",
                "\u3000",
                "\u200b",
                "\ufeff",
                "\x1c",
                "\0",
                "\ufffd",
            ]
        ),
        choose(["\u200d", "\ufe0f", "\U0001f468\u200d\U0001f469", "\U0001f1e9\U0001f1ea"]),
        choose(
            "\u0130\u0131\u03a3\u03c2\u1e9e\u0344\u0f73\u0f71\u0f72\u302e\u302f\U0001d15e\U0001d165\u1ac0\u08d4\u1dfb\u2260\u1fed\u212b\u3099\u1100\u1161\u11a8"
        ),
        choose(
            [
                "[SEP]",
                "[CLS]",
                "[MASK]",
                "[sep]",
                "<mask>",
                "<s>",
                "</s>",
                "<|endoftext|>",
                "'s",
                "'ll",
                "'S",
                "##ing",
            ]
        ),
        choose(
            [
                "the",
                "playing",
                "unaffable",
                "Straße",
                "naïve",
                "e\u0301",
                "o\u0308\u0323",
                "中国",
                "한국어",
                "مرحبا",
                "नमस्ते",
            ]
        ),
        lambda: chr(draw.choice((draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)))),
    ]
    out = []
    for _ in range(count):
        some = draw.sample(kinds, draw.randrange(1, 5))
        out.append("".join(draw.choice(some)() for _ in range(draw.randrange(1, 25))))
    return out


@pytest.mark.parametrize("name", NAMES)
def test_expected_ids(driver, name):
    texts = json.loads((TOKENIZERS / "expected/texts.json").read_text())
    rows = {
        row["tokenizer"]: row
        for row in map(
            json.loads, (TOKENIZERS / "expected/expected.jsonl").read_text().splitlines()
        )
    }
    assert driver.load(TOKENIZERS / name, BERT.get(name))["vocab_size"] == rows[name]["vocab_size"]
    driver.texts(texts)
    assert [answer["ids"] for answer in driver.encode()] == rows[name]["ids"]


@pytest.mark.parametrize("name", NAMES)
def test_texts_of_every_set(driver, name, record_property):
    texts = some_texts()
    assert len(texts) > (500_000 if IS_LONG else 1_500)
    driver.load(TOKENIZERS / name, BERT.get(name))
    record_property("tokens", assert_equal(driver, reference(name), texts))


@pytest.mark.parametrize("name", NAMES)
def test_random_texts(driver, name):
    driver.load(TOKENIZERS / name, BERT.get(name))
    assert (
        assert_equal(driver, reference(name), random_texts(1, 200_000 if IS_LONG else 10_000))
        > 50_000
    )


OPTIONS = [
    dict(lower=lower, strip_accents=strip, chinese=chinese, clean=clean)
    for lower, strip, chinese, clean in (
        (False, True, True, True),
        (True, False, True, True),
        (True, None, False, True),
        (True, None, True, False),
        (False, None, False, False),
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_normalizer_options(driver, options, tmp_path):
    peer = bert_tokenizer("bert-base-multilingual-cased", **options)
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    assert_equal(driver, peer, random_texts(2, 5_000))


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-cased", "roberta-base"])
def test_every_code_point_alone_and_between_letters(driver, name):
    driver.load(TOKENIZERS / name, BERT.get(name))
    peer = reference(name)
    texts = [text for c in some_scalar_values() for text in (c, f"a{c}B")]
    assert len(texts) > (2 * 0x10F000 if IS_LONG else 2 * 0x10000)
    assert_equal(driver, peer, texts)


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "gpt2"])
def test_pairs_words_and_segments(driver, name):
    driver.load(TOKENIZERS / name, BERT.get(name))
    texts = random_texts(3, 2_000)
    pairs = [[first, second] for first, second in zip(texts[::2], texts[1::2])]
    driver.texts(pairs + texts)
    theirs = reference(name).encode_batch([tuple(pair) for pair in pairs] + texts)
    for ours, (words, segments), peer in zip(driver.encode(), driver.words(), theirs, strict=True):
        assert ours["ids"] == peer.ids
        assert words == [-1 if word is None else word for word in peer.word_ids]
        assert segments == peer.type_ids


@pytest.mark.parametrize("name", NAMES)
def test_decoding(driver, name):
    driver.load(TOKENIZERS / name, BERT.get(name))
    peer = reference(name)
    texts = [
        "I don't think it's there , is it ?",
        "We 've [MASK] do not ' x ' !",
        "naïve café 中国 <mask> 😀",
    ] + random_texts(4, 3_000)
    driver.texts(texts)
    ids = [encoding.ids for encoding in peer.encode_batch(texts)]
    for skip in (True, False):
        assert driver.decode(skip) == [peer.decode(one, skip_special_tokens=skip) for one in ids]


def small_wordpiece():
    return models.WordPiece.from_file(
        str(TOKENIZERS / "bert-base-multilingual-cased/vocab.txt"), unk_token="[UNK]"
    )


@pytest.mark.parametrize("flags", range(32))
def test_added_tokens(driver, flags, tmp_path):
    peer = bert_tokenizer("bert-base-uncased")
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    chosen = {name: bool(flags >> i & 1) for i, name in enumerate(names)}
    peer.add_tokens(
        [
            AddedToken(content, **chosen)
            for content in ("Day", "<new>", "<new>s", "Café", " of", "_x")
        ]
    )
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    draw = random.Random(flags)
    parts = [
        "day",
        "Day",
        "DAY",
        "<new>",
        "<new>s",
        "Café",
        "cafe",
        " of",
        "_x",
        " ",
        "\u3000",
        "a",
        "é",
        "\u0301",
        "-",
        "[SEP]",
        "中",
    ]
    assert_equal(
        driver, peer, ["".join(draw.choices(parts, k=draw.randrange(1, 12))) for _ in range(1_000)]
    )


NORMALIZERS = {
    "nfc": normalizers.NFC(),
    "nfd": normalizers.NFD(),
    "nfkc": normalizers.NFKC(),
    "nfkd": normalizers.NFKD(),
    "accents": normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    ),
    "strip": normalizers.Sequence(
        [normalizers.Strip(), normalizers.Replace("e", "££"), normalizers.Prepend("x")]
    ),
    "none": None,
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_other_normalizers(driver, name, tmp_path):
    peer = Tokenizer(small_wordpiece())
    if NORMALIZERS[name] is not None:
        peer.normalizer = NORMALIZERS[name]
    peer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    assert_equal(driver, peer, random_texts(5, 3_000))


PRE_TOKENIZERS = {
    "whitespace": pre_tokenizers.Whitespace(),
    "whitespace_split": pre_tokenizers.WhitespaceSplit(),
    "none": None,
    **{
        f"punctuation_{b}": pre_tokenizers.Punctuation(b)
        for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
    },
    "sequence": pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_next")]
    ),
}


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_other_pre_tokenizers(driver, name, tmp_path):
    peer = Tokenizer(small_wordpiece())
    if PRE_TOKENIZERS[name] is not None:
        peer.pre_tokenizer = PRE_TOKENIZERS[name]
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    assert_equal(driver, peer, random_texts(6, 3_000))
    if name == "whitespace":  # \w and \s for every code point
        assert_equal(driver, peer, [f"a{c}!" for c in some_scalar_values()])


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize(
    "kind", ["roberta", "byte_level", "normalized", "no_regex", "after_punctuation"]
)
def test_byte_level_options(driver, prefix, trim, kind, tmp_path):
    peer = gpt2_tokenizer()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=kind != "no_regex")
    peer.pre_tokenizer = byte_level
    if kind == "after_punctuation":
        peer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), byte_level])
    if kind == "normalized":
        peer.normalizer = normalizers.NFKC()
    peer.post_processor = processors.ByteLevel(trim_offsets=trim)
    if kind == "roberta":
        token = ("<|endoftext|>", 50256)
        peer.post_processor = processors.RobertaProcessing(
            token, token, trim_offsets=trim, add_prefix_space=prefix
        )
        peer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True)])
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    assert_equal(driver, peer, random_texts(7, 3_000))


def test_bpe_without_bytes(driver, tmp_path):
    vocabulary = {token: i for i, token in enumerate(["<unk>", "a", "b", "é", "ab", "aba", "éa"])}
    merges = [("a", "b"), ("ab", "a"), ("é", "a")]
    draw = random.Random(8)
    texts = ["".join(draw.choices("abéxy 中", k=draw.randrange(1, 30))) for _ in range(3_000)]
    for fuse in (False, True):
        peer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=fuse))
        peer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        peer.save(str(tmp_path / "tokenizer.json"))
        driver.load(tmp_path)
        assert_equal(driver, peer, texts)


@pytest.mark.parametrize("name", [*BERT, "roberta-base", "gpt2"])
def test_saved_files_load_in_transformers(driver, name, tmp_path):
    transformers = pytest.importorskip("transformers")
    driver.load(TOKENIZERS / name, BERT.get(name))
    driver.ask(f"save {tmp_path}")
    loaded = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    texts = [text for text in random_texts(9, 3_000)] + [
        "The unaffable [MASK] café 中国",
        "It's <mask> 1,234",
    ]
    driver.texts(texts)
    assert [answer["ids"] for answer in driver.encode()] == loaded(texts)["input_ids"]
    raw = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert_equal(driver, raw, texts)
    if name in BERT:
        (tmp_path / "tokenizer.json").unlink()  # what is left is the older form
        old = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
        assert [answer["ids"] for answer in driver.encode()] == old(texts)["input_ids"]


def test_folder_saved_by_transformers(driver, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(
        vocab=str(TOKENIZERS / "bert-base-cased/vocab.txt"),
        do_lower_case=False,
        model_max_length=128,
    )
    theirs.add_tokens(["<e1>", AddedToken("</e1>", lstrip=True, normalized=False)])
    theirs.save_pretrained(str(tmp_path))
    driver.load(tmp_path)
    texts = random_texts(10, 3_000) + ["a <e1>b </e1> c", "a<e1> </e1>"]
    driver.texts(texts)
    assert [answer["ids"] for answer in driver.encode()] == theirs(texts)["input_ids"]
