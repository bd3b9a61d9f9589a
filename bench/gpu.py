"""hone on a GPU: first whether it is right there, then how fast it is beside Transformers, by one call.

    python bench/gpu.py [--only CHECKS-OR-SHAPES …] [--steps N] [--turns N] [--folder FOLDER] [--table]
    python bench/gpu.py --dry-run     all of it in tiny shapes on the CPU: tries this script, measures nothing

Needs a Python with torch and transformers (this one, else .venv-peers), the program (HONE, else build/release/hone) and nothing else: models of
random weights and texts of exact lengths are made here. The tests of hone's kernels beside the program (models_tests, tune_tests) run first, where
they are built: they use the GPU that they find. Programs take turns within a shape, and a ratio is the median over neighbouring turns; shapes of small
steps are also run with train.cuda_graphs. Results are written to FOLDER/gpu.json as they come; --table prints them again, with what was asked for.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HONE = pathlib.Path(os.environ.get("HONE", ROOT / "build" / "release" / "hone"))
WORDS = 1000  # of the made-up vocabulary
SKIPPED = 8  # steps before the clock starts: compilation, memory that grows
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}  # relative, of the loss of a step

# Model, samples in a step, tokens of each, precision.
SHAPES = {
    "base-16x128": ("base", 16, 128, "bf16"),
    "base-32x128": ("base", 32, 128, "bf16"),
    "base-128x128": ("base", 128, 128, "bf16"),
    "base-256x128": ("base", 256, 128, "bf16"),
    "base-64x512": ("base", 64, 512, "bf16"),
    "minilm-32x128": ("minilm", 32, 128, "bf16"),
    "minilm-256x128": ("minilm", 256, 128, "bf16"),
    "base-32x128-fp32": ("base", 32, 128, "fp32"),
    "base-32x128-tf32": ("base", 32, 128, "tf32"),
    "gpt2-16x1024": ("gpt2", 16, 1024, "bf16"),
    "llama-8x2048": ("llama", 8, 2048, "bf16"),
}
TINY = {
    "tiny-4x16": ("tiny", 4, 16, "fp32"),
    "tiny-gpt2-2x32": ("tiny-gpt2", 2, 32, "fp32"),
    "tiny-llama-2x32": ("tiny-llama", 2, 32, "fp32"),
}
# Steps so small that launches take longer than what is launched.
GRAPHS = ("base-16x128", "base-32x128", "minilm-32x128")
# What is asked for, at least, of the ratio to Transformers' best (1.0 where nothing else is said), and of the share of the card's bf16 peak.
TARGETS = {
    "base-32x128": (1.8, None),
    "base-256x128": (1.4, 0.45),
    "base-64x512": (1.4, None),
    "gpt2-16x1024": (1.0, 0.50),
    "llama-8x2048": (1.0, 0.50),
}
PEERS = ("sdpa", "flash_attention_2", "sdpa, compiled")
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # FLOP/s in bf16, without sparsity


def say(text):
    print(text, flush=True)


# ---------------------------------------------------------------------------------------------------- models and rows


def make_model(name, folder):
    """A model of this shape with random weights, and a tokenizer whose words are w0, w1, …"""
    import torch
    import transformers

    if folder.exists():
        return
    torch.manual_seed(0)
    wide = {"vocab_size": 30522, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    bert = {
        "base": wide,
        "minilm": dict(
            wide,
            hidden_size=384,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
        ),
        "tiny": dict(
            vocab_size=WORDS + 10,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        ),
        # Heads of 10 columns: neither flash attention nor the memory-efficient one takes them.
        "odd": dict(
            vocab_size=WORDS + 10,
            hidden_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=80,
        ),
    }
    if name in bert:
        config = transformers.BertConfig(**bert[name])
        config.num_labels = 2
        config.id2label, config.label2id = {0: "c0", 1: "c1"}, {"c0": 0, "c1": 1}
        config.problem_type = "single_label_classification"
        model = transformers.BertForSequenceClassification(config)
    elif name.endswith("llama"):
        sizes = {"llama": (49152, 576, 30, 9, 3, 1536, 2048)}
        vocabulary, hidden, layers, heads, kv_heads, inner, positions = sizes.get(
            name, (WORDS + 10, 64, 2, 2, 1, 128, 131072)
        )
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=hidden,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=kv_heads,
                intermediate_size=inner,
                max_position_embeddings=positions,
                tie_word_embeddings=True,
            )
        )
    else:
        small = {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": WORDS + 10}
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(**(small if name == "tiny-gpt2" else {}))
        )
    model.save_pretrained(folder)
    make_tokenizer(folder)


def make_tokenizer(folder):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate(special + [f"w{i}" for i in range(WORDS)])}
    tokens = [
        {"id": i, "content": word, "special": True, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for word, i in vocabulary.items()
        if word in special
    ]
    frame = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]}
            for name in ("[CLS]", "[SEP]")
        },
    }
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": frame,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 131072}
    settings |= {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    settings |= {"sep_token": "[SEP]", "mask_token": "[MASK]", "eos_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def make_rows(path, rows, tokens, is_causal):
    """Texts of exactly `tokens` tokens, special ones counted; their class is that of their first word."""
    generator = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(rows):
            words = [generator.randrange(WORDS) for _ in range(tokens - 2)]
            text = " ".join(f"w{word}" for word in words)
            row = {"text": text} if is_causal else {"text": text, "label": f"c{words[0] % 2}"}
            file.write(json.dumps(row) + "\n")


def is_causal(model):
    return model.endswith(("gpt2", "llama"))


# ---------------------------------------------------------------------------------------------------- hone


def hone_train(job, folder, steps, expected=0, resume=False, **train):
    """One `hone train`; metrics.jsonl tells what each step took. Without a program that ends as expected the script ends."""
    folder = pathlib.Path(folder)
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    task = job.get("task", {"name": "classify"})
    if is_causal(job["name"]):
        task = {"name": "causal_lm", "form": "text"}
    precision = job["precision"]
    options = {
        "device": job["device"],
        "precision": "fp32" if precision == "tf32" else precision,
        "tf32": precision == "tf32",
        "max_steps": steps,
        "per_device_train_batch_size": job["batch"],
        "max_seq_length": max(4, job["tokens"]),
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        **train,
    }
    config = folder.with_suffix(".yaml")
    config.write_text(
        json.dumps(
            {
                "model": {"path": str(job["model"]), **job.get("dropout", {})},
                "task": task,
                "data": {"train": {"path": str(job["rows"])}},
                "train": options,
                "output": {"dir": str(folder)},
            }
        )
    )
    how = ["--resume"] if resume else ["--overwrite"]
    run = subprocess.run([HONE, "train", config, *how], capture_output=True, text=True, check=False)
    if run.returncode != expected:
        sys.exit(f"hone train {config} ended with {run.returncode}: {run.stderr[-2000:]}")
    lines = []
    if (folder / "metrics.jsonl").exists():
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps_taken = [line for line in lines if line["event"] == "step"]
    return {
        "losses": [step["loss"] for step in steps_taken],
        "norms": [step["gradient_norm"] for step in steps_taken],
        "seconds": [step["seconds"] for step in steps_taken],
        "tokens": [step["tokens"] for step in steps_taken],
        "told": run.stderr,
    }


def timed_hone(job, folder, steps, **train):
    run = hone_train(job, folder, SKIPPED + steps, **train)
    assert "launch by launch" not in run["told"], run["told"]
    seconds = sum(run["seconds"][SKIPPED:])
    return {"seconds": seconds / steps, "tokens": run["tokens"][-1]}


# ---------------------------------------------------------------------------------------------------- Transformers


class Peer:
    """This script as a worker (serve_peer): one model, one setting; it waits between its turns."""

    def __init__(self, job, python):
        self.process = subprocess.Popen(
            [python, __file__, "--peer", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self.ask_nothing()

    def ask_nothing(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"error": self.process.stderr.read().strip().splitlines()[-1:]}

    def ask(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self.ask_nothing()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve_peer(job):
    import torch
    import transformers

    answers, sys.stdout = sys.stdout, sys.stderr
    device, causal = job["device"], is_causal(job["name"])
    torch.backends.cuda.matmul.allow_tf32 = job["precision"] == "tf32"
    kind = (
        transformers.AutoModelForCausalLM
        if causal
        else transformers.AutoModelForSequenceClassification
    )
    model = kind.from_pretrained(job["model"], attn_implementation=job["attention"])
    model = model.to(device).train()
    if not job["drops"]:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for name in ("attention_probs_dropout_prob", "attn_pdrop", "attention_dropout"):
            if hasattr(model.config, name):
                setattr(model.config, name, 0.0)
        model.eval()  # attention asks the module whether it trains
    plain = [p for n, p in model.named_parameters() if "bias" not in n and "LayerNorm" not in n]
    bare = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    optimizer = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.01}, {"params": bare, "weight_decay": 0.0}],
        lr=1e-4,
        fused=True,
    )
    step_model = torch.compile(model) if job["compiled"] else model
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    rows = [json.loads(line) for line in open(job["rows"], encoding="utf-8")][: job["batch"]]
    ids = torch.tensor(
        tokenizer([row["text"] for row in rows], truncation=True, max_length=job["tokens"])[
            "input_ids"
        ]
    ).to(device)
    labels = ids if causal else torch.tensor([int(row["label"][1]) for row in rows]).to(device)
    cuda = device.startswith("cuda")

    def step():
        with torch.autocast(
            device.split(":")[0], torch.bfloat16, enabled=job["precision"] == "bf16"
        ):
            loss = step_model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    warm = [step() for _ in range(SKIPPED)] if job["drops"] else []
    print(json.dumps({"ready": len(warm)}), file=answers, flush=True)
    for line in sys.stdin:
        if cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        losses = [step() for _ in range(int(line))]
        if cuda:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / len(losses)
        answer = {"seconds": seconds, "tokens": ids.numel(), "losses": [x.item() for x in losses]}
        print(json.dumps(answer), file=answers, flush=True)


# ---------------------------------------------------------------------------------------------------- is it right?


CHECKS = ("kernels", "losses", "splitting", "resuming", "resuming_in_halves", "graphs", "odd_heads")
CHECKS += ("one_token", "long_text", "no_number", "second_card", "memory")


class Checks:
    """Each check is a method; what it returns is told and kept, and a failed assertion ends the script with status 1."""

    def __init__(self, place):
        self.place = place

    def job(self, name, precision, device=None, **more):
        return self.place.job(name, 8, 64 if name == "base" else 16, precision, device, **more)

    def kernels(self):
        """The tests of hone's kernels, which use the card that they find."""
        told = {}
        for program, tests in (
            ("models_tests", "KernelsGpu*"),
            ("tune_tests", "AdamWGpu*:Device*"),
        ):
            path = HONE.parent / program
            if not path.exists():
                told[program] = "not built"
                continue
            run = subprocess.run(
                [path, f"--gtest_filter={tests}"], capture_output=True, text=True, check=False
            )
            told[program] = run.stdout.strip().splitlines()[-1]
            assert run.returncode == 0, run.stdout[-3000:]
        return told

    def losses(self):
        """Ten steps of the same rows, without dropout: beside the CPU in fp32, and beside Transformers."""
        model, told = self.place.small, {}
        still = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
        reference = self.run(model, "fp32", "cpu", still)
        for precision in ("fp32", "bf16"):
            mine = self.run(model, precision, self.place.device, still)
            told[f"{precision} beside the CPU's fp32"] = apart(
                mine, reference, TOLERANCE[precision]
            )
        peer = Peer(
            dict(self.job(model, "fp32"), attention="sdpa", compiled=False, drops=False, batch=8),
            self.place.python,
        )
        theirs = peer.ask(10)["losses"]
        peer.close()
        told["fp32 beside Transformers"] = apart(reference, theirs, 1e-3)
        return told

    def run(self, model, precision, device, dropout, **train):
        job = self.job(model, precision, device, dropout=dropout, rows_in_all=8)
        return hone_train(job, self.place.folder / "check", 10, **train)["losses"]

    def splitting(self):
        """One step of eight samples is two of four: dropout decides as on the CPU, but for attention's own."""
        model, drops = (
            self.place.small,
            {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0},
        )
        whole = self.run(model, "fp32", self.place.device, drops)
        halves = self.run(
            model,
            "fp32",
            self.place.device,
            drops,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
        )
        here = self.run(model, "fp32", "cpu", drops)
        return {
            "two halves": apart(whole, halves, 1e-4),
            "the CPU, dropout on": apart(whole, here, 1e-4),
        }

    def resuming(self):
        """A run that is interrupted after five steps and goes on ends as the one that is not."""
        job = self.job(self.place.small, "fp32", self.place.device)
        whole = hone_train(
            job, self.place.folder / "whole", 10, save_strategy="steps", save_steps=5
        )
        first = hone_train(job, self.place.folder / "cut", 5, save_strategy="steps", save_steps=5)
        rest = hone_train(
            job, self.place.folder / "cut", 10, resume=True, save_strategy="steps", save_steps=5
        )
        assert whole["losses"][:5] == first["losses"], "the first steps differ"
        return {"after resuming": apart(whole["losses"][5:], rest["losses"][-5:], 1e-3)}

    def resuming_in_halves(self):
        """As after running out of memory: the rest of a run in micro-batches of half the size, which draw the same but for attention."""
        drops = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0}
        job = self.job(self.place.small, "fp32", self.place.device, dropout=drops)
        saves = {"save_strategy": "steps", "save_steps": 5}
        halves = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
        whole = hone_train(job, self.place.folder / "whole", 10, **saves)
        hone_train(job, self.place.folder / "cut", 5, **saves)
        rest = hone_train(job, self.place.folder / "cut", 10, resume=True, **saves, **halves)
        return {"the rest in halves": apart(whole["losses"][5:], rest["losses"][-5:], 1e-3)}

    def graphs(self):
        """Recorded passes, filler and all, train as passes that are launched one by one; dropout on, but attention's own."""
        drops = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0}
        told = {}
        for tokens in (60, 64):  # 480 tokens are filled up to 512
            job = self.place.job(self.place.small, 8, tokens, "bf16", dropout=drops, rows_in_all=24)
            if self.place.is_dry:
                run = hone_train(job, self.place.folder / "graphs", 1, expected=2, cuda_graphs=True)
                assert "cuda_graphs is for a GPU" in run["told"], run["told"]
                return {"graphs": "not tried on the CPU, which refuses them"}
            plain = hone_train(job, self.place.folder / "plain", 10)
            replayed = hone_train(job, self.place.folder / "graphs", 10, cuda_graphs=True)
            assert "launch by launch" not in replayed["told"], replayed["told"]
            told[f"{tokens} tokens a row"] = apart(
                replayed["losses"], plain["losses"], TOLERANCE["bf16"]
            )
        return told

    def odd_heads(self):
        """Heads that no kernel of libtorch's takes: beside the CPU."""
        still = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
        reference = self.run("odd", "fp32", "cpu", still)
        return {
            precision: apart(
                self.run("odd", precision, self.place.device, still),
                reference,
                TOLERANCE[precision],
            )
            for precision in ("fp32", "bf16")
        }

    def one_token(self):
        """Rows of a single word between special tokens, one in a step."""
        job = self.place.job(self.place.small, 1, 3, "fp32", rows_in_all=4)
        here = hone_train(dict(job, device="cpu"), self.place.folder / "check", 3)["losses"]
        there = hone_train(job, self.place.folder / "check", 3)["losses"]
        assert len(there) == 3 and all(loss == loss for loss in there), there
        return {"steps of one word": f"{there}, on the CPU {here}"}

    def long_text(self):
        """One sequence of 100,000 tokens (of 2,000 where this is a trial)."""
        tokens = 2_000 if self.place.is_dry else 100_000
        precision = "fp32" if self.place.is_dry else "bf16"
        job = self.place.job("tiny-llama", 1, tokens, precision, rows_in_all=1)
        run = hone_train(job, self.place.folder / "long", 2)
        assert run["tokens"][-1] >= tokens - 2 and run["losses"][-1] < 100, run
        return {f"{run['tokens'][-1]} tokens": f"loss {run['losses'][-1]:.3f}"}

    def no_number(self):
        """A row whose loss is no number ends the run with its line, status 3, though no step waits for the card."""
        job = self.job(self.place.small, "fp32", rows_in_all=8)
        rows = self.place.folder / "no-number.jsonl"
        values = [1e30 if line == 5 else 0.1 for line in range(1, 9)]
        rows.write_text(
            "".join(f'{{"text": "w{i} w1", "label": {value}}}\n' for i, value in enumerate(values))
        )
        job |= {"rows": str(rows), "task": {"name": "classify", "type": "regression"}}
        run = hone_train(job, self.place.folder / "no-number", 3, expected=3)
        assert f"{rows}:5: " in run["told"] and "not finite" in run["told"], run["told"]
        return {"the row": run["told"].strip().splitlines()[-1][-160:]}

    def second_card(self):
        """Where there are two cards, the second gives what the first gives; where there is one, asking for another says so."""
        job = self.job(self.place.small, "fp32", "cuda:1", dropout={"hidden_dropout_prob": 0})
        cards = 0 if self.place.is_dry else len(cards_of_hone())
        run = hone_train(job, self.place.folder / "second", 3, expected=0 if cards > 1 else 2)
        if cards > 1:
            first = hone_train(dict(job, device="cuda:0"), self.place.folder / "first", 3)
            return {"cuda:1 beside cuda:0": apart(run["losses"], first["losses"], 1e-4)}
        assert 'device "cuda:1" is not there' in run["told"], run["told"]
        return {"cuda:1": "is not there, and hone says so"}

    def memory(self):
        """More than the card has: an error with what to lower, status 2."""
        if self.place.is_dry:
            return {"out of memory": "not tried on the CPU"}
        job = self.place.job("base", 16384, 128, "bf16", rows_in_all=16384)
        run = hone_train(job, self.place.folder / "huge", 1, expected=2)
        assert "out of memory" in run["told"] and "per_device_train_batch_size" in run["told"]
        return {"out of memory": run["told"].strip().splitlines()[-1][:200]}


def apart(ours, theirs, tolerance):
    assert len(ours) == len(theirs) > 0, (len(ours), len(theirs))
    most = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(ours, theirs))
    assert most <= tolerance, f"losses are {most:.1e} apart, {tolerance:.0e} is allowed"
    return f"{most:.1e}"


# ---------------------------------------------------------------------------------------------------- how fast is it?


class Place:
    """Where all is: the device, the folder of what is made, the Python that has Transformers."""

    def __init__(self, arguments):
        self.is_dry = arguments.dry_run
        self.device = "cpu" if self.is_dry else "cuda:0"
        self.folder = pathlib.Path(arguments.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.small = "tiny" if self.is_dry else "minilm"
        self.python = python_with_transformers()

    def job(self, name, batch, tokens, precision, device=None, rows_in_all=None, dropout=None):
        folder = self.folder / f"model-{name}"
        if not folder.exists():
            subprocess.run([self.python, __file__, "--make", name, str(folder)], check=True)
        count = rows_in_all or 2 * batch
        rows = self.folder / f"rows-{count}x{tokens}{'-causal' if is_causal(name) else ''}.jsonl"
        if not rows.exists():
            make_rows(rows, count, tokens, is_causal(name))
        return {
            "name": name,
            "model": str(folder),
            "rows": str(rows),
            "batch": batch,
            "tokens": tokens,
            "precision": precision,
            "device": device or self.device,
            "dropout": {"dropout": dropout} if dropout else {},
        }


def python_with_transformers():
    for python in (sys.executable, str(ROOT / ".venv-peers" / "bin" / "python")):
        found = subprocess.run(
            [python, "-c", "import torch, transformers"], capture_output=True, check=False
        )
        if found.returncode == 0:
            return python
    sys.exit("no Python with torch and transformers: neither this one nor .venv-peers")


def flops_per_token(model_folder, tokens):
    """Useful work of a training step: matrix products forward and twice that backward; logits of a causal model too."""
    c = json.loads((pathlib.Path(model_folder) / "config.json").read_text())
    hidden = c.get("hidden_size", c.get("n_embd"))
    layers = c.get("num_hidden_layers", c.get("n_layer"))
    heads = c.get("num_attention_heads", c.get("n_head"))
    inner = c.get("intermediate_size") or 4 * hidden
    shared = 2 * hidden * hidden * c.get("num_key_value_heads", heads) / heads
    gates = 3 if c["model_type"] == "llama" else 2
    weights = layers * (2 * hidden * hidden + shared + gates * hidden * inner)
    causal = c["model_type"] in ("llama", "gpt2")
    attention = layers * 4 * hidden * tokens * (0.5 if causal else 1)
    logits = 2 * hidden * c["vocab_size"] if causal else 0
    return 3 * (2 * weights + attention + logits)


def measure(place, name, shape, steps, turns):
    model, batch, tokens, precision = shape
    job = place.job(model, batch, tokens, precision)
    settings = PEERS[:1] if place.is_dry else PEERS
    peers = {}
    for setting in settings:
        attention, _, compiled = setting.partition(", ")
        if attention.startswith("flash") and precision != "bf16":
            continue  # it takes no fp32
        peers[setting] = Peer(
            dict(job, attention=attention, compiled=bool(compiled), drops=True), place.python
        )
    taken = {"hone": []}
    if name in GRAPHS:
        taken["hone, graphs"] = []
    for setting, peer in peers.items():
        if "error" in peer.ready:
            say(f"{name}: Transformers with {setting} does not run: {peer.ready['error']}")
        else:
            taken[setting] = []
    for _ in range(turns):
        for who, answers in taken.items():
            if who in peers:
                answers.append(peers[who].ask(steps))
            else:
                answers.append(
                    timed_hone(job, place.folder / "timed", steps, cuda_graphs=who != "hone")
                )
    for peer in peers.values():
        peer.close()
    work = flops_per_token(job["model"], tokens) * batch * tokens
    return {
        "milliseconds": {
            who: 1e3 * statistics.median(turn["seconds"] for turn in all_turns)
            for who, all_turns in taken.items()
        },
        "ratios": {
            own: {
                who: statistics.median(
                    theirs["seconds"] / ours["seconds"]
                    for ours, theirs in zip(taken[own], all_turns)
                )
                for who, all_turns in taken.items()
                if who in peers
            }
            for own in taken
            if own not in peers
        },
        "flops": work,
        "tokens": batch * tokens,
    }


def table(results):
    card = results["card"]
    peak = next((rate for word, rate in PEAK.items() if word in card), None)
    lines = [
        f"{card}; {results['program']}",
        "",
        "| shape | program, ms a step | Transformers, ms a step | ratio to its best | asked for | MFU | asked for | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in results["shapes"].items():
        times = one["milliseconds"]
        theirs = ", ".join(
            f"{who} {ms:.1f}" for who, ms in times.items() if who not in one["ratios"]
        )
        least, share = TARGETS.get(name, (1.0, None))
        for who, ratios in one["ratios"].items():
            ratio = min(ratios.values(), default=float("nan"))
            used = one["flops"] / (times[who] / 1e3) / peak if peak else float("nan")
            is_reached = ratio >= least and (share is None or used >= share)
            lines.append(
                f"| {name} | {who} {times[who]:.2f} | {theirs} | {ratio:.2f} | {least} | "
                f"{used:.0%} | {f'{share:.0%}' if share else ''} | {'yes' if is_reached else 'no'} |"
            )
    return "\n".join(lines)


def cards_of_hone():
    run = subprocess.run([HONE, "env", "--json"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout).get("gpus", [])


def card_of(is_dry):
    if is_dry:
        return "no card: a trial of this script, whose figures mean nothing"
    cards = cards_of_hone()
    if not cards:
        sys.exit("hone finds no GPU (hone env); --dry-run tries this script on the CPU")
    return ", ".join(cards)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", default=str(ROOT / "build" / "bench" / "gpu"))
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return serve_peer(json.loads(arguments.peer))
    if arguments.make:
        return make_model(arguments.make[0], pathlib.Path(arguments.make[1]))
    kept = pathlib.Path(arguments.folder) / "gpu.json"
    if arguments.table:
        return say(table(json.loads(kept.read_text())))
    place = Place(arguments)
    steps, turns = (2, 1) if place.is_dry else (arguments.steps, arguments.turns)
    results = {"card": card_of(place.is_dry), "program": str(HONE), "checks": {}, "shapes": {}}

    def wanted(name):
        return not arguments.only or name in arguments.only

    checks = Checks(place)
    for name in CHECKS:
        if wanted(name):
            results["checks"][name] = getattr(checks, name)()
            say(f"{name}: {results['checks'][name]}")
            kept.write_text(json.dumps(results, indent=1))
    for name, shape in (TINY if place.is_dry else SHAPES).items():
        if wanted(name):
            results["shapes"][name] = measure(place, name, shape, steps, turns)
            say(f"{name}: {results['shapes'][name]['milliseconds']}")
            kept.write_text(json.dumps(results, indent=1))
    say("\n" + table(results))


if __name__ == "__main__":
    main()
