"""Tokenizer speed beside Hugging Face tokenizers: the same texts, whole encodings (ids, offsets, words), one and two threads,
the programs in alternation; ids and offsets are compared before anything is timed.

    .venv-peers/bin/python bench/tokenizer.py [--rounds 9] [--output FILE]

The peer is called the two ways it offers: encode_batch (offsets and all) and encode_batch_fast (offsets left out).
Its texts are Python strings and its results Python objects, which is how it is used; hone's are C++ ones.
"""

import argparse
import csv
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
from tokenizer_driver import (
    BERT,
    ROOT,
    SHARED,
    TOKENIZERS,
    Driver,
    bert_tokenizer,
    byte_offsets,
    sentences_of,
    xlm_roberta_tokenizer,
)  # noqa: E402

THREADS = (1, 2)
ROWS = (
    "bert-base-uncased:sst2",
    "bert-base-uncased:banking77",
    "bert-base-cased:conll2003",
    "bert-base-chinese:chnsenticorp",
    "roberta-base:sst2",
    "roberta-base:banking77",
    "t5-small:sst2",
    "t5-small:random letters",
    "xlm-roberta-base:sst2",
    "xlm-roberta-base:chnsenticorp",
    "xlm-roberta-base:random letters",
    "xlm-roberta-base:random unicode",
    "phi-3-mini:sst2",
    "phi-3-mini:chnsenticorp",
    "phi-3-mini:random letters",
    "phi-3-mini:random unicode",
)


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


def peer_tokenizer(name):
    from tokenizers import Tokenizer

    if name == "xlm-roberta-base":
        return xlm_roberta_tokenizer()
    return (
        bert_tokenizer(name)
        if name in BERT
        else Tokenizer.from_file(str(TOKENIZERS / name / "tokenizer.json"))
    )


def load(driver, name):
    """The same tokenizer into hone; one that is put together for the peer by way of its file."""
    if name != "xlm-roberta-base":
        return driver.load(TOKENIZERS / name, BERT.get(name))
    with tempfile.TemporaryDirectory() as folder:
        peer_tokenizer(name).save(f"{folder}/tokenizer.json")
        return driver.load(folder)


def serve_peer():
    """A peer process: its number of threads is fixed by the environment when it starts."""
    tokenizer, texts = None, []
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "load":
            tokenizer, texts = peer_tokenizer(command["tokenizer"]), texts_of(command["texts"])
            print("{}", flush=True)
            continue
        encode = tokenizer.encode_batch if command["do"] == "full" else tokenizer.encode_batch_fast
        start, cpu_start = time.perf_counter(), time.process_time()
        encodings = encode(texts, add_special_tokens=False)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "cpu_seconds": cpu_seconds,
                    "tokens": sum(len(encoding) for encoding in encodings),
                }
            ),
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


def measure(driver, peers, name, dataset, rounds):
    texts = texts_of(dataset)
    tokens = compare(driver, name, texts)
    for peer in peers.values():
        peer.ask(do="load", tokenizer=name, texts=dataset)
    seconds, cpu = {}, {}
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
                    seconds.setdefault((threads, who), []).append(answer["seconds"])
                    cpu.setdefault((threads, who), []).append(answer["cpu_seconds"])
    size = sum(len(text.encode("utf-8")) for text in texts)
    row = {"tokenizer": name, "texts": dataset, "rows": len(texts), "bytes": size, "tokens": tokens}
    for threads in THREADS:
        middle = {
            who: statistics.median(seconds[threads, who]) for who in ("hone", "peer", "peer_fast")
        }
        cpu_middle = {who: statistics.median(cpu[threads, who]) for who in middle}
        row[f"threads_{threads}"] = {
            "seconds": middle,
            "hone_MB_per_s": size / middle["hone"] / 1e6,
            "ratio_to_encode_batch": middle["peer"] / middle["hone"],
            "ratio_to_encode_batch_fast": middle["peer_fast"] / middle["hone"],
            "cpu_seconds": cpu_middle,
            "cpu_ratio_to_encode_batch": cpu_middle["peer"]
            / cpu_middle["hone"],  # what a busy machine disturbs less
            "cpu_ratio_to_encode_batch_fast": cpu_middle["peer_fast"] / cpu_middle["hone"],
            "spread": {
                who: [min(seconds[threads, who]), max(seconds[threads, who])] for who in middle
            },
        }
    return row


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
    driver, peers = Driver(), {threads: Peer(threads) for threads in THREADS}
    result["rows"] = []
    for name, dataset in (pair.split(":") for pair in arguments.only or ROWS):
        row = measure(driver, peers, name, dataset, arguments.rounds)
        result["rows"].append(row)
        for threads in THREADS:
            r = row[f"threads_{threads}"]
            print(
                f"{name:20} {dataset:13} {threads} thread(s): hone {r['hone_MB_per_s']:6.1f} MB/s, "
                f"{r['ratio_to_encode_batch']:5.1f} times encode_batch, {r['ratio_to_encode_batch_fast']:5.1f} times encode_batch_fast "
                f"(processor time: {r['cpu_ratio_to_encode_batch']:.1f}, {r['cpu_ratio_to_encode_batch_fast']:.1f})"
            )
    pathlib.Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    serve_peer() if "--peer" in sys.argv else main()
