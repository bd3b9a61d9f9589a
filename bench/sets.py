"""What all benchmarks share: the real data sets as lists of rows that hone and the peers both get, and where results are kept.

A set is found in $HONE_SHARED/data, else ../shared/data beside the project. `rows(name, split)` reads it with nothing but the standard
library; `write_jsonl` gives hone the very same rows.
"""

import contextlib
import csv
import fcntl
import json
import os
import pathlib
import platform
import re
import statistics

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


def fast_precision():
    """bf16 where its products are faster than those of fp32; Intel's first AVX-512 form of them is not."""
    name, flags = processor()
    is_fast = "amx_bf16" in flags or ("avx512_bf16" in flags and "AMD" in name)
    return "bf16" if is_fast else "fp32"


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


RESULTS = results_folder()  # speed and memory
PRECISION = fast_precision()
SCORES = ROOT / "bench" / "results"  # scores: those of all machines, each run says its own


def mean_and_spread(values, digits=1, none="not run"):
    """Of several seeds their mean and standard deviation, of one its value; `none` where there is no value."""
    if not values:
        return none
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def is_as_good(ours, theirs, greater_is_better=True):
    """Whether the seeds' mean is theirs within both standard deviations, or better; None where either has no spread."""
    if len(ours) < 2 or len(theirs) < 2:
        return None
    gain = statistics.mean(ours) - statistics.mean(theirs)
    worst = -(statistics.stdev(ours) + statistics.stdev(theirs))
    return (gain if greater_is_better else -gain) >= worst


@contextlib.contextmanager
def updated(path):
    """What the JSON file holds, to be changed; then it is written as a whole. Processes that run side by side wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        held = json.loads(path.read_text()) if path.exists() else {}
        yield held
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(held, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        temporary.replace(path)
    finally:
        os.close(folder)


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


def _mod10(all_rows, split):
    """Of a set without a split: rows 0, 10, … are test, 1, 11, … are dev."""
    part = {"test": (0,), "dev": (1,), "train": range(2, 10)}[split]
    return [row for i, row in enumerate(all_rows) if i % 10 in part]


def _csv(path, delimiter=",", **options):
    with open(DATA / path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter, **options)


def _tsv(path, columns, has_header):
    for line in _lines(DATA / path)[has_header:]:
        yield dict(zip(columns, line.split("\t")))


def _json_lines(path):
    return [json.loads(line) for line in _lines(DATA / path) if line.strip()]


def _picked(found, **names):
    """Rows with other names: new=old."""
    return [{new: row[old] for new, old in names.items()} for row in found]


def _ag_news(split):
    names = ("", "World", "Sports", "Business", "Sci/Tech")
    found = _csv("classification/ag_news/test.csv", fieldnames=("class", "title", "description"))
    return _mod10(
        [
            {"text": f"{row['title']} {row['description']}", "label": names[int(row["class"])]}
            for row in found
        ],
        split,
    )


def _clinc150(split):
    whole = json.loads((DATA / "classification/clinc150/data_full.json").read_text("utf-8"))
    part = "val" if split == "dev" else split
    return [{"text": text, "label": label} for text, label in whole[part] + whole["oos_" + part]]


def _thucnews_titles(split):
    folder = DATA / "classification/thucnews_titles"
    names = _lines(folder / "class.txt")
    for line in _lines(folder / {"train": "dev.txt", "test": "test.txt"}[split]):
        title, number = line.split("\t")
        yield {"text": title, "label": names[int(number)]}


def _financial_phrasebank(split):
    found = _lines(DATA / "finance/financial_phrasebank/Sentences_AllAgree.txt")
    return _mod10(
        [{"text": text, "label": label} for text, label in (s.rsplit("@", 1) for s in found)],
        split,
    )


def _cola(split):
    path = f"sentence_pair/cola/{'dev' if split == 'test' else split}.tsv"  # its test has no labels
    return _picked(_tsv(path, ("source", "label", "mark", "text"), 0), text="text", label="label")


def _rte(split):
    path = f"sentence_pair/rte/{'dev' if split == 'test' else split}.tsv"
    return _tsv(path, ("index", "sentence1", "sentence2", "label"), 1)


def _sick(label):
    def read(split):
        name = {"train": "train", "dev": "trial", "test": "test_annotated"}[split]
        columns = ("id", "sentence1", "sentence2", "relatedness", "entailment")
        for row in _tsv(f"sentence_pair/sick/SICK_{name}.txt", columns, 1):
            value = float(row[label]) if label == "relatedness" else row[label]
            yield {"sentence1": row["sentence1"], "sentence2": row["sentence2"], "label": value}

    return read


def _slots(name):
    def read(split):
        folder = DATA / "intent_slot" / name / split
        for text, tags, label in zip(
            *(_lines(folder / file) for file in ("seq.in", "seq.out", "label")), strict=True
        ):
            yield {"tokens": text.split(), "tags": tags.split(), "label": label.strip()}

    return read


def _clue(name, **names):
    """The largest draw of FewCLUE there is; test is the public one."""
    folder = f"clue/{name}"

    def read(split):
        candidates = (
            ("test_public",) if split == "test" else (f"{split}_few_all", f"{split}_0", split)
        )
        path = next(c for c in candidates if (DATA / folder / f"{c}.json").exists())
        return _picked(_json_lines(f"{folder}/{path}.json"), **names)

    return read


def _csl(split):
    found = _clue("fewclue_csl", abst="abst", keyword="keyword", label="label")(split)
    return [
        {"sentence1": "，".join(r["keyword"]), "sentence2": r["abst"], "label": r["label"]}
        for r in found
    ]


def _cluewsc(split):
    """The two spans as the first text, the sentence as the second."""
    for row in _clue("fewclue_cluewsc", text="text", target="target", label="label")(split):
        spans = row["target"]
        yield {
            "sentence1": f"{spans['span2_text']}：{spans['span1_text']}",
            "sentence2": row["text"],
            "label": row["label"],
        }


def _weibo_zh(split):
    for row in _conll(DATA / f"ner/weibo_zh/weiboNER_2nd_conll.{split}", "\t"):
        yield {"tokens": [token[0] for token in row["tokens"]], "tags": row["tags"]}


def _cluener2020(split):
    """Characters as tokens: the set's own offsets count them."""
    text = (DATA / f"ner/cluener2020/{'dev' if split == 'test' else split}.json").read_text("utf-8")
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        row, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        tags = ["O"] * len(row["text"])
        for label, mentions in row["label"].items():
            for first, last in (place for places in mentions.values() for place in places):
                tags[first : last + 1] = ["B-" + label] + ["I-" + label] * (last - first)
        yield {"tokens": list(row["text"]), "tags": tags}


def _semeval2010_task8(split):
    name = {"train": "TRAIN_FILE.TXT", "test": "TEST_FILE_FULL.TXT"}[split]
    lines = _lines(DATA / "relation/semeval2010_task8" / name)
    for sentence, relation in zip(lines[0::4], lines[1::4]):
        yield {"text": sentence.split("\t", 1)[1].strip('"'), "relation": relation.strip()}


def _squad(path):
    for article in json.loads((DATA / path).read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": question["id"],
                    "question": question["question"],
                    "context": paragraph["context"],
                    "answers": question["answers"],
                }


def _cmrc2018(split):
    return _squad(f"qa/cmrc2018/cmrc2018_{ {'train': 'dev', 'test': 'trial'}[split] }.json")


def _xquad(_):
    """English; the set has no splits."""
    return _squad("qa/xquad/xquad.en.json")


def _subjqa(split):
    """The answer is what stands at the set's places; its texts are tokenized anew and differ in blanks."""
    for row in _csv(f"qa/subjqa_restaurants/{split}.csv"):
        start, end = (int(x) for x in row["human_ans_indices"].strip("()").split(","))
        is_none = row["human_ans_spans"] == "ANSWERNOTFOUND"
        answer = {"text": row["review"][start:end], "answer_start": start}
        yield {
            "question": row["question"],
            "context": row["review"],
            "answers": [] if is_none else [answer],
        }


def _chid(split):
    names = {"content": "content", "candidates": "candidates", "answer": "answer"}
    return _clue("fewclue_chid", **names)(split)


PAIR = {"sentence1": "sentence1", "sentence2": "sentence2", "label": "label"}
ONE = {"text": "sentence", "label": "label"}
# ---- conversations: the last message is the answer


def _turn(role, text):
    return {"role": role, "content": text}


def _alpaca(language):
    def read(split):
        file = DATA / "instruction/llamafactory_demo" / f"alpaca_{language}_demo.json"
        for row in _mod10(json.loads(file.read_text(encoding="utf-8")), split):
            asked = row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "")
            yield {"messages": [_turn("user", asked), _turn("assistant", row["output"])]}

    return read


def _xdailydialog(language):
    """Two people in turn; the one who speaks last is the assistant."""

    def read(split):
        file = {"train": "dev", "test": "test"}[split]
        for line in _lines(DATA / "dialogue/xdailydialog" / f"{language}_{file}_human.txt"):
            turns = [turn.strip() for turn in line.split("\t")[0].split("__eou__") if turn.strip()]
            turns = turns[len(turns) % 2 :]  # the first one is asked
            roles = ("user", "assistant")
            if turns:
                yield {"messages": [_turn(roles[i % 2], turn) for i, turn in enumerate(turns)]}

    return read


def _xdailydialog_acts(language, is_alone=False):
    """Each turn, with those before it or alone, and what it does."""

    def read(split):
        file = {"train": "dev", "test": "test"}[split]
        for line in _lines(DATA / "dialogue/xdailydialog" / f"{language}_{file}_human.txt"):
            said, _, acts, _ = line.split("\t")
            turns = [turn.strip() for turn in said.split("__eou__") if turn.strip()]
            names = acts.split()
            if len(names) != len(turns):
                continue
            for i, act in enumerate(names):
                yield {"text": turns[i] if is_alone else turns[: i + 1], "label": act}

    return read


def _summaries(asked, answers):
    messages = [_turn("user", asked), _turn("assistant", answers[0])]
    return {"messages": messages, "references": answers}


def _scitldr(split):
    for row in _json_lines(DATA / "summarization/scitldr_a" / f"{split}.jsonl"):
        text = " ".join(row["source"])
        yield _summaries(f"Say in one sentence what this paper does.\n\n{text}", row["target"])


def _dialogsum(split):
    file = {"train": "dev", "test": "test"}[split]
    for row in _json_lines(DATA / "summarization/dialogsum" / f"dialogsum.{file}.jsonl"):
        answers = [
            row[name] for name in ("summary", "summary1", "summary2", "summary3") if name in row
        ]
        yield _summaries(f"Summarize this dialogue.\n\n{row['dialogue']}", answers)


_READERS = {
    "alpaca_en": _alpaca("en"),
    "alpaca_zh": _alpaca("zh"),
    "xdailydialog_en": _xdailydialog("en"),
    "xdailydialog_zh": _xdailydialog("zh"),
    "xdailydialog_acts": _xdailydialog_acts("en"),
    "xdailydialog_acts_alone": _xdailydialog_acts("en", is_alone=True),
    "scitldr": _scitldr,
    "dialogsum": _dialogsum,
    "sst2": _sst2,
    "ag_news": _ag_news,
    "banking77": _banking77,
    "trec": _trec,
    "clinc150": _clinc150,
    "goemotions": _goemotions,
    "chnsenticorp": _chnsenticorp,
    "waimai_10k": _waimai_10k,
    "thucnews_titles": _thucnews_titles,
    "financial_phrasebank": _financial_phrasebank,
    "cola": _cola,
    "rte": _rte,
    "sick_relatedness": _sick("relatedness"),
    "sick_entailment": _sick("entailment"),
    "snips": _slots("snips"),
    "atis": _slots("atis"),
    "afqmc": _afqmc,
    "tnews": _clue("tnews", **ONE),
    "fewclue_tnews": _clue("fewclue_tnews", text="sentence", label="label_desc"),
    "fewclue_eprstmt": _clue("fewclue_eprstmt", **ONE),
    "fewclue_csldcp": _clue("fewclue_csldcp", text="content", label="label"),
    "fewclue_iflytek": _clue("fewclue_iflytek", text="sentence", label="label_des"),
    "fewclue_bustm": _clue("fewclue_bustm", **PAIR),
    "fewclue_ocnli": _clue("fewclue_ocnli", **PAIR),
    "fewclue_csl": _csl,
    "fewclue_cluewsc": _cluewsc,
    "fewclue_chid": _chid,
    "conll2003": _conll2003,
    "wnut17": _wnut17,
    "resume_zh": _resume_zh,
    "weibo_zh": _weibo_zh,
    "cluener2020": _cluener2020,
    "semeval2010_task8": _semeval2010_task8,
    "cmrc2018": _cmrc2018,
    "xquad": _xquad,
    "subjqa_restaurants": _subjqa,
}


def rows(name, split):
    return list(_READERS[name](split))


def write_jsonl(chosen, path):
    with open(path, "w", encoding="utf-8") as file:
        for row in chosen:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
