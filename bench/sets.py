"""What all benchmarks share: the real data sets as lists of rows that hone and the peers both get, and where results are kept.

A set is found in $HONE_SHARED/data, else ../shared/data beside the project. `rows(name, split)` reads it with nothing but the standard
library; `write_jsonl` gives hone the very same rows.
"""

import csv
import json
import os
import pathlib
import platform
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
DATA = SHARED / "data"
MINILM = ROOT / "models" / "all-MiniLM-L6-v2"


def processor():
    """Its name, and the instructions that decide which kernels run."""
    fields = {}
    file = pathlib.Path("/proc/cpuinfo")  # Linux
    for line in file.read_text().splitlines() if file.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    return fields.get("model name", platform.processor()), [
        flag for flag in wanted if flag in fields.get("flags", "").split()
    ]


def results_folder():
    """Of each kind of processor one, e.g. bench/results/amd-epyc-avx512-bf16: their figures do not compare."""
    name, flags = processor()
    best = next(
        (flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags), ""
    )
    return (
        ROOT
        / "bench"
        / "results"
        / re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(\w+\)", "", f"{name} {best}").lower()).strip("-")
    )


RESULTS = results_folder()


def _lines(path):
    # Only "\n" ends a line: str.splitlines would cut at U+2028 and the like.
    return path.read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")


def _sst2(split):
    for line in _lines(DATA / "classification/sst2" / f"{split}.tsv"):
        label, text = line.split("\t", 1)
        yield {"text": text, "label": "positive" if label == "1" else "negative"}


def _banking77(split):
    with open(
        DATA / "classification/banking77" / f"{split}.csv", encoding="utf-8", newline=""
    ) as file:
        for row in csv.DictReader(file):
            yield {"text": row["text"], "label": row["category"]}


def _trec(split):
    for line in _lines(DATA / "classification/trec" / f"TREC.{split}"):
        label, text = line.split(" ", 1)
        yield {"text": text, "label": label.split(":")[0]}


def _goemotions(split):
    names = _lines(DATA / "classification/goemotions/labels.txt")
    for line in _lines(DATA / "classification/goemotions" / f"{split}.tsv"):
        text, labels, _ = line.split("\t")
        yield {"text": text, "labels": [names[int(i)] for i in labels.split(",")]}


def _chnsenticorp(split):
    for line in _lines(DATA / "classification/chnsenticorp" / f"{split}.tsv")[1:]:
        label, text = line.split("\t", 1)
        yield {"text": text, "label": "positive" if label == "1" else "negative"}


def _waimai_10k(split):
    """The file has no split: of ten rows one is test, one dev, the rest train."""
    path = DATA / "classification/waimai_10k/waimai_10k.csv"
    with open(path, encoding="utf-8", newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if {0: "test", 1: "dev"}.get(index % 10, "train") == split:
                yield {
                    "text": row["review"],
                    "label": "positive" if row["label"] == "1" else "negative",
                }


def _afqmc(split):
    for line in _lines(DATA / "clue/afqmc" / f"{'test_public' if split == 'test' else split}.json"):
        row = json.loads(line)
        yield {"text": row["sentence1"], "pair": row["sentence2"], "label": row["label"]}


def _conll(path, separator=None):
    tokens, tags = [], []
    for line in _lines(path) + [""]:
        if not line.strip():
            if tokens:
                yield {"tokens": tokens, "tags": tags}
            tokens, tags = [], []
        elif not line.startswith("-DOCSTART-"):
            columns = line.split(separator)
            tokens.append(columns[0])
            tags.append(columns[-1])


def _iob2(tags):
    """IOB1 to IOB2: every entity begins with B-."""
    previous, out = "O", []
    for tag in tags:
        begins = tag[0] == "B" or (tag[0] == "I" and (previous == "O" or previous[2:] != tag[2:]))
        out.append("B-" + tag[2:] if begins else tag)
        previous = tag
    return out


def _conll2003(split):
    for row in _conll(
        DATA
        / "ner/conll2003"
        / {"train": "eng.train", "dev": "eng.testa", "test": "eng.testb"}[split]
    ):
        yield {"tokens": row["tokens"], "tags": _iob2(row["tags"])}


def _wnut17(split):
    name = {
        "train": "wnut17train.conll",
        "dev": "emerging.dev.conll",
        "test": "emerging.test.annotated",
    }[split]
    return _conll(DATA / "ner/wnut17" / name, "\t")


def _resume_zh(split):
    """BMES to IOB2."""
    part = {"B": "B", "M": "I", "E": "I", "S": "B"}
    for row in _conll(DATA / "ner/resume_zh" / f"{split}.char.bmes"):
        tags = [tag if tag == "O" else part[tag[0]] + tag[1:] for tag in row["tags"]]
        yield {"tokens": row["tokens"], "tags": tags}


_READERS = {
    "sst2": _sst2,
    "banking77": _banking77,
    "trec": _trec,
    "goemotions": _goemotions,
    "chnsenticorp": _chnsenticorp,
    "waimai_10k": _waimai_10k,
    "afqmc": _afqmc,
    "conll2003": _conll2003,
    "wnut17": _wnut17,
    "resume_zh": _resume_zh,
}


def rows(name, split):
    return list(_READERS[name](split))


def write_jsonl(chosen, path):
    with open(path, "w", encoding="utf-8") as file:
        for row in chosen:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
