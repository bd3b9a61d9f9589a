"""TRL's SFTTrainer as a worker of bench/decoders.py and bench/answers.py (run with .venv-peers/bin/python).

    python bench/peer_sft.py '{"model": FOLDER, "rows": FILE.jsonl, …}'

The worker answers one JSON command a line on stdin with one JSON line on stdout, as bench/peer_step.py does.

    {"do": "train", "steps": 8}    real tokens and seconds of each step, and its loss
    {"do": "save", "folder": FOLDER}   the model as it is now
    {"do": "loss", "rows": FILE, "model": FOLDER}   mean loss of the answers' tokens of a saved model, in fp32
    {"do": "memory"}               peak resident memory of this process in bytes
"""

import functools
import json
import os
import resource
import sys
import tempfile
import time

DEFAULTS = {
    "batch": 1,  # rows, or packed rows, of a step
    "max_length": 1024,
    "packing": True,
    "precision": "bf16",  # autocast; "fp32"; "pure": weights and optimizer in bf16
    "attention": "sdpa",
    "checkpointing": False,  # recompute activations: slower, less memory
    "optimizer": "adamw_torch_fused",
    "learning_rate": 1e-4,
    "schedule": "constant",
    "warmup": 0,  # steps
    "weight_decay": 0.0,
    "seed": 0,
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def as_pairs(rows):
    """Conversations whose last turn is the answer, as TRL wants a prompt with its completion."""
    return [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]


class Worker:
    def __init__(self, job):
        import torch
        import transformers

        self.job, self.torch, self.transformers = job, torch, transformers
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
        self.steps, self.counts, self.losses = [], [], []

    def load(self, folder, dtype):
        return self.transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=self.job["attention"]
        )

    @functools.cached_property
    def trainer(self):
        import trl
        from datasets import Dataset

        is_pure = self.job["precision"] == "pure"
        trainer = trl.SFTTrainer(
            self.load(self.job["model"], self.torch.bfloat16 if is_pure else self.torch.float32),
            args=self.options(trl),
            train_dataset=Dataset.from_list(as_pairs(read(self.job["rows"]))),
            processing_class=self.tokenizer,
            callbacks=[clock(self.transformers, self.steps, self.losses)],
        )
        collate = trainer.data_collator
        trainer.data_collator = lambda rows: (
            self.counts.append(sum(len(row["input_ids"]) for row in rows)) or collate(rows)
        )
        return trainer

    def options(self, trl):
        job = self.job
        return trl.SFTConfig(
            output_dir=os.path.join(tempfile.gettempdir(), "peer_sft"),
            per_device_train_batch_size=job["batch"],
            max_length=job["max_length"],
            packing=job["packing"],
            completion_only_loss=True,
            bf16=job["precision"] == "bf16",
            fp16=False,
            use_cpu=True,
            gradient_checkpointing=job["checkpointing"],
            optim=job["optimizer"],
            learning_rate=job["learning_rate"],
            lr_scheduler_type=job["schedule"],
            warmup_steps=job["warmup"],
            weight_decay=job["weight_decay"],
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            seed=job["seed"],
            data_seed=job["seed"],
            disable_tqdm=True,
        )

    def train(self, steps):
        for kept in (self.steps, self.counts, self.losses):
            kept.clear()
        self.trainer.args.max_steps = steps
        self.trainer.train()
        return {
            "tokens": sum(self.counts[:steps]),  # one batch more was fetched than was taken
            "seconds": sum(self.steps),
            "steps": len(self.steps),
            "losses": self.losses,
        }

    def save(self, folder):
        self.trainer.save_model(folder)
        return {}

    def loss(self, rows, model):
        """Of each answer by itself: its prompt, its tokens and the end of its turn."""
        judged = self.load(model, self.torch.float32).eval()
        total = count = 0
        for row in read(rows):
            ids, begin = self.with_answer(row["messages"])
            if len(ids) > self.job["max_length"]:
                continue
            total += self.answer_loss(judged, self.torch.tensor([ids]), begin)
            count += len(ids) - begin
        return {"loss": total / count, "tokens": count}

    def with_answer(self, messages):
        """Ids of a conversation, and where its last turn's begin."""
        texts = [
            self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=asks)
            for said, asks in ((messages[:-1], True), (messages, False))
        ]
        before, whole = (
            self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
        )
        return whole, len(before)

    def answer_loss(self, model, ids, begin):
        with self.torch.inference_mode():
            logits = model(ids).logits[0, begin - 1 : -1]
            return self.torch.nn.functional.cross_entropy(
                logits, ids[0, begin:], reduction="sum"
            ).item()

    def memory(self):
        return {"peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def clock(transformers, steps, losses):
    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_step_end(self, *_, **__):
            steps.append(time.perf_counter() - self.began)

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in (logs or {}):
                losses.append(logs["loss"])

    return Clock()


def main():
    answers = os.fdopen(os.dup(1), "w")  # the trainer prints; that is not an answer
    os.dup2(2, 1)
    worker = Worker({**DEFAULTS, **json.loads(sys.argv[1])})
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        done = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(done), file=answers, flush=True)


if __name__ == "__main__":
    main()
