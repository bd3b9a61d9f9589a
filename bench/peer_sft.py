"""TRL's SFTTrainer as a worker of bench/decoders.py and bench/answers.py (run with .venv-peers/bin/python).

    python bench/peer_sft.py '{"model": FOLDER, "rows": FILE.jsonl, …}'

The worker loads the model, then answers one JSON command a line on stdin with one JSON line on stdout, as bench/peer_step.py does.

    {"do": "train", "steps": 8}    real tokens and seconds of each step, and its loss
    {"do": "loss", "rows": FILE}   mean loss of the answers' tokens, no gradient
    {"do": "answer", "rows": FILE, "new": 64}   greedy answers to the prompts
    {"do": "memory"}               peak resident memory of this process in bytes
"""

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
        import trl
        from datasets import Dataset

        self.job, self.torch = job, torch
        dtype = torch.bfloat16 if job["precision"] == "pure" else torch.float32
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            job["model"], dtype=dtype, attn_implementation=job["attention"]
        )
        self.steps, self.counts, self.losses = [], [], []
        self.trainer = trl.SFTTrainer(
            self.model,
            args=self.options(trl),
            train_dataset=Dataset.from_list(as_pairs(read(job["rows"]))),
            processing_class=self.tokenizer,
            callbacks=[clock(transformers, self.steps, self.losses)],
        )
        collate = self.trainer.data_collator
        self.trainer.data_collator = lambda rows: (
            self.counts.append(sum(len(row["input_ids"]) for row in rows)) or collate(rows)
        )

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

    def loss(self, rows):
        """Of each answer by itself: its prompt, its tokens and the end of its turn."""
        total = count = 0
        self.model.eval()
        for row in read(rows):
            prompt, whole = (
                self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks)
                for messages, asks in ((row["messages"][:-1], True), (row["messages"], False))
            )  # fmt: skip
            before, all_ids = (
                self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, whole)
            )  # fmt: skip
            if len(all_ids) > self.job["max_length"]:
                continue
            ids = self.torch.tensor([all_ids])
            with self.torch.no_grad():
                logits = self.model(ids).logits[0, len(before) - 1 : -1].float()
            total += self.torch.nn.functional.cross_entropy(
                logits, ids[0, len(before) :], reduction="sum"
            ).item()
            count += len(all_ids) - len(before)
        return {"loss": total / count, "tokens": count}

    def answer(self, rows, new):
        self.model.eval()
        answers = []
        for row in read(rows):
            ids = self.tokenizer.apply_chat_template(
                row["messages"][:-1], add_generation_prompt=True, return_tensors="pt", return_dict=True
            )["input_ids"]  # fmt: skip
            with self.torch.no_grad():
                made = self.model.generate(ids, max_new_tokens=new, do_sample=False)
            answers.append(self.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))
        return {"answers": answers}

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
