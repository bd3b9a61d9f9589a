"""Tokenizer speed beside Hugging Face tokenizers: the same texts, whole encodings (ids, offsets, words), one and two threads,
the programs in alternation; ids and offsets are compared before anything is timed.

    .venv-peers/bin/python bench/tokenizer.py [--rounds 9] [--only NAME:TEXTS…] [--output FILE]

The peer is called the two ways it offers: encode_batch (offsets and all) and encode_batch_fast (offsets left out).
Its texts are Python strings and its results Python objects, which is how it is used; hone's are C++ ones.
"First pass": the texts by a tokenizer that has met none before, on one thread, loading not counted.
"""

import argparse
import csv
import functools
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from sets import RESULTS, processor  # noqa: E402
from tokenizer_driver import (  # noqa: E402
    BERT,
    ROOT,
    SHARED,
    TOKENIZERS,
    Driver,
    bert_tokenizer,
    byte_offsets,
    clip_tokenizer,
    deberta_tokenizer,
    rank_tokenizer,
    sentences_of,
    xlm_roberta_tokenizer,
)

THREADS = (1, 2)
FIRST_PASSES = 3
TABLE = {  # of each kind of tokenizer the texts that it is measured on
    "bert-base-uncased": ("sst2", "banking77", "random letters", "random unicode"),
    "bert-base-cased": ("conll2003",),
    "bert-base-chinese": ("chnsenticorp",),
    "roberta-base": ("sst2", "banking77", "chnsenticorp", "random letters", "random unicode"),
    "cl100k_base": ("sst2", "chnsenticorp", "random letters", "random unicode"),
    "clip": ("sst2", "chnsenticorp", "random letters", "random unicode"),
    "t5-small": ("sst2", "random letters", "random unicode"),
    "deberta-punctuation": ("sst2", "chnsenticorp", "random letters", "random unicode"),
    "xlm-roberta-base": ("sst2", "chnsenticorp", "random letters", "random unicode"),
    "phi-3-mini": ("sst2", "chnsenticorp", "random letters", "random unicode"),
}
ROWS = [f"{name}:{texts}" for name, sets in TABLE.items() for texts in sets]
PUT_TOGETHER = {  # for the peer; where hone cannot read its files, by way of a tokenizer.json
    "cl100k_base": lambda: rank_tokenizer("cl100k_base"),
    "clip": clip_tokenizer,
    "deberta-punctuation": deberta_tokenizer,
    "xlm-roberta-base": xlm_roberta_tokenizer,
}
WITHOUT_FILES = ("deberta-punctuation", "xlm-roberta-base")


def read_rows(name, column, delimiter, has_header):
    with open(SHARED / "data" / name, encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
        rows = list(csv.reader(file, delimiter=delimiter, quoting=quoting))
    return [row[column] for row in rows[has_header:] if len(row) > column and row[column]]


def texts_of(name):
    if name == "sst2":
        return read_rows("classification/sst2/train.tsv", 1, "\t", False)
    if name == "banking77":
        return read_rows("classification/banking77/train.csv", 0, ",", True)
    if name.startswith("random"):
        return random_texts(name)
    if name == "chnsenticorp":
        return read_rows("classification/chnsenticorp/train.tsv", 1, "\t", True)
    return sentences_of("ner/conll2003")[::2]  # words with blanks between


def random_texts(name):
    """Words that hardly ever come twice: of random letters, or of any characters of Unicode."""
    draw = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgk"

    def character():
        if name == "random letters":
            return draw.choice(letters)
        return chr(draw.choice((draw.randrange(0x21, 0xD800), draw.randrange(0xE000, 0x110000))))

    def word():
        return "".join(character() for _ in range(draw.randrange(4, 12)))

    return [" ".join(word() for _ in range(draw.randrange(5, 30))) for _ in range(5_000)]


@functools.cache
def peer_json(name):
    return peer_tokenizer(name).to_str()


def peer_tokenizer(name):
    from tokenizers import Tokenizer

    if name in PUT_TOGETHER:
        return PUT_TOGETHER[name]()
    if name in BERT:
        return bert_tokenizer(name)
    return Tokenizer.from_file(str(TOKENIZERS / name / "tokenizer.json"))


def load(driver, name):
    if name not in WITHOUT_FILES:
        return driver.load(TOKENIZERS / name, BERT.get(name))
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(f"{folder}/tokenizer.json").write_text(peer_json(name))
        return driver.load(folder)


def serve_peer():
    """A peer process: its number of threads is fixed by the environment when it starts."""
    from tokenizers import Tokenizer

    tokenizer, texts = None, []
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "load":
            tokenizer = Tokenizer.from_str(peer_json(command["tokenizer"]))
            texts = texts_of(command["texts"])
            print("{}", flush=True)
            continue
        encode = tokenizer.encode_batch if command["do"] == "full" else tokenizer.encode_batch_fast
        start, cpu_start = time.perf_counter(), time.process_time()
        encodings = encode(texts, add_special_tokens=False)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        tokens = sum(len(encoding) for encoding in encodings)
        print(
            json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "tokens": tokens}),
            flush=True,
        )


class Peer:
    def __init__(self, threads):
        environment = dict(
            os.environ, TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=str(threads)
        )
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def compare(driver, name, texts):
    """Number of tokens, once ids and offsets are known to be equal."""
    load(driver, name)
    driver.texts(texts)
    tokens = 0
    for text, ours, peer in zip(
        texts,
        driver.encode(plain=True),
        peer_tokenizer(name).encode_batch(texts, add_special_tokens=False),
    ):
        assert ours["ids"] == peer.ids and ours["offsets"] == byte_offsets(text, peer.offsets), (
            f"not equal: {text!r}"
        )
        tokens += len(peer.ids)
    return tokens


class Times:
    """What each program took, and the ratios of their medians."""

    def __init__(self):
        self.seconds, self.cpu = {}, {}

    def add(self, who, answer):
        self.seconds.setdefault(who, []).append(answer["seconds"])
        self.cpu.setdefault(who, []).append(answer["cpu_seconds"])

    def row(self, size):
        middle = {who: statistics.median(times) for who, times in self.seconds.items()}
        cpu = {who: statistics.median(times) for who, times in self.cpu.items()}
        peers = {"peer": "encode_batch", "peer_fast": "encode_batch_fast"}
        return {
            "seconds": middle,
            "cpu_seconds": cpu,
            "spread": {who: [min(times), max(times)] for who, times in self.seconds.items()},
            "hone_MB_per_s": size / middle["hone"] / 1e6,
            **{f"ratio_to_{peers[p]}": middle[p] / middle["hone"] for p in peers if p in middle},
            # what a busy machine disturbs less
            **{f"cpu_ratio_to_{peers[p]}": cpu[p] / cpu["hone"] for p in peers if p in cpu},
        }


def measure_first_passes(driver, peer, name, dataset):
    times = Times()
    for _ in range(FIRST_PASSES):
        load(driver, name)
        times.add("hone", driver.ask("time 1")[0])
        peer.ask(do="load", tokenizer=name, texts=dataset)
        times.add("peer", peer.ask(do="full"))
    return times


def measure(driver, peers, name, dataset, rounds):
    texts = texts_of(dataset)
    tokens = compare(driver, name, texts)
    first = measure_first_passes(driver, peers[1], name, dataset)
    peers[2].ask(do="load", tokenizer=name, texts=dataset)
    times = {threads: Times() for threads in THREADS}
    for turn in range(rounds + 1):  # the first warms up
        for threads in THREADS:
            answers = {
                "hone": driver.ask(f"time {threads}")[0],
                "peer": peers[threads].ask(do="full"),
                "peer_fast": peers[threads].ask(do="fast"),
            }
            for who, answer in answers.items():
                assert answer["tokens"] == tokens
                if turn > 0:
                    times[threads].add(who, answer)
    size = sum(len(text.encode("utf-8")) for text in texts)
    row = {"tokenizer": name, "texts": dataset, "rows": len(texts), "bytes": size, "tokens": tokens}
    row["first_pass"] = first.row(size)
    for threads in THREADS:
        row[f"threads_{threads}"] = times[threads].row(size)
    return row


def table_line(row):
    cells = [f"{row['tokenizer']:20}", f"{row['texts']:15}"]
    cells.append(f"{row['threads_1']['hone_MB_per_s']:6.1f}")
    for name in ("threads_1", "threads_2"):
        for of in ("ratio_to_encode_batch", "cpu_ratio_to_encode_batch"):
            cells.append(f"{row[name][of]:6.1f}")
        cells.append(f"{row[name]['ratio_to_encode_batch_fast']:6.1f}")
    for of in ("ratio_to_encode_batch", "cpu_ratio_to_encode_batch"):
        cells.append(f"{row['first_pass'][of]:6.1f}")
    return " ".join(cells)


HEAD = """\
                                            1 thread, times as fast   2 threads              first pass
tokenizer            texts             MB/s  batch    cpu   fast  batch    cpu   fast  batch    cpu"""


def machine():
    return {"cpu": processor()[0], "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}


def main():
    import tokenizers

    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", help="tokenizer:texts, of those in ROWS")
    parser.add_argument("--output", default=str(RESULTS / "tokenizer.json"))
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    result = {
        "machine": machine(),
        "versions": {
            "hone": commit,
            "tokenizers": tokenizers.__version__,
            "python": platform.python_version(),
        },
    }
    print(json.dumps(result))
    print(HEAD)
    driver, peers = Driver(), {threads: Peer(threads) for threads in THREADS}
    result["rows"] = []
    for name, dataset in (pair.split(":") for pair in arguments.only or ROWS):
        result["rows"].append(measure(driver, peers, name, dataset, arguments.rounds))
        print(table_line(result["rows"][-1]), flush=True)
    result["machine"]["load_after"] = os.getloadavg()[0]
    pathlib.Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    serve_peer() if "--peer" in sys.argv else main()
