"""Transformers as a worker of the speed benchmark (run with .venv-peers/bin/python).

    python bench/peer_step.py '{"model": FOLDER, "rows": FILE.jsonl, "task": "classify" | "ner" | "qa", …}'

The worker loads the model, then answers one JSON command a line on stdin with one JSON line on stdout. So imports, compilation and
warm-up are paid once, while the caller alternates its steps with runs of another program.

    {"do": "train", "steps": 8}    real tokens, seconds, and the loss of each step where the job asks for "losses"
    {"do": "infer"}                one pass over all rows
    {"do": "curve", …}             trains, with a validation accuracy every so many steps
    {"do": "facts"}                work and length of a sample
    {"do": "gemm"}                 FLOP/s of this model's own matrix products in bf16 and fp32, nothing around them
    {"do": "memory"}               peak resident memory of this process in bytes
    {"do": "adapter"}              numbers that are trained, and the bytes that PEFT saves of them
"""

import itertools
import json
import pathlib
import random
import resource
import sys
import tempfile
import time

# One job: what to run, and every setting that was tried when looking for the best one.
DEFAULTS = {
    "task": "classify",  # classify: text, label; ner: tokens, tags; qa: question, context, answers
    "labels": [],  # in the order of the model's outputs
    "batch": 32,
    "max_length": 128,
    "precision": "bf16",  # fp32 | bf16 (autocast) | for inference only: cast (the weights themselves), int8 (dynamic quantization)
    "attention": "sdpa",  # sdpa | eager
    "grouping": "length",  # length: like lengths share a batch, as Trainer's length grouping does | random
    "padding": "dynamic",  # dynamic: to the longest of the batch | max: to max_length
    "multiple": 1,  # dynamic padding up to a multiple
    "optimizer": "fused",  # AdamW as fused | foreach | loop; or another of torch.optim: adam | adafactor | sgd | muon
    "workers": 0,  # of the DataLoader
    "compile": "",  # "" | "any length": one graph | "each length": a graph for each
    "learning_rate": 5e-5,
    "clip": 1.0,  # 0: no clipping
    "loop": "plain",  # plain | trainer
    "losses": False,  # read the loss of each step
    "seed": 0,  # of dropout and of the order of rows
    "threads": 0,  # 0: torch's choice
    "peft": {},  # "peft_type" (LORA where it is missing) and the options of its configuration; empty: the whole model is trained
    "freeze_order": False,  # batches in the order of the file: for comparing results
}


def read(path, limit=None):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in itertools.islice(file, limit)]


def encode(rows, tokenizer, job):
    """ids and labels of each row; the first sub-word of a token carries its tag, as in Transformers' own example."""
    place = {label: index for index, label in enumerate(job["labels"])}
    if job["task"] == "qa":
        return [window for row in rows for window in windows_of(row, tokenizer, job)]
    if job["task"] == "classify":
        ids = tokenizer(
            [row["text"] for row in rows], truncation=True, max_length=job["max_length"]
        )["input_ids"]
        return [{"input_ids": i, "labels": place[row["label"]]} for i, row in zip(ids, rows)]
    encoded = tokenizer(
        [row["tokens"] for row in rows],
        is_split_into_words=True,
        truncation=True,
        max_length=job["max_length"],
    )
    samples = []
    for index, row in enumerate(rows):
        words = encoded.word_ids(index)
        first = [
            word is not None and (k == 0 or words[k - 1] != word) for k, word in enumerate(words)
        ]
        samples.append(
            {
                "input_ids": encoded["input_ids"][index],
                "labels": [
                    place[row["tags"][word]] if begins else -100
                    for word, begins in zip(words, first)
                ],
            }
        )
    return samples


def windows_of(row, tokenizer, job):
    """A question with each window of its text, as in Transformers' own example: places of the answer, or the first token where it is not there."""
    encoded = tokenizer(
        row["question"],
        row["context"],
        truncation="only_second",
        max_length=job["max_length"],
        stride=job["max_length"] // 4,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    segments = encoded.get("token_type_ids")  # of one kind for XLM-R's word pieces
    answer = row["answers"][0]
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    for index, offsets in enumerate(encoded["offset_mapping"]):
        of_context = [s == 1 for s in encoded.sequence_ids(index)]
        holds = [k for k, (a, b) in enumerate(offsets) if of_context[k] and a < end and b > start]
        whole = holds and offsets[holds[0]][0] <= start and offsets[holds[-1]][1] >= end
        yield {
            "input_ids": encoded["input_ids"][index],
            "token_type_ids": segments[index] if segments else [0] * len(offsets),
            "labels": (holds[0], holds[-1]) if whole else (0, 0),
        }


class Collator:
    """Rows to tensors; a class rather than a closure so that DataLoader workers can be given it."""

    def __init__(self, job, pad_id):
        self.job, self.pad_id = job, pad_id

    def __call__(self, samples):
        import torch

        multiple = self.job["multiple"]
        longest = max(len(sample["input_ids"]) for sample in samples)
        length = (
            self.job["max_length"]
            if self.job["padding"] == "max"
            else -(-longest // multiple) * multiple
        )
        ids = torch.full((len(samples), length), self.pad_id)
        mask = torch.zeros((len(samples), length), dtype=torch.long)
        if self.job["task"] == "qa":
            return self.windows(samples, ids, mask)
        labels = (
            torch.full((len(samples), length), -100)
            if self.job["task"] == "ner"
            else torch.zeros(len(samples), dtype=torch.long)
        )
        for row, sample in enumerate(samples):
            n = len(sample["input_ids"])
            ids[row, :n] = torch.tensor(sample["input_ids"])
            mask[row, :n] = 1
            if self.job["task"] == "ner":
                labels[row, :n] = torch.tensor(sample["labels"])
            else:
                labels[row] = sample["labels"]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def windows(self, samples, ids, mask):
        import torch

        segments = torch.zeros_like(ids)
        for row, sample in enumerate(samples):
            n = len(sample["input_ids"])
            ids[row, :n], mask[row, :n] = torch.tensor(sample["input_ids"]), 1
            segments[row, :n] = torch.tensor(sample["token_type_ids"])
        starts, ends = torch.tensor([sample["labels"] for sample in samples]).unbind(1)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": segments,
            "start_positions": starts,
            "end_positions": ends,
        }


def plan(lengths, job, epoch):
    """Batches of sample indices. Length grouping is Trainer's: sort within windows of 50 batches of a random order."""
    order = list(range(len(lengths)))
    if job["freeze_order"]:
        return [order[i : i + job["batch"]] for i in range(0, len(order), job["batch"])]
    generator = random.Random(epoch)
    generator.shuffle(order)
    if job["grouping"] == "length":
        window = 50 * job["batch"]
        order = [
            i
            for start in range(0, len(order), window)
            for i in sorted(order[start : start + window], key=lambda i: -lengths[i])
        ]
    batches = [order[i : i + job["batch"]] for i in range(0, len(order), job["batch"])]
    if job["grouping"] == "length":
        generator.shuffle(
            batches
        )  # costs nothing, and makes a few steps a fair sample of the epoch
    return batches


class Both:
    """Two optimizers of one model."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()


class Worker:
    def __init__(self, job):
        import torch
        from transformers import (
            AutoModelForQuestionAnswering,
            AutoModelForSequenceClassification,
            AutoModelForTokenClassification,
            AutoTokenizer,
        )

        self.job, self.torch = dict(DEFAULTS, **job), torch
        job = self.job
        if job["threads"]:
            torch.set_num_threads(job["threads"])
        torch.manual_seed(job["seed"])
        kind = {
            "classify": AutoModelForSequenceClassification,
            "ner": AutoModelForTokenClassification,
            "qa": AutoModelForQuestionAnswering,
        }[job["task"]]
        labels = {"num_labels": len(job["labels"])} if job["labels"] else {}
        self.tokenizer = AutoTokenizer.from_pretrained(job["model"])
        self.model = kind.from_pretrained(
            job["model"], attn_implementation=job["attention"], **labels
        )
        if job["peft"]:
            import peft

            options = dict(
                job["peft"], task_type="TOKEN_CLS" if job["task"] == "ner" else "SEQ_CLS"
            )
            self.model = peft.get_peft_model(
                self.model, peft.get_peft_config(dict({"peft_type": "LORA"}, **options))
            )
        if job["precision"] == "cast":
            self.model = self.model.bfloat16()
        if job["precision"] == "int8":
            torch.backends.quantized.engine = "fbgemm"  # onednn builds a kernel anew for each length of a batch, and x86 may choose it
            by_output = torch.ao.quantization.per_channel_dynamic_qconfig
            self.model = torch.ao.quantization.quantize_dynamic(
                self.model, {torch.nn.Linear: by_output}, dtype=torch.qint8
            )
        self.step_model = (
            torch.compile(self.model, dynamic=job["compile"] == "any length")
            if job["compile"]
            else self.model
        )
        torch._dynamo.config.recompile_limit = (
            64  # a graph for each length, where they are compiled one by one
        )
        self.samples = encode(read(job["rows"]), self.tokenizer, job)
        self.lengths = [len(sample["input_ids"]) for sample in self.samples]
        self.collator = Collator(job, self.tokenizer.pad_token_id)
        self.optimizer = self.batches = None
        self.steps = 0

    def autocast(self):
        return self.torch.autocast(
            "cpu", self.torch.bfloat16, enabled=self.job["precision"] == "bf16"
        )

    # ------------------------------------------------------------------------------------------------ training

    def make_optimizer(self):
        bare = lambda name: "bias" in name or "LayerNorm" in name
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in trained if not bare(n)], "weight_decay": 0.01},
            {"params": [p for n, p in trained if bare(n)], "weight_decay": 0.0},
        ]
        name, rate, optim = self.job["optimizer"], self.job["learning_rate"], self.torch.optim
        if name == "adam":
            return optim.Adam(groups, lr=rate, fused=True)
        if name == "adafactor":
            return optim.Adafactor(groups, lr=rate)
        if name == "sgd":
            return optim.SGD(groups, lr=rate, momentum=0.9, fused=True)
        if name == "muon":
            return self.make_muon(trained)
        how = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}
        return optim.AdamW(groups, lr=rate, **how[name])

    def make_muon(self, trained):
        """Matrices of layers by Muon, word tables and vectors by AdamW, as its authors have it."""
        is_layer = lambda name, p: p.dim() == 2 and "embedding" not in name
        matrices = [p for n, p in trained if is_layer(n, p)]
        others = [p for n, p in trained if not is_layer(n, p)]
        optim, rate = self.torch.optim, self.job["learning_rate"]
        return Both(
            optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            optim.AdamW(others, lr=rate, fused=True),
        )

    def endless_batches(self, first_epoch=0):
        for epoch in itertools.count(first_epoch):
            loader = self.torch.utils.data.DataLoader(
                self.samples,
                batch_sampler=plan(self.lengths, self.job, epoch + 1000 * self.job["seed"]),
                collate_fn=self.collator,
                num_workers=self.job["workers"],
            )
            yield from loader

    def train(self, steps, turn=None):
        """Workers that are given the same `turn` see the same rows, so that settings can be compared over few steps."""
        if self.job["loop"] == "trainer":
            return train_with_trainer(self, steps)
        if self.optimizer is None:
            self.optimizer, self.batches = self.make_optimizer(), self.endless_batches()
        if turn is not None:
            self.batches = self.endless_batches(turn)
            self.batches = itertools.chain(
                [next(self.batches)], self.batches
            )  # loader workers have started before the clock
        self.model.train()
        tokens, losses, started, cpu_started = 0, [], time.perf_counter(), time.process_time()
        for _ in range(steps):
            inputs = next(self.batches)
            with self.autocast():
                loss = self.loss(inputs)
            loss.backward()
            if self.job["clip"]:
                self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.job["clip"])
            self.optimizer.step()
            self.steps += 1
            if hasattr(getattr(self.model, "base_model", None), "update_and_allocate"):  # AdaLoRA
                self.model.base_model.update_and_allocate(self.steps)
            self.optimizer.zero_grad()
            tokens += int(inputs["attention_mask"].sum())
            if self.job["losses"]:
                losses.append(loss.item())
        return {
            "tokens": tokens,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "steps": steps,
            "losses": losses,
        }

    def loss(self, inputs):
        if self.job["task"] != "qa":
            return self.step_model(**inputs).loss
        places = [inputs.pop(name) for name in ("start_positions", "end_positions")]
        found = self.step_model(**inputs)
        padding = inputs["attention_mask"] == 0
        # Transformers' own loss counts padding among the places where an answer could be.
        losses = [
            self.torch.nn.functional.cross_entropy(logits.float().masked_fill(padding, -1e9), place)
            for logits, place in zip((found.start_logits, found.end_logits), places)
        ]
        return sum(losses) / 2

    def curve(self, every, most, validation):
        """Accuracy on `validation` every so many steps. Evaluations are not timed, as the step rate is what is compared."""
        curve = [{"steps": 0, "seconds": 0}]
        while curve[-1]["steps"] < most:
            turn = self.train(every)
            curve.append(
                {
                    "steps": curve[-1]["steps"] + every,
                    "seconds": curve[-1]["seconds"] + turn["seconds"],
                    "accuracy": self.accuracy(validation),
                }
            )
        return {"curve": curve[1:]}

    # ------------------------------------------------------------------------------------------------ inference

    def infer(self, limit=None):
        """Texts to logits, tokenizing included: what a user who has texts waits for. Like lengths share a batch."""
        started = time.perf_counter()
        samples = encode(read(self.job["rows"], limit), self.tokenizer, self.job)
        logits = self.forward(samples)
        seconds = time.perf_counter() - started
        return {
            "tokens": sum(len(sample["input_ids"]) for sample in samples),
            "seconds": seconds,
            "rows": len(samples),
            "first": [round(float(x), 5) for x in logits[0].flatten()[:4]],
        }

    def accuracy(self, path):
        samples = encode(read(path), self.tokenizer, self.job)
        return sum(
            int(row.argmax()) == sample["labels"]
            for row, sample in zip(self.forward(samples), samples)
        ) / len(samples)

    def forward(self, samples):
        """Logits of each sample, in order."""
        order = sorted(range(len(samples)), key=lambda i: len(samples[i]["input_ids"]))
        logits = [None] * len(samples)
        self.model.eval()
        with self.torch.inference_mode(), self.autocast():
            for start in range(0, len(order), self.job["batch"]):
                chosen = order[start : start + self.job["batch"]]
                for i, row in zip(chosen, self.logits(self.collator([samples[i] for i in chosen]))):
                    logits[i] = row
        return logits

    def logits(self, inputs):
        return self.step_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).logits

    # ------------------------------------------------------------------------------------------------ facts

    def facts(self):
        """Useful work of a training step for each real token: matrix products of the blocks, forward and twice that backward."""
        c, lengths = self.model.config, self.lengths
        mean = sum(lengths) / len(lengths)
        weights = c.num_hidden_layers * (
            4 * c.hidden_size**2 + 2 * c.hidden_size * c.intermediate_size
        )
        attention = (
            c.num_hidden_layers * 4 * c.hidden_size * sum(n * n for n in lengths) / sum(lengths)
        )
        return {
            "flops_per_token": 3 * (2 * weights + attention),
            "mean_length": mean,
            "samples": len(lengths),
        }

    def memory(self):
        return {"peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

    def adapter(self):
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        if not self.job["peft"]:
            return {"trained": trained}
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            size = (pathlib.Path(folder) / "adapter_model.safetensors").stat().st_size
        return {"trained": trained, "bytes": size}

    def gemm(self):
        config = self.model.config
        return {
            kind: gemm_rate(self.torch, config.hidden_size, config.intermediate_size, dtype)
            for kind, dtype in (("bf16", self.torch.bfloat16), ("fp32", self.torch.float32))
        }


def gemm_rate(torch, hidden, intermediate, dtype, rows=4096):
    """FLOP/s over the products of one encoder block: forward and both of backward, each at the best of three times."""
    flops = seconds = 0
    for inner, outer, count in (
        (hidden, hidden, 4),
        (hidden, intermediate, 1),
        (intermediate, hidden, 1),
    ):
        x, w, g = (
            torch.randn(shape).to(dtype) for shape in ((rows, inner), (outer, inner), (rows, outer))
        )
        for product in (lambda: x @ w.t(), lambda: g @ w, lambda: g.t() @ x):
            times = []
            for _ in range(4):  # the first warms up
                started = time.perf_counter()
                product()
                times.append(time.perf_counter() - started)
            seconds += count * min(times[1:])
            flops += count * 2 * rows * inner * outer
    return flops / seconds


def train_with_trainer(worker, steps, warm_up=1):
    """The usual tutorial: Trainer with its defaults. The first step is not timed."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    seen = {"tokens": 0, "times": []}

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            seen["times"].append(time.perf_counter())

    def collate(samples):
        seen["tokens"] += sum(len(sample["input_ids"]) for sample in samples)
        seen.setdefault("per_batch", []).append(sum(len(sample["input_ids"]) for sample in samples))
        return worker.collator(samples)

    arguments = TrainingArguments(
        output_dir=str(pathlib.Path(worker.job["rows"]).parent / "trainer"),
        max_steps=steps + warm_up,
        per_device_train_batch_size=worker.job["batch"],
        learning_rate=worker.job["learning_rate"],
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        logging_strategy="no",
    )
    Trainer(
        model=worker.model,
        args=arguments,
        train_dataset=worker.samples,
        data_collator=collate,
        callbacks=[Clock()],
    ).train()
    tokens = sum(seen["per_batch"][warm_up : warm_up + steps])
    return {
        "tokens": tokens,
        "seconds": seen["times"][-1] - seen["times"][warm_up - 1],
        "steps": steps,
        "losses": [],
    }


def serve(worker_type):
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries that print must not spoil the answers
    worker = worker_type(json.loads(sys.argv[1]))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        action = command.pop("do")
        print(json.dumps(getattr(worker, action)(**command)), file=answers, flush=True)


if __name__ == "__main__":
    serve(Worker)
