"""The special tokens that stand beside a tokenizer's own file, read as Transformers reads them: with tokenizer.json and without."""

import json
import os
import subprocess
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]
HONE = Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve()
pytestmark = pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built")

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] [unused1] [unused5] good film ##s [ ] un ##used ##5 unused <s> </s> Good é e café cafe".split()
TEXTS = ["good [unused5] films", "[unused1][unused5]", "Good café [MASK] [new] <s>"]
CONFIG = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
TOKEN = {
    "content": "[unused5]",
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "single_word": False,
}


def special(content, index):
    return {**TOKEN, "content": content, "id": index, "special": True}


def around(*kinds):
    return [
        {"SpecialToken": {"id": kind, "type_id": 0}}
        if kind.startswith("[")
        else {"Sequence": {"id": kind, "type_id": 0}}
        for kind in kinds
    ]


def tokenizer_json(**normalizer):
    ids = {token: index for index, token in enumerate(VOCABULARY)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(token, ids[token]) for token in VOCABULARY[:5]],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
            **normalizer,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": around("[CLS]", "A", "[SEP]"),
            "pair": around("[CLS]", "A", "[SEP]", "B", "[SEP]"),
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def write_folder(folder, config, special_tokens_map=None, added=None, tokenizer=None):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    files = {
        "config.json": {"model_type": "bert"},
        "tokenizer_config.json": config,
        "special_tokens_map.json": special_tokens_map,
        "added_tokens.json": added,
        "tokenizer.json": tokenizer,
    }
    for name, content in files.items():
        if content is not None:
            (folder / name).write_text(json.dumps(content))


def tokenize(folder, texts=TEXTS):
    done = subprocess.run(
        [str(HONE), "tokenize", str(folder)], input="\n".join(texts).encode(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return [line["ids"] for line in lines], done.stderr.decode()


# name: (added to tokenizer_config.json, special_tokens_map.json, added_tokens.json)
FOLDERS = {
    "nothing": ({}, None, None),
    "listed in the map": ({}, {"additional_special_tokens": ["[unused5]"]}, None),
    "listed in the configuration": ({"additional_special_tokens": ["[unused5]"]}, None, None),
    "listed as objects": (
        {"additional_special_tokens": [{"__type": "AddedToken", **TOKEN, "special": True}]},
        None,
        None,
    ),
    "extra, as a list": ({"extra_special_tokens": ["[unused5]"]}, None, None),
    "extra, by names": ({"extra_special_tokens": {"my_token": "[unused5]"}}, None, None),
    "extra, in the map": ({}, {"extra_special_tokens": ["[unused5]"]}, None),
    "extra, in both": (
        {"extra_special_tokens": ["[unused1]"]},
        {"extra_special_tokens": ["[unused5]"]},
        None,
    ),
    "additional, in both": (
        {"additional_special_tokens": ["[unused1]"]},
        {"additional_special_tokens": ["[unused5]"]},
        None,
    ),
    "a name of its own": ({"my_token": "[unused5]"}, None, None),
    "a name of its own, in the map": ({}, {"my_token": "[unused5]"}, None),
    "bos_token": ({"bos_token": "[unused5]"}, None, None),
    "by id": ({"added_tokens_decoder": {"6": {**TOKEN, "special": True}}}, None, None),
    "by id, and a map": (
        {"added_tokens_decoder": {"6": {**TOKEN, "special": True}}},
        {"additional_special_tokens": ["[unused1]"]},
        None,
    ),
    "added_tokens.json": ({}, None, {"[unused5]": 6}),
    "by id, and added_tokens.json": (
        {"added_tokens_decoder": {"6": {**TOKEN, "special": True}}},
        None,
        {"[unused1]": 5},
    ),
    "not in the vocabulary": ({"additional_special_tokens": ["[new]", "[unused5]"]}, None, None),
    "white space goes along": (
        {
            "additional_special_tokens": [
                {"__type": "AddedToken", **TOKEN, "lstrip": True, "special": True}
            ]
        },
        None,
        None,
    ),
}


@pytest.mark.parametrize("has_json", [False, True], ids=["vocab.txt", "tokenizer.json"])
@pytest.mark.parametrize("name", FOLDERS)
def test_special_tokens_are_those_of_transformers(tmp_path, name, has_json):
    config, special_tokens_map, added = FOLDERS[name]
    tokenizer = tokenizer_json() if has_json else None
    write_folder(tmp_path, {**CONFIG, **config}, special_tokens_map, added, tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenize(tmp_path)[0] == theirs(TEXTS)["input_ids"]


def test_a_listed_token_without_a_row_is_told(tmp_path):
    write_folder(tmp_path, {**CONFIG, "additional_special_tokens": ["[new]"]})
    assert (
        f'"[new]" is not in the vocabulary; it gets the id {len(VOCABULARY)}'
        in (tokenize(tmp_path)[1])
    )


def test_cls_and_sep_of_the_map_stand_around_a_text(tmp_path):
    config = {**CONFIG, "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write_folder(tmp_path, config, {"cls_token": "<s>", "sep_token": "</s>"})
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenize(tmp_path)[0] == theirs(TEXTS)["input_ids"]


CONFLICTS = {
    "do_lower_case": ({"do_lower_case": False}, {}, "false", "true"),
    "strip_accents": ({"strip_accents": False}, {}, "false", "true"),
    "tokenize_chinese_chars": ({"tokenize_chinese_chars": False}, {}, "false", "true"),
    "cls_token": ({"cls_token": "<s>"}, {}, '"<s>"', '"[CLS]"'),
    "sep_token": ({"sep_token": {**TOKEN, "content": "</s>"}}, {}, '"</s>"', '"[SEP]"'),
    "unk_token": ({"unk_token": "film"}, {}, '"film"', '"[UNK]"'),
}


@pytest.mark.parametrize("key", CONFLICTS)
def test_tokenizer_json_wins_a_conflict_with_a_warning(tmp_path, key):
    config, normalizer, stated, in_force = CONFLICTS[key]
    write_folder(tmp_path, {**CONFIG, **config}, tokenizer=tokenizer_json(**normalizer))
    ids, stderr = tokenize(tmp_path, ["Good café"])
    assert f'"{key}" is ' in stderr and stated in stderr
    assert f"but tokenizer.json has {in_force}; tokenizer.json is followed" in stderr
    raw = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert ids == [raw("Good café")["input_ids"]]


@pytest.mark.parametrize("key", ["pad_token", "mask_token", "bos_token"])
def test_a_named_token_that_is_nowhere_is_told(tmp_path, key):
    write_folder(tmp_path, {**CONFIG, key: "<nowhere>"}, tokenizer=tokenizer_json())
    assert f'"{key}" is "<nowhere>", which the vocabulary does not have' in tokenize(tmp_path)[1]


def test_files_that_agree_get_no_warning(tmp_path):
    config = {**CONFIG, "strip_accents": None, "cls_token": "[CLS]", "unk_token": "[UNK]"}
    write_folder(tmp_path, config, {"pad_token": "[PAD]"}, tokenizer=tokenizer_json())
    assert tokenize(tmp_path)[1] == ""
