"""SentencePiece's tokenizers beside Hugging Face tokenizers and Transformers' converters: ids, byte offsets, words, decoded texts.

HONE_ATTACK=1 compares every text of the data sets; else some of them.
"""

import functools
import json
import os
import types

import pytest

tokenizers = pytest.importorskip("tokenizers")
from test_tokenizer import TOKENIZERS, assert_equal, driver, pytestmark, random_texts  # noqa: E402, F401
from tokenizer_driver import charsmap, corpus, some_texts, xlm_roberta_tokenizer  # noqa: E402

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

IS_LONG = "HONE_ATTACK" in os.environ
EXPECTED = {
    "t5-small": "t5-small",
    "phi-3-mini": "phi-3-mini",
    "albert-base-v2": "albert-base-v2/spiece.model",
    "xlnet-base-cased": "xlnet-base-cased/spiece.model",
    "opus-mt-en-mg(source.spm)": "opus-mt-en-mg/source.spm",
    "opus-mt-en-mg(target.spm)": "opus-mt-en-mg/target.spm",
    "llama2(tokenizer.model)": "llama2/tokenizer.model",
    "stories260K": "stories260K/tok512.model",
    "babyllama-tok105": "babyllama-tok105/tok105.model",
    "sentencepiece-test(test_model)": "sentencepiece-test/test_model.model",
    "sentencepiece-test(test_ja_model)": "sentencepiece-test/test_ja_model.model",
    "sentencepiece-test(test_sentencepiece_bpe)": "sentencepiece-test/test_sentencepiece_bpe.model",
}
ODD_TEXTS = [
    "",
    " ",
    "  \n ",
    "a",
    " a",
    "a ",
    "  a  b ",
    "a\nb\n\nc\r\nd",
    "\ta\u3000b\u00a0\u00a0c",
    "\u2581a \u2581 b\u2581",
    "<s>a</s> <unk><mask> x<mask>y  <mask>  z",
    "``quoted'' don't 1,234, 9,",
    "\u00bd \ufb01ne \u2460\u0301 e\u0301 \u1100\u1161\u11a8 \ud55c\uad6d\uc5b4 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f468\u200d\U0001f469 \U0001f1e9\U0001f1ea \u200b\u200d\ufeff \x01\x02a\x01",
    "a" * 300,
    "\u4e2d" * 200,
    "\U0001f600" * 50,
    "\u0301" * 40,
]


def texts():
    return ODD_TEXTS + some_texts() + random_texts(11, 100_000 if IS_LONG else 2_500)


def model_proto(path):
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()  # the one that its converters take: there are two
    proto.ParseFromString(path.read_bytes())
    return proto


@functools.cache
def small_unigram(unk="<unk>", special=("<s>", "<pad>", "</s>", "<unk>")):
    """Pieces and scores that the reference trains, special ones first."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Precompiled(charsmap())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        corpus(6_000),
        trainers.UnigramTrainer(
            vocab_size=3_000, special_tokens=list(special), unk_token=unk, show_progress=False
        ),
    )
    return [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]


def unigram(normalizer, pre_tokenizer, template, special, byte_fallback=False, pieces=None):
    pieces = pieces or small_unigram()
    unk = [piece for piece, _ in pieces].index("<unk>")
    tokenizer = Tokenizer(models.Unigram(pieces, unk, byte_fallback))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True)])
    names = ("<s>", "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template[0],
        pair=template[1],
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )
    return tokenizer


ROBERTA = ("<s> $A </s>", "<s> $A </s> </s> $B </s>")
BERT = ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1")
BYTES = [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def metaspace(scheme="always", split=True):
    return pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)


def words_and_metaspace(scheme="always"):
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace(scheme)])


def precompiled(*others):
    return normalizers.Sequence([normalizers.Precompiled(charsmap()), *others])


def albert():
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD()]
    steps += [normalizers.StripAccents(), normalizers.Lowercase()]
    normalizer = normalizers.Sequence(
        [*steps, normalizers.Precompiled(charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    return unigram(normalizer, metaspace(), BERT, SPECIAL)


def deberta(split_by_punct=False, lower=False):
    steps = [normalizers.Strip(), normalizers.Precompiled(charsmap())]
    normalizer = normalizers.Sequence(
        [normalizers.Lowercase()] * lower + steps + [normalizers.Replace(Regex(" {2,}"), " ")]
    )
    split = [pre_tokenizers.Punctuation("isolated")] if split_by_punct else []
    return unigram(normalizer, pre_tokenizers.Sequence([*split, metaspace()]), BERT, SPECIAL)


def deberta_of_today():
    normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False, right=True),
        ]
    )
    return unigram(normalizer, pre_tokenizers.Sequence([metaspace()]), BERT, SPECIAL)


def converted_fairseq():
    normalizer = precompiled(
        normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")
    )
    return unigram(normalizer, metaspace(), ROBERTA, SPECIAL)


@functools.cache
def small_bpe():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=3_000, special_tokens=special, limit_alphabet=300, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(6_000), trainer)
    return json.loads(tokenizer.to_str())["model"]


def bpe(legacy, fuse_unk=True, byte_fallback=True, missing=(), ignore_merges=False):
    model = small_bpe()
    vocabulary = {token: i for token, i in model["vocab"].items() if token not in missing}
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary,
            [tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=fuse_unk,
            byte_fallback=byte_fallback,
            ignore_merges=ignore_merges,
        )
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = metaspace("first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def modernbert():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3_000,
        special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(6_000), trainer)
    tokenizer.add_tokens(
        [AddedToken(" " * n, normalized=True, special=False) for n in range(24, 1, -1)]
        + [AddedToken("|||EMAIL_ADDRESS|||", normalized=True)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


def mpnet():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=3_000,
        special_tokens=["<s>", "<pad>", "</s>", "[UNK]", "<mask>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(6_000), trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    return tokenizer


def camembert():
    """As Transformers' class makes it of trained pieces: five tokens before them, <mask> after them."""
    transformers = pytest.importorskip("transformers")
    pieces = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0)]
    pieces += [("<unk>NOTUSED", -100.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += small_unigram()[len(SPECIAL) :] + [("<mask>", 0.0)]
    return transformers.CamembertTokenizer(
        vocab=pieces, _spm_precompiled_charsmap=charsmap()
    ).backend_tokenizer


def mpnet_of_transformers():
    transformers = pytest.importorskip("transformers")
    vocabulary = json.loads(mpnet().to_str())["model"]["vocab"]
    return transformers.MPNetTokenizer(vocab=vocabulary).backend_tokenizer


def real(name):
    return Tokenizer.from_file(str(TOKENIZERS / name / "tokenizer.json"))


FORMS = {
    "t5-small": lambda: real("t5-small"),
    "phi-3-mini": lambda: real("phi-3-mini"),
    "xlm-roberta": xlm_roberta_tokenizer,
    "albert": albert,
    "deberta": deberta,
    "deberta-lower": lambda: deberta(lower=True),
    "deberta-punctuation": lambda: deberta(split_by_punct=True),
    "deberta-of-today": deberta_of_today,
    "fairseq": converted_fairseq,
    "unigram-bytes": lambda: unigram(
        precompiled(), metaspace(), ROBERTA, SPECIAL, True, small_unigram() + BYTES
    ),
    "unigram-some-bytes": lambda: unigram(
        precompiled(), metaspace(), ROBERTA, SPECIAL, True, small_unigram() + BYTES[:200]
    ),
    "unigram-first": lambda: unigram(None, words_and_metaspace("first"), ROBERTA, SPECIAL),
    "unigram-never": lambda: unigram(normalizers.NFKC(), metaspace("never"), ROBERTA, SPECIAL),
    "unigram-whole": lambda: unigram(precompiled(), metaspace(split=False), ROBERTA, SPECIAL),
    "unigram-nmt": lambda: unigram(
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()]), metaspace(), ROBERTA, SPECIAL
    ),
    "unigram-bare": lambda: unigram(None, None, ROBERTA, SPECIAL),
    "llama": lambda: bpe(legacy=True),
    "llama-of-today": lambda: bpe(legacy=False),
    "bpe-unknown": lambda: bpe(legacy=True, byte_fallback=False),
    "bpe-each-unknown": lambda: bpe(legacy=True, fuse_unk=False, byte_fallback=False),
    "bpe-whole-words": lambda: bpe(legacy=False, ignore_merges=True),
    "modernbert": modernbert,
    "mpnet": mpnet,
    "mpnet-of-transformers": mpnet_of_transformers,
    "camembert": camembert,
}


@functools.cache
def form(name):
    return FORMS[name]()


@pytest.fixture
def loaded(driver, request, tmp_path):  # noqa: F811
    peer = form(request.param)
    peer.save(str(tmp_path / "tokenizer.json"))
    driver.load(tmp_path)
    return driver, peer


@pytest.mark.parametrize("loaded", FORMS, indirect=True)
def test_ids_and_offsets(loaded):
    driver, peer = loaded  # noqa: F811
    assert assert_equal(driver, peer, texts()) > 20_000


@pytest.mark.parametrize("loaded", ["unigram-whole", "deberta"], indirect=True)
def test_every_code_point_after_one_that_the_table_changes(loaded):
    """Whether it is a mark decides what the table makes of both."""
    driver, peer = loaded  # noqa: F811
    end = 0x110000 if IS_LONG else 0x2000
    texts = [f"\u02dc{chr(c)}" for c in range(0x80, end) if not 0xD800 <= c < 0xE000]
    assert_equal(driver, peer, texts)


@pytest.mark.parametrize("loaded", FORMS, indirect=True)
def test_pairs_and_words(loaded):
    driver, peer = loaded  # noqa: F811
    some = ODD_TEXTS + random_texts(12, 400)
    pairs = [list(pair) for pair in zip(some, some[1:])]
    driver.texts(pairs + some)
    theirs = peer.encode_batch([tuple(pair) for pair in pairs] + some)
    for ours, (words, segments), one in zip(driver.encode(), driver.words(), theirs, strict=True):
        assert ours["ids"] == one.ids
        assert words == [-1 if word is None else word for word in one.word_ids]
        assert segments == one.type_ids


@pytest.mark.parametrize("loaded", FORMS, indirect=True)
def test_decoding(loaded):
    driver, peer = loaded  # noqa: F811
    some = ODD_TEXTS + random_texts(13, 1_000)
    driver.texts(some)
    ids = [encoding.ids for encoding in peer.encode_batch(some)]
    for skip in (True, False):
        assert driver.decode(skip) == [peer.decode(one, skip_special_tokens=skip) for one in ids]


@pytest.mark.parametrize("loaded", ["xlm-roberta", "albert", "llama", "modernbert"], indirect=True)
def test_what_is_saved_is_the_same_tokenizer(loaded, tmp_path):
    driver, peer = loaded  # noqa: F811
    driver.ask(f"save {tmp_path / 'saved'}")
    again = Tokenizer.from_file(str(tmp_path / "saved/tokenizer.json"))
    some = ODD_TEXTS + random_texts(14, 1_000)
    assert [one.ids for one in again.encode_batch(some)] == [
        one.ids for one in peer.encode_batch(some)
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_expected_ids(driver, name):  # noqa: F811
    rows = map(json.loads, (TOKENIZERS / "expected/expected.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["tokenizer"] == name)
    assert driver.load(TOKENIZERS / EXPECTED[name])["vocab_size"] == row["vocab_size"]
    driver.texts(json.loads((TOKENIZERS / "expected/texts.json").read_text()))
    assert [answer["ids"] for answer in driver.encode()] == row["ids"]


def convert(converter, path, **options):
    """What the converter makes of a file, without the slow tokenizer that it asks a few things."""
    pieces = [piece.piece for piece in model_proto(path).pieces]
    options.setdefault("ids", lambda token: pieces.index(token))
    slow = types.SimpleNamespace(vocab_file=str(path), convert_tokens_to_ids=options.pop("ids"))
    for key, value in options.items():
        setattr(slow, key, value)
    return converter(slow).converted()


def fairseq_ids(token):
    return {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}[token]


CONVERTERS = {
    "AlbertTokenizer": ("AlbertConverter", dict(keep_accents=False, do_lower_case=True), {}),
    "XLNetTokenizer": ("XLNetConverter", dict(keep_accents=False, do_lower_case=False), {}),
    "XLMRobertaTokenizer": ("XLMRobertaConverter", dict(ids=fairseq_ids), {}),
    "CamembertTokenizer": (
        "CamembertConverter",
        dict(ids=lambda token: {"<s>": 5, "</s>": 6}[token]),
        {},
    ),
    "MBartTokenizer": ("MBartConverter", dict(ids={"</s>": 2, "en_XX": 32004}.get), {}),
    "MBart50Tokenizer": (
        "MBart50Converter",
        dict(ids={"</s>": 2, "nl_XX": 32019, "en_XX": 32004}.get),
        {},
    ),
    "T5TokenizerFast": ("T5Converter", dict(_extra_ids=100), {}),
    "DebertaV2Tokenizer": (
        "DebertaV2Converter",
        dict(do_lower_case=True, split_by_punct=True),
        dict(do_lower_case=True, split_by_punct=True),
    ),
}
PIECES_OF = {"AlbertTokenizer": "albert-base-v2", "DebertaV2Tokenizer": "albert-base-v2"}


@pytest.mark.parametrize("name", CONVERTERS)
def test_models_are_read_as_the_converters_make_them(driver, name, tmp_path):  # noqa: F811
    slow = pytest.importorskip("transformers.convert_slow_tokenizer")
    pytest.importorskip("google.protobuf")
    converter, options, config = CONVERTERS[name]
    source = TOKENIZERS / PIECES_OF.get(name, "xlnet-base-cased") / "spiece.model"
    peer = convert(getattr(slow, converter), source, **options)
    (tmp_path / "spm.model").write_bytes(source.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **config}))
    assert driver.load(tmp_path)["vocab_size"] == peer.get_vocab_size()
    # Both files have symbols of their users, which SentencePiece prefers to all else; the converters
    # cut the text at them. Special tokens are the tokenizer's, which the converters know nothing of.
    left_out = '<>[]()"-.–£€'
    some = [text for text in texts() if not set(left_out) & set(text)]
    assert assert_equal(driver, peer, some) > 5_000


MARIAN = TOKENIZERS / "opus-mt-en-mg"


@pytest.mark.parametrize("side", ["source", "target"])
def test_marian_ids_are_those_of_the_list(driver, side):  # noqa: F811
    """SentencePiece's own pieces of both models, by their ids in vocab.json."""
    rows = map(json.loads, (TOKENIZERS / "expected/expected.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["tokenizer"] == f"opus-mt-en-mg({side}.spm)")
    pieces = [piece.piece for piece in model_proto(MARIAN / f"{side}.spm").pieces]
    ids = json.loads((MARIAN / "vocab.json").read_text())
    assert driver.load(MARIAN)["vocab_size"] == len(ids)
    if side == "target":
        driver.ask("target")
    driver.texts(json.loads((TOKENIZERS / "expected/texts.json").read_text()))
    for answer, expected in zip(driver.encode(plain=True), row["ids"], strict=True):
        assert len(answer["ids"]) == len(expected)
        for ours, theirs in zip(answer["ids"], expected):
            if theirs != 0:  # what no piece covers may be a piece of the other model
                assert ours == ids.get(pieces[theirs], ids["<unk>"])


def test_marian_keeps_marks_as_sentencepiece_does(driver):  # noqa: F811
    """Its table goes by its longest keys, not by graphemes: of a circled one and an accent both stay."""
    ids = json.loads((MARIAN / "vocab.json").read_text())
    driver.load(MARIAN)
    driver.texts(["\u2460\u0301"])
    assert driver.encode(plain=True)[0]["ids"] == [ids["\u25811"], ids["\u0301"]]


def assert_equal_but_for_ties(ours, theirs, peer, pieces):
    """SentencePiece adds up scores in single precision, over the whole text: of ways to cut it whose scores are equal ("1", "11" and "11", "1") it may take another one."""

    def score(ids):
        return sum(pieces.get_score(pieces.piece_to_id(t)) for t in peer.convert_ids_to_tokens(ids))

    assert len(ours) == len(theirs)
    ties = [(a, b) for a, b in zip(ours, theirs) if a != b]
    assert len(ties) <= len(ours) / 1000
    for a, b in ties:
        assert score(a) == pytest.approx(score(b), abs=1e-3)


@pytest.mark.parametrize("side", ["source", "target"])
def test_marian_is_transformers_tokenizer(driver, side):  # noqa: F811
    pytest.importorskip("sentencepiece")
    import transformers

    peer = transformers.MarianTokenizer.from_pretrained(MARIAN)
    driver.load(MARIAN)
    if side == "target":
        driver.ask("target")
    # A run of unknown characters goes on through blanks there where "\u2581" has no piece; here it
    # has one. Texts that spell a mark of SentencePiece are left out.
    some = [text for text in texts() if "\u2581" not in text] + [">>mlg<< a >>b<<", ">> a << b"]
    driver.texts(some)
    way = {"text_target": some} if side == "target" else {"text": some}
    expected = peer(**way)["input_ids"]
    pieces = peer.spm_target if side == "target" else peer.spm_source
    assert_equal_but_for_ties([a["ids"] for a in driver.encode()], expected, peer, pieces)
    assert driver.decode(skip=True) == peer.batch_decode(expected, skip_special_tokens=True)


def test_llama_merges_are_those_of_the_published_file(driver, tmp_path):  # noqa: F811
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.model").write_bytes((TOKENIZERS / "llama2/tokenizer.model").read_bytes())
    driver.load(tmp_path)
    driver.ask(f"save {tmp_path / 'saved'}")
    ours = json.loads((tmp_path / "saved/tokenizer.json").read_text())["model"]
    theirs = json.loads((TOKENIZERS / "phi-3-mini/tokenizer.json").read_text())["model"]
    assert ours["vocab"] == theirs["vocab"]
    assert [" ".join(merge) for merge in ours["merges"]] == theirs["merges"]
    peer = Tokenizer.from_file(str(TOKENIZERS / "phi-3-mini/tokenizer.json"))
    assert_equal(driver, peer, [text for text in texts() if "<" not in text])


LONG_FORMS = ["xlm-roberta", "albert", "deberta-of-today", "unigram-whole", "llama", "modernbert"]


@pytest.mark.parametrize("loaded", LONG_FORMS, indirect=True)
@pytest.mark.parametrize("unit", ["a", "\u0301", " ", "\ue000", "a ", "e\u0301\n"], ids=ascii)
def test_a_megabyte_of_one_thing(loaded, unit):
    """Time that grew with its square would end this in hours."""
    driver, _ = loaded  # noqa: F811
    driver.texts([unit * (1_000_000 // len(unit.encode()))])
    assert driver.ask("parts")[0]["different"] == 0
