"""Encoder-decoders: training beside Transformers' Seq2SeqTrainer, generation beside Transformers and CTranslate2, in alternation.

    python bench/seq2seq.py train [--only CELL …] [--steps N] [--turns N]
    python bench/seq2seq.py search CELL         Seq2SeqTrainer's settings beside each other, each against its present best
    python bench/seq2seq.py write [--model FOLDER] [--peers PYTHON] [--batches 1 32] [--beams 1 5]
    python bench/seq2seq.py all [--peers PYTHON]    what is not measured yet: `train`, then bench/from_scratch.py, then `write` of its model
                                                    (by .venv-peers/bin/python)
    python bench/seq2seq.py table               what was measured, as Markdown (bench/results.py --page has it in docs/results.md)

Cells of `train`: a Marian model of 4 + 4 layers with a vocabulary of its own, and the shape of T5-small, on multi30k (English to German).
Both programs begin from the same random weights and take batches of as many rows; tokens are those of source and target, none that pads.
Losses of the first steps are compared in fp32 before anything is timed. `write` takes a trained folder (the English to German model of
bench/from_scratch.py, where none is given); PYTHON is that of an environment
with ctranslate2 (bench/generation.py says how to make one). Results are kept in bench/results/<processor>/seq2seq.json.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess

import from_scratch
import results
from generation import HoneWorker
from sets import DATA, PRECISION, RESULTS, ROOT, updated
from workers import HONE, PEER_PYTHON, PeerWorker, hone_train, rate, ratios, say, worst_of_losses

FOLDER = ROOT / "build" / "bench" / "seq2seq"
SET = DATA / "translation" / "multi30k_en_de"
TRANSLATOR = "multi30k-en-de"
SKIPPED, COMPARED_STEPS, COMPARED_ROWS, TOLERANCE = 3, 4, 16, 1e-3
BEST = {"precision": PRECISION, "attention": "sdpa", "group_by_length": True}
CANDIDATES = {
    "best": {},
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "eager attention": {"attention": "eager"},
    "batches as they come": {"group_by_length": False},
    "foreach AdamW": {"optimizer": "adamw_torch"},
}

MODEL = """
import json, sys, torch, transformers
kind, options, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
config = getattr(transformers, kind + "Config")(**options)
head = transformers.MarianMTModel if kind == "Marian" else transformers.T5ForConditionalGeneration
head(config).save_pretrained(folder)
"""
MARIAN = dict(
    vocab_size=8000, d_model=256, encoder_layers=4, decoder_layers=4, encoder_ffn_dim=1024, decoder_ffn_dim=1024,
    encoder_attention_heads=4, decoder_attention_heads=4, activation_function="relu", scale_embedding=True, dropout=0.1,
    max_position_embeddings=128, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=0, forced_eos_token_id=None,
)  # fmt: skip
T5_SMALL = dict(
    vocab_size=8000, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, pad_token_id=1, eos_token_id=2,
    decoder_start_token_id=0,
)  # fmt: skip
CELLS = {"marian-multi30k": ("Marian", MARIAN), "t5-small-shape": ("T5", T5_SMALL)}


def rows_file(count=None):
    """Pairs of lines as rows."""
    path = FOLDER / f"multi30k.{count or 'all'}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        sides = [
            (SET / f"train.{side}").read_text(encoding="utf-8").splitlines()
            for side in ("en", "de")
        ]
        with path.open("w", encoding="utf-8") as file:
            for source, target in list(zip(*sides, strict=True))[:count]:
                file.write(
                    json.dumps({"source": source, "target": target}, ensure_ascii=False) + "\n"
                )
    return path


def model(cell):
    """Random weights beside a tokenizer that hone learned from both sides of the training data."""
    folder = FOLDER / "models" / cell
    if not (folder / "model.safetensors").exists():
        command = [
            HONE,
            "tokenizer",
            "train",
            folder,
            rows_file(),
            "vocab_size=8000",
            "text=[source,target]",
        ]
        subprocess.run([*map(str, command)], check=True)
        kind, options = CELLS[cell]
        subprocess.run(
            [str(PEER_PYTHON), "-c", MODEL, kind, json.dumps(options), str(folder)], check=True
        )
    return folder


def job_of(cell, rows, **settings):
    return {
        "program": "trainer", "task": "seq2seq", "model": str(model(cell)), "rows": str(rows), "max_length": 128,
        "batch": 64, "learning_rate": 1e-4, **settings,
    }  # fmt: skip


def without_dropout(cell):
    """A folder of the same weights whose dropout is off, for the comparison of losses."""
    folder = FOLDER / "models" / f"{cell}-without-dropout"
    folder.mkdir(parents=True, exist_ok=True)
    for file in model(cell).iterdir():
        if file.name != "config.json" and not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    config = json.loads((model(cell) / "config.json").read_text())
    off = {
        key: 0.0
        for key in ("dropout", "dropout_rate", "attention_dropout", "activation_dropout")
        if key in config
    }
    (folder / "config.json").write_text(json.dumps(config | off))
    return folder


def compare_losses(cell):
    few = rows_file(COMPARED_ROWS)
    job = job_of(cell, few, batch=COMPARED_ROWS, precision="fp32") | {
        "model": str(without_dropout(cell))
    }
    with PeerWorker(job, "peer_seq2seq.py") as peer:
        theirs = peer.ask("train", steps=COMPARED_STEPS)["losses"]
    ours = hone_train(
        job, FOLDER / "runs" / f"{cell}-compared", COMPARED_STEPS, skipped=0, precision="fp32", weight_decay=0.0,
        label_smoothing_factor=0.1,
    )["losses"]  # fmt: skip
    worst = worst_of_losses(cell, ours, theirs, TOLERANCE)
    return {"hone": ours, "trainer": theirs, "worst_relative": worst}


def measure(cell, steps, turns):
    job = job_of(cell, rows_file(), **BEST)
    result = {"cell": cell, "steps": steps, "compared": compare_losses(cell)}
    ours, theirs = [], []
    with PeerWorker(job, "peer_seq2seq.py") as peer:
        peer.ask("train", steps=SKIPPED)
        for _ in range(turns):
            ours.append(
                hone_train(
                    job, FOLDER / "runs" / cell, steps, skipped=SKIPPED, weight_decay=0.0, label_smoothing_factor=0.1
                )
            )  # fmt: skip
            theirs.append(peer.ask("train", steps=steps))
        peak = peer.ask("memory")["peak"]
    result |= {
        "precision": {"hone": ours[0]["precision"], "trainer": job["precision"]},
        "hone": [rate(run) for run in ours],
        "trainer": [rate(run) for run in theirs],
        "ratio": ratios(ours, theirs),
        "memory": {"hone": max(run["peak"] for run in ours), "trainer": peak},
    }
    say(
        f"  {cell}: hone {statistics.median(result['hone']):.0f} tokens/s, Seq2SeqTrainer {statistics.median(result['trainer']):.0f}: "
        f"{result['ratio']['median']:.2f} times; memory {result['memory']['hone'] / 2**20:.0f} and {peak / 2**20:.0f} MiB"
    )
    return result


def search(cell, steps, turns=2):
    job = job_of(cell, rows_file(), **BEST)
    with PeerWorker(job, "peer_seq2seq.py") as base:
        base.ask("train", steps=SKIPPED)
        for name, settings in CANDIDATES.items():
            with PeerWorker(dict(job, **settings), "peer_seq2seq.py") as worker:
                worker.ask("train", steps=SKIPPED)
                pairs = [
                    (worker.ask("train", steps=steps), base.ask("train", steps=steps))
                    for _ in range(turns)
                ]
                say(
                    f"  {name}: {ratios(*zip(*pairs))['median']:.2f} of the best setting's tokens/s"
                )


# ---------------------------------------------------------------------------------------------------- generation


class Writer(HoneWorker):
    """hone in a process; sources instead of prompts."""

    def __init__(self, folder, precision, threads):
        super().__init__(folder, precision, threads, [])
        config = json.loads((folder / "config.json").read_text())
        self.start, self.end = config["decoder_start_token_id"], config["eos_token_id"]

    def write(self, sources, tokens, beams):
        job = {
            "prompts": [[self.start]] * len(sources),
            "sources": sources,
            "options": {"max_new_tokens": tokens, "num_beams": beams, "eos_token_id": [self.end]},
        }
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return {
            "answers": [answer["ids"] for answer in found["answers"]],
            "seconds": found["seconds"],
        }


class OtherWriter(PeerWorker):
    def write(self, sources, tokens, beams):
        return self.ask("write", sources=sources, tokens=tokens, beams=beams)

    def peak(self):
        return self.ask("memory")["peak"]


def writers(options, job):
    found = {("hone", p): Writer(options.model, p, options.threads) for p in ("fp32", "int8")}
    found["transformers", "fp32"] = OtherWriter(
        dict(job, program="transformers", precision="fp32"), "peer_seq2seq.py"
    )
    if options.peers:
        for precision in ("fp32", "int8"):
            mine = dict(job, program="ctranslate2", precision=precision)
            found["ctranslate2", precision] = OtherWriter(
                mine, "peer_seq2seq.py", python=options.peers
            )
    return found


def write(options):
    cache = FOLDER / "cache" / options.model.resolve().name
    cache.mkdir(parents=True, exist_ok=True)
    job = {
        "model": str(options.model),
        "rows": str(rows_file()),
        "threads": options.threads,
        "cache": str(cache),
    }
    programs = writers(options, job)
    sources = programs["transformers", "fp32"].ask("sources", count=max(options.batches))
    result = {}
    for batch in options.batches:
        for beams in options.beams:
            first = {
                key: one.write(sources[:batch], options.tokens, beams)["answers"]
                for key, one in programs.items()
            }
            taken = {key: [] for key in programs}
            for _ in range(options.turns):
                for key, one in programs.items():
                    taken[key].append(one.write(sources[:batch], options.tokens, beams)["seconds"])
            cell = result[f"batch {batch}, beams {beams}"] = {}
            for key, seconds in taken.items():
                own = ("hone", key[1])
                cell[" ".join(key)] = {
                    "seconds": seconds,
                    "equal_to_hone_fp32": statistics.mean(
                        a == b for a, b in zip(first["hone", "fp32"], first[key], strict=True)
                    ),
                    "hone_is_faster": statistics.median(
                        b / a for a, b in zip(taken[own], seconds, strict=True)
                    ),
                }
                say(
                    f"  batch {batch}, beams {beams}: {' '.join(key):18} {statistics.median(seconds):.3f} s, "
                    f"hone is {cell[' '.join(key)]['hone_is_faster']:.2f} times as fast"
                )
    result["peak_bytes"] = {" ".join(key): one.peak() for key, one in programs.items()}
    for one in programs.values():
        one.close()
    return result


# ---------------------------------------------------------------------------------------------------- what is kept


FILE = RESULTS / "seq2seq.json"


def kept():
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def keep(name, result):
    with updated(FILE) as found:
        found[name] = {"machine": results.machine(), **result}


def training_row(cell, found):
    rates = (f"{statistics.median(found[who]):,.0f}" for who in ("hone", "trainer"))
    memory = found["memory"]
    ratio = found["ratio"]
    return (
        f"| {cell} | {found['precision']['hone']}, {found['precision']['trainer']} | {' | '.join(rates)} | "
        f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}) | "
        f"{memory['hone'] / 2**20:,.0f}, {memory['trainer'] / 2**20:,.0f} | {memory['hone'] / memory['trainer']:.2f} |"
    )


def writing_rows(found):
    """A row for each batch and width of beams and program."""
    for name, programs in found.items():
        if name in ("machine", "peak_bytes"):
            continue
        for program, run in programs.items():
            faster = "" if program.startswith("hone") else f"{run['hone_is_faster']:.2f}"
            yield (
                f"| {name} | {program} | {statistics.median(run['seconds']):.3f} | {faster} | "
                f"{100 * run['equal_to_hone_fp32']:.0f} % | {found['peak_bytes'][program] / 2**20:,.0f} |"
            )


def lines_of(every):
    """Tables for docs/results.md; none where nothing was measured."""
    trained = {cell: every[cell] for cell in CELLS if cell in every}
    written = {name: found for name, found in every.items() if name.startswith("write ")}
    if not trained and not written:
        return []
    lines = [
        "\n## Encoder-decoders beside other programs\n",
        f"Measured by `bench/seq2seq.py`, in turn, on {results.measured_on(every.values())}.",
    ]
    if trained:
        lines += [
            "\n### Training beside Seq2SeqTrainer\n",
            "Tokens are those of source and target, none that pads; a ratio is the median over neighbouring turns (least to most). Memory is the highest of a process.\n",
            "| model | precision: hone, Seq2SeqTrainer | hone, tokens/s | Seq2SeqTrainer, tokens/s | times as fast | MiB: hone, Seq2SeqTrainer | of its memory |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [training_row(cell, found) for cell, found in trained.items()]
    for name, found in written.items():
        lines += [
            f"\n### Writing beside Transformers and CTranslate2: {name.removeprefix('write ')}\n",
            "The same weights and sources; hone's speed is beside the program of the same precision.\n",
            "| | program | seconds | hone is so many times as fast | answers equal to hone's in fp32 | MiB |",
            "|---|---|---|---|---|---|",
            *writing_rows(found),
        ]
    return lines


def write_options(parser):
    parser.add_argument("--peers", help="Python of the environment of CTranslate2")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))


def everything(options):
    for cell in CELLS:
        if cell not in kept():
            keep(cell, measure(cell, options.steps, options.turns))
    from_scratch.measure_all([cell.name for cell in from_scratch.CELLS])
    options.model = from_scratch.model_folder(TRANSLATOR)
    if f"write {TRANSLATOR}" not in kept():
        keep(f"write {TRANSLATOR}", write(options))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("--only", nargs="+", choices=CELLS, default=list(CELLS))
    searching = commands.add_parser("search")
    searching.add_argument("cell", choices=CELLS)
    whole = commands.add_parser("all")
    commands.add_parser("table")
    for one in (train, searching, whole):
        one.add_argument("--steps", type=int, default=20)
    train.add_argument("--turns", type=int, default=3)
    writing = commands.add_parser("write")
    writing.add_argument("--model", type=pathlib.Path)
    for one in (writing, whole):
        write_options(one)
    options = parser.parse_args()
    if options.command == "table":
        print("\n".join(lines_of(kept())))
    elif options.command == "search":
        search(options.cell, options.steps)
    elif options.command == "all":
        everything(options)
    elif options.command == "write":
        name = options.model.name if options.model else TRANSLATOR
        options.model = options.model or from_scratch.model_folder(TRANSLATOR)
        keep(f"write {name}", write(options))
    else:
        for cell in options.only:
            keep(cell, measure(cell, options.steps, options.turns))


if __name__ == "__main__":
    main()
