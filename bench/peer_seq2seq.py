"""Transformers' Seq2SeqTrainer and generate, and CTranslate2, as workers of bench/seq2seq.py.

    python bench/peer_seq2seq.py '{"program": "trainer", "model": FOLDER, "rows": FILE.jsonl, …}'

Programs are "trainer" (training), "transformers" and "ctranslate2" (generation). The worker answers one JSON command a line on stdin with
one JSON line on stdout:

    {"do": "train", "steps": 8}    real tokens of source and target, seconds of the steps, losses
    {"do": "sources", "count": 32} ids of the first sources of the rows, with what the tokenizer puts around them: as `hone predict` reads them
    {"do": "write", "sources": [[…]], "tokens": 32, "beams": 5}   {"answers", "seconds"}
    {"do": "memory"}               peak resident memory of this process in bytes
"""

import json
import os
import pathlib
import resource
import sys
import tempfile
import time

DEFAULTS = {
    "batch": 64,
    "max_length": 128,
    "precision": "fp32",  # or "bf16": autocast
    "attention": "sdpa",
    "optimizer": "adamw_torch_fused",
    "learning_rate": 1e-4,
    "group_by_length": True,
    "label_smoothing": 0.1,
    "seed": 0,
    "threads": len(os.sched_getaffinity(0)),
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Program:
    def __init__(self, job):
        import torch
        import transformers

        torch.set_num_threads(job["threads"])
        self.torch, self.transformers, self.job = torch, transformers, job
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])

    def load(self):
        model = self.transformers.AutoModelForSeq2SeqLM.from_pretrained(
            self.job["model"],
            dtype=self.torch.float32,
            attn_implementation=self.job["attention"],
        )
        if self.job["precision"] == "bf16" and self.job["program"] == "transformers":
            model = model.to(self.torch.bfloat16)
        return model

    def encode(self, text):
        return self.tokenizer(text, truncation=True, max_length=self.job["max_length"])["input_ids"]

    def sources(self, count):
        prefix = self.job.get("prefix", "")
        return [self.encode(prefix + row["source"]) for row in read(self.job["rows"])[:count]]

    def memory(self):
        return {"peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


class Trainer(Program):
    def __init__(self, job):
        super().__init__(job)
        from datasets import Dataset

        self.model = self.load()
        end = self.model.config.eos_token_id
        prefix = job.get("prefix", "")
        rows = []
        for row in read(job["rows"]):
            source, labels = self.encode(prefix + row["source"]), self.encode(row["target"])
            if labels[-1] != end:
                labels.append(end)
            rows.append({"input_ids": source, "labels": labels, "length": len(source)})
        self.steps, self.counts, self.losses = [], [], []
        collate = self.transformers.DataCollatorForSeq2Seq(self.tokenizer, self.model)
        worker = self

        class Clock(self.transformers.TrainerCallback):
            def on_step_begin(self, *_, **__):
                self.began = time.perf_counter()

            def on_step_end(self, *_, **__):
                worker.steps.append(time.perf_counter() - self.began)

            def on_log(self, args, state, control, logs=None, **_):
                if "loss" in (logs or {}):
                    worker.losses.append(logs["loss"])

        def counted(batch):
            self.counts.append(sum(len(row["input_ids"]) + len(row["labels"]) for row in batch))
            return collate([{k: row[k] for k in ("input_ids", "labels")} for row in batch])

        self.trainer = self.transformers.Seq2SeqTrainer(
            self.model,
            args=self.options(),
            train_dataset=Dataset.from_list(rows),
            data_collator=counted,
            callbacks=[Clock()],
        )

    def options(self):
        job = self.job
        grouped = {"train_sampling_strategy": "group_by_length"} if job["group_by_length"] else {}
        return self.transformers.Seq2SeqTrainingArguments(
            output_dir=os.path.join(tempfile.gettempdir(), "peer_seq2seq"),
            per_device_train_batch_size=job["batch"],
            bf16=job["precision"] == "bf16",
            use_cpu=True,
            optim=job["optimizer"],
            learning_rate=job["learning_rate"],
            lr_scheduler_type="constant",
            label_smoothing_factor=job["label_smoothing"],
            weight_decay=0.0,
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            seed=job["seed"],
            data_seed=job["seed"],
            remove_unused_columns=False,
            disable_tqdm=True,
            **grouped,
        )

    def train(self, steps):
        for kept in (self.steps, self.counts, self.losses):
            kept.clear()
        self.trainer.args.max_steps = steps
        self.trainer.train()
        return {
            "tokens": sum(self.counts[:steps]),  # one batch more was fetched than was taken
            "seconds": sum(self.steps),
            "losses": self.losses,
        }


class Transformers(Program):
    def __init__(self, job):
        super().__init__(job)
        self.model = self.load().eval()

    def write(self, sources, tokens, beams):
        torch, pad = self.torch, self.model.config.pad_token_id
        longest = max(map(len, sources))
        ids = torch.full((len(sources), longest), pad)
        mask = torch.zeros_like(ids)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = torch.tensor(source)
            mask[row, : len(source)] = 1
        began = time.perf_counter()
        with torch.inference_mode():
            found = self.model.generate(
                ids, attention_mask=mask, do_sample=False, num_beams=beams, max_new_tokens=tokens
            )
        seconds = time.perf_counter() - began
        end = self.model.config.eos_token_id
        rows = [row[1:] for row in found.tolist()]
        answers = [row[: row.index(end)] if end in row else row for row in rows]
        return {"answers": answers, "seconds": seconds}


def register_marian():
    """CTranslate2's converter takes a Marian model to pad with its last token and to begin with an embedding of zeros, as those of OPUS
    do. One with a first token of its own is converted as BART's are."""
    from ctranslate2.converters import transformers

    class Loader(transformers.BartLoader):
        architecture_name = "MarianMTModel"

        def get_model_spec(self, model):
            model.config.normalize_before = model.config.normalize_embedding = False
            return super().get_model_spec(model)

        def set_config(self, config, model, tokenizer):
            token = tokenizer.convert_ids_to_tokens
            config.bos_token = config.decoder_start_token = token(
                model.config.decoder_start_token_id
            )
            config.eos_token = token(model.config.eos_token_id)
            config.unk_token = tokenizer.unk_token

    transformers.register_loader("MarianConfig")(Loader)


class CTranslate2(Program):
    def __init__(self, job):
        super().__init__(job)
        import ctranslate2

        register_marian()
        quantization = {"fp32": "float32", "int8": "int8"}[job["precision"]]
        folder = pathlib.Path(job["cache"]) / f"ctranslate2-{job['precision']}"
        if not folder.exists():
            converter = ctranslate2.converters.TransformersConverter(job["model"])
            converter.convert(str(folder), quantization=quantization)
        self.translator = ctranslate2.Translator(
            str(folder), compute_type=quantization, inter_threads=1, intra_threads=job["threads"]
        )

    def write(self, sources, tokens, beams):
        texts = [self.tokenizer.convert_ids_to_tokens(source) for source in sources]
        began = time.perf_counter()
        found = self.translator.translate_batch(
            texts, beam_size=beams, max_decoding_length=tokens, max_input_length=0
        )
        seconds = time.perf_counter() - began
        answers = [self.tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in found]
        return {"answers": answers, "seconds": seconds}


PROGRAMS = {"trainer": Trainer, "transformers": Transformers, "ctranslate2": CTranslate2}


def main():
    answers = os.fdopen(os.dup(1), "w")  # the trainer prints; that is not an answer
    os.dup2(2, 1)
    job = {**DEFAULTS, **json.loads(sys.argv[1])}
    worker = PROGRAMS[job["program"]](job)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        done = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(done), file=answers, flush=True)


if __name__ == "__main__":
    main()
