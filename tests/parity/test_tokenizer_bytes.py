"""Byte-level BPE from rank files, from vocab.json with merges.txt, and CLIP's, beside the reference libraries: ids, offsets, decoding.

Drives build/*/tokenizer_bench, as tests/parity/test_tokenizer.py does. HONE_ATTACK=1 takes all texts of the data sets.
"""

import json
import random

import pytest
from test_tokenizer import (  # noqa: F401
    TOKENIZERS,
    assert_equal,
    driver,
    pytestmark,
    random_texts,
    some_scalar_values,
)

from tokenizer_driver import (  # noqa: E402
    CL100K,
    LETTERS,
    RANKS,
    corpus,
    rank_tokenizer,
    read_ranks,
    some_texts,
    write_clip_files,
)

from tokenizers import (  # noqa: E402
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize("name", RANKS)
def test_rank_files(driver, name, tmp_path):  # noqa: F811
    peer = rank_tokenizer(name)
    driver.load(TOKENIZERS / name)
    texts = random_texts(20, 1_500) + some_texts()
    assert assert_equal(driver, peer, texts) > 20_000
    driver.texts(texts[:5_000])
    ids = [encoding.ids for encoding in peer.encode_batch(texts[:5_000])]
    assert driver.decode(False) == [peer.decode(one, skip_special_tokens=False) for one in ids]
    driver.ask(f"save {tmp_path}")
    driver.load(tmp_path)
    assert_equal(driver, Tokenizer.from_file(str(tmp_path / "tokenizer.json")), texts[:3_000])


def merged_by_definition(ranks, word):
    if word in ranks:
        return [ranks[word]]
    parts = [word[i : i + 1] for i in range(len(word))]
    while True:
        joined = [ranks.get(a + b, 1 << 30) for a, b in zip(parts, parts[1:])]
        if not joined or min(joined) == 1 << 30:
            return [ranks[part] for part in parts]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_ranks_mean_what_tiktoken_means(driver):  # noqa: F811
    ranks = read_ranks("cl100k_base")
    draw = random.Random(21)
    words = ["".join(draw.choices("aab", k=draw.randrange(1, 40))) for _ in range(2_000)]
    words += ["".join(draw.choices("abcdefghijklmnopqrst", k=12)) for _ in range(2_000)]
    driver.load(TOKENIZERS / "cl100k_base")
    driver.texts(words)
    assert [answer["ids"] for answer in driver.encode(plain=True)] == [
        merged_by_definition(ranks, word.encode()) for word in words
    ]


# Categories by which \p{…} tells characters apart, each alone and between letters.
@pytest.mark.parametrize("pattern", [CL100K, O200K], ids=["cl100k", "o200k"])
def test_patterns_know_every_character(driver, pattern, tmp_path):  # noqa: F811
    vocab = {letter: i for i, letter in enumerate(LETTERS.values())}
    peer = Tokenizer(models.BPE(vocab, []))
    peer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    texts = [f"a{c}B{c}{c}1" for c in some_scalar_values()]
    texts += [f"{draw}{c} {c}" for draw in ("X'", "é") for c in map(chr, range(0x3000))]
    for start in range(0, len(texts), 200_000):
        part = texts[start : start + 200_000]
        driver.texts(part)
        theirs = peer.encode_batch(part)
        for text, ours, their in zip(part, driver.words(), theirs, strict=True):
            assert ours[0] == their.word_ids, ascii(text)


@pytest.mark.parametrize("behavior", ["removed", "isolated", "merged_with_previous", "contiguous"])
@pytest.mark.parametrize("invert", [False, True])
def test_split_behaviours(driver, behavior, invert, tmp_path):  # noqa: F811
    vocab = {letter: i for i, letter in enumerate(LETTERS.values())}
    peer = Tokenizer(models.BPE(vocab, []))
    peer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{L}+|[^\s\p{L}]{2,3}?|\d"), behavior, invert),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    assert_equal(driver, peer, random_texts(22, 2_000))


@pytest.mark.parametrize("form", ["list of merges", "vocab.json and merges.txt", "tokenizer.json"])
def test_clip(driver, form, tmp_path):  # noqa: F811
    transformers = pytest.importorskip("transformers")
    write_clip_files(tmp_path)
    peer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert type(peer).__name__ == "CLIPTokenizer"
    if form == "tokenizer.json":
        peer.save_pretrained(str(tmp_path))
    folder = TOKENIZERS / "clip" if form == "list of merges" else tmp_path
    assert driver.load(folder)["vocab_size"] == 49408
    texts = random_texts(23, 1_500) + some_texts() + ["It's <|startoftext|> a\u3000 b", ""]
    assert_equal(driver, peer.backend_tokenizer, texts)
    texts = texts[-4_000:]
    driver.texts(texts)
    ids = [peer(text)["input_ids"] for text in texts]
    for skip in (True, False):  # Python's strip() takes control characters too
        ours = [text.strip() for text in driver.decode(skip)]
        assert ours == [peer.decode(one, skip_special_tokens=skip) for one in ids]


@pytest.mark.parametrize(
    "name, special",
    [
        ("RobertaTokenizer", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]),
        ("BartTokenizer", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]),
        ("GPT2Tokenizer", ["<|endoftext|>"]),
        ("DebertaTokenizer", ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]),
        ("Qwen2Tokenizer", ["<|endoftext|>", "<|im_start|>"]),
    ],
)
def test_vocab_json_with_merges_txt(driver, name, special, tmp_path):  # noqa: F811
    transformers = pytest.importorskip("transformers")
    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2_000,
        show_progress=False,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    peer.train_from_iterator(corpus(2_000), trainer)
    peer.model.save(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    loaded = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    driver.load(tmp_path)
    some = random_texts(24, 2_000) + some_texts() + [f"a {token} b" for token in special]
    # here <mask> takes the blank before it along, as RoBERTa's own tokenizer.json says
    some = [text for text in some if "mask" not in text.lower()]
    assert_equal(driver, loaded.backend_tokenizer, some)
    pairs = [[a, b] for a, b in zip(some[:4_000:2], some[1:4_000:2])]
    driver.texts(pairs)
    theirs = loaded.backend_tokenizer.encode_batch([tuple(pair) for pair in pairs])
    assert [answer["ids"] for answer in driver.encode()] == [one.ids for one in theirs]


def test_the_form_of_modernbert(driver, tmp_path):  # noqa: F811
    """Byte-level BPE of GPT-NeoX: runs of blanks are added tokens, between the model's and BERT's own."""
    peer = Tokenizer(models.BPE())
    peer.normalizer = normalizers.NFC()
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=3_000,
        show_progress=False,
        special_tokens=["|||IP_ADDRESS|||", "<|padding|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    peer.train_from_iterator(corpus(2_000), trainer)
    peer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    peer.add_tokens([AddedToken("|||EMAIL_ADDRESS|||", normalized=True)])
    peer.add_special_tokens(
        [
            *(AddedToken(t, normalized=False) for t in ("[UNK]", "[CLS]", "[SEP]", "[PAD]")),
            AddedToken("[MASK]", lstrip=True, normalized=False),
            *(AddedToken(f"[unused{i}]", normalized=True, special=False) for i in range(83)),
        ]
    )
    cls, sep = ("[CLS]", peer.token_to_id("[CLS]")), ("[SEP]", peer.token_to_id("[SEP]"))
    peer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        special_tokens=[cls, sep],
    )
    peer.decoder = decoders.ByteLevel()
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    draw = random.Random(25)
    parts = [
        " ",
        "  ",
        "   ",
        "a",
        "\n",
        "\t",
        "[MASK]",
        "[unused7]",
        "e\u0301",
        "|||IP_ADDRESS|||",
    ]
    mixed = ["".join(draw.choices(parts, k=draw.randrange(1, 30))) for _ in range(3_000)]
    some = mixed + random_texts(26, 3_000) + some_texts()
    assert_equal(driver, peer, some)
    some = some[:6_000]
    driver.texts(some)
    ids = [encoding.ids for encoding in peer.encode_batch(some)]
    assert driver.decode(True) == [peer.decode(one, skip_special_tokens=True) for one in ids]
