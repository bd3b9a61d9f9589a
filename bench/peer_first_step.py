"""A Trainer script as short as they come, for bench/startup.py: prints the clock when its first step begins and when it has ended.

python bench/peer_first_step.py MODEL ROWS.jsonl LABELS.json
"""

import json
import sys
import tempfile
import time

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.began = time.time()

    def on_step_end(self, *_, **__):
        print(json.dumps({"began": self.began, "ended": time.time()}), flush=True)


def main(folder, rows, labels):
    labels = json.load(open(labels))
    rows = [json.loads(line) for line in open(rows, encoding="utf-8")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
    ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=128)["input_ids"]
    samples = [{"input_ids": i, "labels": labels.index(row["label"])} for i, row in zip(ids, rows)]
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            max_steps=1,
            per_device_train_batch_size=32,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        Trainer(
            model=model,
            args=arguments,
            train_dataset=samples,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[Clock()],
        ).train()


if __name__ == "__main__":
    main(*sys.argv[1:])
