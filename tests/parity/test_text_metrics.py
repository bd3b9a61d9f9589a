"""Scores of generated texts beside sacrebleu's and rouge-score's, through `hone score`.

Run with .venv-peers/bin/python -m pytest tests/parity/test_text_metrics.py. HONE_BIN names the program (default build/release/hone).
HONE_ATTACK=1 takes every text of the data sets and more random ones.
"""

import itertools
import json
import os
import pathlib
import random
import subprocess

import pytest
import regex
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF


ROOT = pathlib.Path(__file__).resolve().parents[2]
HONE = pathlib.Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve()
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
IS_LONG = os.environ.get("HONE_ATTACK") == "1"
ROUGES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

pytestmark = pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built")


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def score(folder, texts, references, metrics, *options):
    """The report on `texts`, and the scores of single rows by their index, as far as it shows them."""
    gold = [{"prompt": f"row {i}", "completion": all_of} for i, all_of in enumerate(references)]
    done = subprocess.run(
        [
            HONE,
            "score",
            "causal_lm",
            write_rows(folder / "gold.jsonl", gold),
            write_rows(folder / "predicted.jsonl", [{"answer": text} for text in texts]),
            "form=completion",
            f"metrics=[{', '.join(metrics)}]",
            *options,
            "--json",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return report, {row["line"] - 1: row["score"] for row in report["texts"]}


def streams_of(references):
    """As sacrebleu takes them: the first references of all rows, the second ones, None where a row has none."""
    return [list(stream) for stream in itertools.zip_longest(*references)]


def signature_in(report, metric):
    return next(row["signature"] for row in report["text_scoring"] if row["metric"] == metric)


def without_version(metric):
    return str(metric.get_signature()).rsplit("|version:", 1)[0]


# ---- texts


def edited(text, by_characters, rng):
    """What a poor system would have written."""
    units = list(text) if by_characters else text.split(" ")
    out = []
    for unit in units:
        draw = rng.random()
        if draw < 0.08:
            continue
        out.append(unit)
        if draw > 0.95:
            out.append(unit)
        elif draw > 0.9:
            out.append(rng.choice(units))
        elif draw > 0.87:
            out[-1] = unit.swapcase()
    if rng.random() < 0.2:
        rng.shuffle(out)
    cut = rng.randint(len(out) // 2, len(out)) if rng.random() < 0.3 else len(out)
    return ("" if by_characters else " ").join(out[:cut])


def lines_of(path):
    return (SHARED / "data" / path).read_text(encoding="utf-8").splitlines()


def rows_of(path):
    return [json.loads(line) for line in lines_of(path)]


def some(rows, count):
    return rows if IS_LONG else rows[:: max(1, len(rows) // count)][:count]


def german():
    return [[line] for line in some(lines_of("translation/multi30k_en_de/val.de"), 250)]


def chinese():
    """Several translations of one sentence, as many as there are."""
    by_source = {}
    for line in lines_of("translation/tatoeba_en_zh/cmn.txt"):
        source, target = line.split("\t")[:2]
        by_source.setdefault(source, []).append(target)
    return some([texts for texts in by_source.values() if len(texts) > 1], 150) + some(
        [texts for texts in by_source.values() if len(texts) == 1], 100
    )


def summaries():
    dialogues = [
        [row["summary1"], row["summary2"], row["summary3"]]
        for row in some(rows_of("summarization/dialogsum/dialogsum.test.jsonl"), 60)
    ]
    papers = [
        ["\n".join(row["target"])]
        for row in some(rows_of("summarization/scitldr_a/test.jsonl"), 60)
    ]
    return dialogues + papers


def turns():
    return [
        [turn.strip() for turn in line.split("\t")[0].split("__eou__") if turn.strip()][:1]
        for line in some(lines_of("dialogue/xdailydialog/zh_test_human.txt"), 80)
        + some(lines_of("dialogue/xdailydialog/en_test_human.txt"), 80)
    ]


PIECES = (
    list("abcdefgzABCZ0123456789 .,-'\"!?&$%(){}[]/\\^`~_@#*+=<>|:;\n\t\r")
    + list("，。！？、；：“”‘’—…《》（）【】～￥ＡＢＣ１２３　中文字体测试我的你好龙龍")
    + list("éüßñÅøİıĞΣσςЯжאבعربहिंग한글カナひらがな①Ⅷ½²€£¥©®™→∑√≠♥☎✂✓")
    + list("\u00a0\u2003\u2028\u2029\u0085\u200b\u200d\ufeff\u0301\u0308\u202e\u001c\u001f\u000b")
    + ["😀", "👩‍👩‍👧", "🇩🇪", "𠀀", "𝒳", "&quot;", "&amp;", "&lt;", "&amp;lt;", "<skipped>", "-\n"]
    + ["1,000.5", "3.", ".5", "U.S.", "don't", "e.g.,", "...", "--", "the ", "running ", "of "]
)


def random_text(rng, most=40):
    return "".join(rng.choices(PIECES, k=rng.randint(0, most)))


def odd():
    rng = random.Random(5)
    rows = [
        [random_text(rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        for _ in range(2000 if IS_LONG else 300)
    ]
    fixed = ["", " ", "\n", ".", "5.", "a", "好", "😀", "Ｋ", "\u212a", "a\u0301", "word " * 300]
    rows += [[text] for text in fixed]
    # A row's first reference is what would be learned: it is never empty, further ones may be.
    return [row if row[0].strip() else ["z", *row] for row in rows]


def predictions(references, seed, by_characters):
    rng = random.Random(seed)
    texts = []
    for all_of in references:
        text = rng.choice(all_of)
        draw = rng.random()
        if draw < 0.03:
            text = ""
        elif draw < 0.06:
            text = rng.choice(rng.choice(references))
        elif draw > 0.1:
            text = edited(text, by_characters, rng)
        texts.append(text)
    return texts


# Their references, and whether words of these texts are characters.
CORPORA = {
    "german": (german, False),
    "chinese": (chinese, True),
    "summaries": (summaries, False),
    "turns": (turns, True),
    "odd": (odd, True),
}


def corpus(name):
    make, by_characters = CORPORA[name]
    if name != "odd" and not (SHARED / "data").exists():
        pytest.skip(f"{SHARED}/data is not here")
    references = make()
    return predictions(references, 3, by_characters), references


# ---- BLEU and chrF

BLEUS = [
    ("german", "13a", "exp", None, False),
    ("german", "intl", "floor", None, True),
    ("german", "none", "add-k", 0.5, False),
    ("chinese", "zh", "exp", None, False),
    ("chinese", "char", "none", None, False),
    ("summaries", "13a", "add-k", None, True),
    ("turns", "zh", "floor", 0.25, False),
    ("odd", "13a", "exp", None, False),
    ("odd", "zh", "exp", None, True),
    ("odd", "intl", "none", None, False),
    ("odd", "char", "floor", None, True),
    ("odd", "none", "exp", None, True),
]


@pytest.mark.parametrize("name, tokenize, smooth, value, lowercase", BLEUS)
def test_bleu_is_sacrebleus(tmp_path, name, tokenize, smooth, value, lowercase):
    texts, references = corpus(name)
    report, rows = score(
        tmp_path,
        texts,
        references,
        ["bleu", "length"],
        f"bleu_tokenize={tokenize}",
        f"bleu_smooth={smooth}",
        f"bleu_smooth_value={value or 0}",
        f"metric_lowercase={str(lowercase).lower()}",
    )
    options = {
        "tokenize": tokenize,
        "smooth_method": smooth,
        "smooth_value": value,
        "lowercase": lowercase,
        "force": True,
    }
    theirs = BLEU(**options)
    expected = theirs.corpus_score(texts, streams_of(references))
    assert report["metrics"]["bleu"] == pytest.approx(expected.score, abs=1e-9)
    assert report["metrics"]["length_ratio"] == pytest.approx(expected.ratio, abs=1e-12)
    assert signature_in(report, "bleu") == without_version(theirs)
    of_rows = BLEU(effective_order=True, **options)
    assert rows
    for i, value in rows.items():
        row = of_rows.sentence_score(texts[i], references[i])
        assert value == pytest.approx(row.score, abs=1e-9), (texts[i], references[i])


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("metric", ["chrf", "chrf++"])
@pytest.mark.parametrize("name", ["german", "chinese", "odd"])
def test_chrf_is_sacrebleus(tmp_path, name, metric, lowercase):
    texts, references = corpus(name)
    report, rows = score(
        tmp_path, texts, references, [metric], f"metric_lowercase={str(lowercase).lower()}"
    )
    theirs = CHRF(word_order=2 if metric == "chrf++" else 0, lowercase=lowercase)
    expected = theirs.corpus_score(texts, streams_of(references))
    assert report["metrics"][metric] == pytest.approx(expected.score, abs=1e-9)
    assert signature_in(report, metric) == without_version(theirs)
    assert rows
    for i, value in rows.items():
        row = theirs.sentence_score(texts[i], references[i])
        assert value == pytest.approx(row.score, abs=1e-9), (texts[i], references[i])


# ---- ROUGE


class AnyLetters:
    """By characters where a script has no blanks; rouge-score takes such a class."""

    def tokenize(self, text):
        cjk = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}]"
        word = r"[\p{L}\p{M}\p{N}]"
        return regex.findall(f"(?:(?!{cjk}){word})+|(?={word}){cjk}", text.lower())


def assert_rouge_is_equal(report, rows, scorer, texts, references):
    theirs = [scorer.score_multi(refs, text) for refs, text in zip(references, texts)]
    for metric in ROUGES:
        mean = sum(row[metric].fmeasure for row in theirs) / len(theirs)
        assert report["metrics"][metric] == pytest.approx(mean, abs=1e-9), metric
    assert rows
    for i, value in rows.items():
        assert value == pytest.approx(theirs[i]["rougeL"].fmeasure, abs=1e-9), texts[i]


@pytest.mark.parametrize("stemmer", [False, True])
@pytest.mark.parametrize("name", ["summaries", "german", "odd"])
def test_rouge_is_rouge_scores(tmp_path, name, stemmer):
    texts, references = corpus(name)
    report, rows = score(
        tmp_path,
        texts,
        references,
        ["rouge"],
        "rouge_words=ascii",
        f"rouge_stemmer={str(stemmer).lower()}",
    )
    scorer = rouge_scorer.RougeScorer(ROUGES, use_stemmer=stemmer)
    assert_rouge_is_equal(report, rows, scorer, texts, references)


@pytest.mark.parametrize("name", ["chinese", "turns", "odd"])
def test_rouge_of_any_letters_is_rouge_scores_with_such_words(tmp_path, name):
    texts, references = corpus(name)
    report, rows = score(tmp_path, texts, references, ["rouge"], "rouge_words=unicode")
    scorer = rouge_scorer.RougeScorer(ROUGES, tokenizer=AnyLetters())
    assert_rouge_is_equal(report, rows, scorer, texts, references)


ENDINGS = """s es ies sses ed eed ied ing ying y ly bly ally ational tional ence ance ency ancy izer able
ible al ally ent ently ely ousli ously ization ation ator alism iveness fulness ousness ality ivity ibility
fully logy ology icate ative alize icity ical ful ness er ic ant ement ment ion sion tion ou ism ate iti ous
ive ize e ee ll ss zz tt at bl iz""".split()
STEMS = """a b y ab by ay sky spy tr geo bio fall hop hopp fil fail run agre feed sing relat condit vietnam
digit oper radic hope formal electr reviv adopt control roll ceas rat prob succeed inn syzyg toy yy
q1 x9 42 abc123""".split()


def test_stems_are_nltks(tmp_path):
    """Texts of words that may have one stem: ROUGE counts those that do."""
    rng = random.Random(7)

    def text():
        return " ".join(
            rng.choice(STEMS) + rng.choice(ENDINGS) + rng.choice(["", "", rng.choice(ENDINGS)])
            for _ in range(12)
        )

    texts = [text() for _ in range(3000)]
    references = [[text()] for _ in texts]
    report, rows = score(tmp_path, texts, references, ["rouge"], "rouge_stemmer=true")
    scorer = rouge_scorer.RougeScorer(ROUGES, use_stemmer=True)
    assert_rouge_is_equal(report, rows, scorer, texts, references)


# ---- comparing


def test_a_real_difference_is_told_from_chance(tmp_path):
    _, references = corpus("odd")
    rng = random.Random(11)
    gold = write_rows(
        tmp_path / "gold.jsonl",
        [{"prompt": f"row {i}", "completion": refs[0]} for i, refs in enumerate(references)],
    )

    def predicted(name, share_right):
        rows = [
            {"answer": refs[0] if rng.random() < share_right else "nothing"} for refs in references
        ]
        return write_rows(tmp_path / f"{name}.jsonl", rows)

    good, as_good, bad = predicted("a", 0.8), predicted("b", 0.8), predicted("c", 0.5)

    def against(one, other):
        done = subprocess.run(
            [HONE, "score", "causal_lm", gold, one, "form=completion", "metrics=[chrf, rouge]"]
            + ["--against", other, "--json"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return {row["metric"]: row for row in json.loads(done.stdout)["against"]}

    real = against(good, bad)["chrf"]
    assert real["low"] > 0
    assert real["p"] < 0.01
    assert real["difference"] == pytest.approx(real["value"] - real["other"])
    assert against(good, as_good)["chrf"]["p"] > 0.05
    assert against(good, good)["rougeL"]["p"] == 1
